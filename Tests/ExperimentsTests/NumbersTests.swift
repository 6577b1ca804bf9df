// Numbers that are infinite, too small or of nothing; and state that must not grow with the rounds.

import Communication
import Configuration
import Experiments
import Federation
import Foundation
import RunFiles
import Synchronization
import Testing

private let experiment = """
  model: {path: m}
  data: {path: d}
  partition: {kind: iid, clients: 6}
  method: {download: {density: 0.5}, upload: {density: 0.25}}
  federation: {rounds: 7, cohort_size: 3, server: {optimizer: adam_w, learning_rate: 0.1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 2, splits: [test], maximum_examples: 10}
  checkpoint: {every_rounds: 2, keep: 2}
  output: {tensorboard: false}
  """

/// Ends a run when a trained vector is written for the n-th time.
private final class Breakdown: Sendable {
  struct Happened: Error {}
  private let left: Mutex<Int>
  init(at count: Int) { left = Mutex(count) }
  func countDown() throws {
    try left.withLock {
      $0 -= 1
      if $0 == 0 { throw Happened() }
    }
  }
}

private func run(
  _ scratch: Scratch, _ directory: String, parameters: Int = 40, ranks: Int = 1,
  settings: [String] = [], breakingAt count: Int = 0
) throws -> RunOutcome? {
  let file = try scratch.write(experiment, to: "x.yaml")
  let (assets, output) = (scratch.assets, scratch.path + "/" + directory)
  let breakdown = Breakdown(at: count)
  return try ThreadCommunicators.run(size: ranks) { communicator in
    try runExperiment(
      ExperimentRequest(path: file, settings: settings), output: output, resume: true,
      environment: RunEnvironment(mpiLibrary: nil), assets: assets, communicator: communicator,
      assemble: quadratic(parameters: parameters) { _ in try breakdown.countDown() })
  }[0]
}

/// What a run prints, without its path.
private func table(_ outcome: RunOutcome?) throws -> [Substring] {
  try #require(outcome).text.split(separator: "\n").dropLast()
}

struct NumbersTests {
  @Test(
    "infinite perplexities and modelled times are saved, resumed from and printed",
    arguments: [
      ["evaluation.every=1"],
      ["system.kind=drawn", "system.latency=1e308", "system.upload=1", "system.download=1"],
    ])
  func infinite(settings: [String]) throws {
    let scratch = try Scratch()
    // 1150 nats an example at least.
    let whole = try run(scratch, "whole", parameters: 30_000, settings: settings)
    #expect(throws: (any Error).self) {
      try run(scratch, "broken", parameters: 30_000, settings: settings, breakingAt: 3)
    }
    let checkpoints = try FileManager.default.contentsOfDirectory(
      atPath: scratch.path + "/broken/checkpoints")
    #expect(!checkpoints.isEmpty)
    let resumed = try run(scratch, "broken", parameters: 30_000, ranks: 2, settings: settings)
    #expect(resumed?.digest == whole?.digest)
    #expect(try table(resumed) == table(whole))
    #expect(whole?.text.contains("inf") == true)
    let manifest = try #require(
      try JSONSerialization.jsonObject(with: Data(scratch.read("whole/manifest.json").utf8))
        as? [String: Any])
    if settings.count > 1 {
      let totals = try #require(manifest["totals"] as? [String: Any])
      #expect(totals["modelled_seconds"] as? String == "inf")
    }
    let metrics = try scratch.read("whole/metrics.jsonl")
    for line in metrics.split(separator: "\n") {
      #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
    }
    #expect(metrics.contains("\"perplexity\":\"inf\""))
    #expect(try inspection(of: scratch.path + "/whole").contains("inf"))
  }

  @Test(
    "a number that would become 0, infinite or 1 as a Float is refused with its key and the range",
    arguments: [
      ("adapter.dropout=0.99999999", "0.9999999"), ("adapter.dropout=1e-46", "1.5e-45"),
      ("adapter.alpha=1e-46", "1e-40"), ("adapter.alpha=1e39", "3.4e+38"),
      ("local.learning_rate=1e-46", "1.5e-45"), ("local.learning_rate=1e39", "3.4e+38"),
      ("local.momentum=0.99999999", "0.9999999"), ("local.proximal=1e-50", "1.5e-45"),
      ("local={optimizer: adam_w, epsilon: 1e-46}", "1.5e-45"),
      ("local={optimizer: adam_w, beta2: 0.999999999}", "0.9999999"),
      ("local={optimizer: adam_w, beta1: 1e-60}", "1.5e-45"),
      ("local={optimizer: adam_w, weight_decay: 1e-46}", "1.5e-45"),
      ("federation.server={optimizer: adam_w, epsilon: 1e-46}", "1.5e-45"),
      ("federation.server={optimizer: fed_adam, tau: 1e-46}", "1e-22"),
      ("federation.server={optimizer: fed_yogi, tau: 1e-30}", "1e-22"),
      ("federation.server={optimizer: fed_adagrad, tau: 1e20}", "1e+19"),
      ("federation.server={optimizer: fed_avgm, momentum: 0.999999999}", "0.9999999"),
      ("federation.server={optimizer: sgd, learning_rate: 1e-46}", "1.5e-45"),
      ("method.rank_pruning={factor: 0.5, penalty: 1e39}", "3.4e+38"),
      ("privacy={clipping: fixed, clip: 1e-50, noise_multiplier: 0}", "1.5e-45"),
    ])
  func narrowed(setting: String, limit: String) throws {
    func read(_ setting: String) throws {
      _ = try Experiment.read(
        text: "model: {path: m}\ndata: {path: d}\n", name: "x.yaml", directory: "/",
        settings: [setting], settingsDirectory: "/")
    }
    let problems = try #require(throws: ExperimentProblems.self) { try read(setting) }
    let text = "\(problems)"
    let key = setting.prefix { $0 != "=" && $0 != "{" }
    #expect(text.contains(key) && text.contains(limit), "\(text)")
  }

  @Test("the ends of those ranges are accepted, and are neither 0, infinite nor 1 as a Float")
  func ends() throws {
    for setting in [
      "adapter.dropout=0.9999999", "adapter.dropout=0", "adapter.alpha=1e-40",
      "local={optimizer: adam_w, epsilon: 1.5e-45, weight_decay: 0, beta1: 0, beta2: 0.9999999}",
      "federation.server={optimizer: fed_adam, tau: 1e-22, learning_rate: 3.4e38}",
    ] {
      let experiment = try Experiment.read(
        text: "model: {path: m}\ndata: {path: d}\n", name: "x.yaml", directory: "/",
        settings: [setting], settingsDirectory: "/"
      ).experiment
      let plan = try experiment.federationPlan(assets: AssetDirectory(environment: [:]))
      #expect(plan.problems(population: 350).isEmpty)
    }
    #expect(Float(FloatRange.smallest) > 0 && Float(FloatRange.largest).isFinite)
    #expect(Float(FloatRange.largestShare) < 1)
    #expect(Float(FloatRange.smallestRoot * FloatRange.smallestRoot) > 0)
    #expect(Float(FloatRange.largestRoot * FloatRange.largestRoot).isFinite)
    #expect(Float(1e-40) / 4096 > 0)
  }

  @Test("the federation refuses the same, by itself")
  func plans() throws {
    func problems(_ change: (inout FederationPlan) -> Void) throws -> String {
      var plan = try Experiment.read(
        text: "model: {path: m}\ndata: {path: d}\n", name: "x.yaml", directory: "/"
      ).experiment.federationPlan(assets: AssetDirectory(environment: [:]))
      change(&plan)
      return plan.problems(population: 350).map(\.description).joined()
    }
    #expect(try problems { _ in }.isEmpty)
    #expect(
      try problems { $0.server = .adamW(learningRate: 1, epsilon: 1e-46) }.contains("1.5e-45"))
    #expect(try problems { $0.server = .fedAdam(learningRate: 1, tau: 1e-30) }.contains("1e-22"))
    #expect(try problems { $0.local.learningRate = 0 }.contains("learning_rate"))
    #expect(
      try problems { $0.server = .fedAvgM(learningRate: 1, momentum: 0.99999999) }
        .contains("0.9999999"))
  }

  /// The residual files of each client.
  private func residualFiles(_ scratch: Scratch, _ directory: String) throws -> [Int] {
    let folder = "\(scratch.path)/\(directory)/residuals"
    return try FileManager.default.contentsOfDirectory(atPath: folder).map {
      try FileManager.default.contentsOfDirectory(atPath: folder + "/" + $0).count
    }
  }

  @Test("residual files stay as few as the run and its checkpoints need")
  func residuals() throws {
    let scratch = try Scratch()
    let settings = ["method.residual=kept", "federation.rounds=40", "evaluation.every=4"]
    let none = ["checkpoint.every_rounds=0", "checkpoint.every_minutes=0"]
    let without = try run(scratch, "without", settings: settings + none)
    let files = try residualFiles(scratch, "without")
    #expect(files.count == 6 && files.allSatisfy { $0 <= 2 }, "\(files)")
    let saving = settings + ["checkpoint.every_rounds=5"]
    let with = try run(scratch, "with", ranks: 2, settings: saving)
    #expect(with?.digest == without?.digest)
    #expect(try residualFiles(scratch, "with").allSatisfy { $0 <= 4 })
    // The files that are left are those that a checkpoint needs.
    #expect(throws: (any Error).self) {
      try run(scratch, "broken", settings: saving, breakingAt: 5)
    }
    let resumed = try run(scratch, "broken", ranks: 3, settings: saving)
    #expect(resumed?.digest == without?.digest)
  }

  @Test("the table at the end keeps about 100 rows of any number of evaluations, also when resumed")
  func manyEvaluations() throws {
    let scratch = try Scratch()
    let settings = [
      "federation.rounds=467", "evaluation.every=1", "evaluation.maximum_examples=2",
      "checkpoint.every_rounds=100",
    ]
    let whole = try table(run(scratch, "whole", parameters: 3, settings: settings))
    let rows = whole.filter { $0.first == " " }
    // Every eighth of 467, and the last.
    #expect(rows.count == 60)
    func rounds(_ row: Substring) -> Int? {
      row.split(separator: " ").first.flatMap { Int($0) }
    }
    #expect(rounds(try #require(rows.first)) == 1)
    #expect(rounds(try #require(rows.last)) == 467)
    #expect(whole.contains { $0.hasPrefix("every 8th of 467 evaluations") })
    #expect(throws: (any Error).self) {
      try run(scratch, "broken", parameters: 3, settings: settings, breakingAt: 340)
    }
    #expect(try table(run(scratch, "broken", parameters: 3, settings: settings)) == whole)
    let checkpoint = try #require(
      FileManager.default.contents(
        atPath: scratch.path + "/whole/checkpoints/round-000400.safetensors"))
    #expect(checkpoint.count < 100_000)
  }

  @Test("the end of a run says which vector was evaluated, and which one is written")
  func evaluatedVector() throws {
    let scratch = try Scratch()
    func text(_ name: String, _ settings: [String]) throws -> String {
      try #require(try run(scratch, name, settings: settings)).text
    }
    let masked = try text("masked", [])
    #expect(masked.contains("evaluated: the vector as clients receive it"))
    #expect(masked.contains("adapter/ holds the whole vector"))
    let whole = "evaluated: the whole vector, as adapter/ holds it"
    #expect(try text("whole", ["evaluation.masked=false"]).contains(whole))
    #expect(try text("all", ["method.download.select=all"]).contains(whole))
    #expect(
      try text("both", ["evaluation.masked=both"])
        .contains("whole is the whole vector, as adapter/"))
  }
}
