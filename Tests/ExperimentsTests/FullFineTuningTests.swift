// adapter.kind: full in an experiment: which keys it leaves without effect, what `plan` says of its memory,
// and a whole run of a tiny model, resumed on other ranks and exported.

import Communication
import Configuration
import Experiments
import Files
import Foundation
import RunFiles
import Testing

private let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Goldens/federation").path

private func reading(_ text: String, _ settings: [String] = []) throws -> Experiment.Reading {
  try Experiment.read(
    text: "model: {path: m}\ndata: {path: d}\n" + text, name: "x.yaml", directory: "/base",
    settings: settings)
}

private func problems(_ text: String, _ settings: [String] = []) -> [String] {
  do {
    _ = try reading(text, settings)
    return []
  } catch let error as ExperimentProblems {
    return error.problems.map(\.description)
  } catch {
    return ["unexpected: \(error)"]
  }
}

@Suite("Full fine-tuning")
struct FullFineTuningTests {
  @Test(
    "every other key of the adapter is refused",
    arguments: [
      "lora_rank: 16", "alpha: 16", "targets: all_linear", "dropout: 0", "initial: ./a",
      "frozen: none",
    ])
  func withoutEffect(key: String) {
    let found = problems("adapter: {kind: full, \(key)}")
    #expect(found.count == 1)
    #expect(found.first?.contains("has no effect with adapter.kind: full") == true)
    #expect(problems("adapter: {kind: lora, \(key)}").isEmpty)
  }

  @Test(
    "what needs factors or frozen weights is refused",
    arguments: [
      ("compute: {precision: bf16}", "compute.precision"),
      ("method: {aggregation: norm_weighted}", "method.aggregation"),
      ("method: {aggregation: product_mean}", "method.aggregation"),
      ("method: {tiers: [{lora_rank: 2}, {share: 1}]}", "method.tiers"),
    ])
  func together(text: String, key: String) {
    let found = problems("adapter: {kind: full}\n" + text)
    #expect(found.count == 1)
    #expect(found.first?.contains(key) == true && found.first?.contains("adapter.kind") == true)
    #expect(problems(text).isEmpty)
    #expect(
      problems("adapter: {kind: full}\nmethod: {tiers: [{upload_density: 0.5}, {share: 1}]}")
        .isEmpty)
  }

  @Test("a setting turns a LoRA experiment into one, and config.yaml reads back the same")
  func setting() throws {
    let found = try reading("adapter: {lora_rank: 4, alpha: 8}", ["adapter.kind=full"])
    #expect(found.notices.count == 2)
    #expect(found.experiment.adapter.kind == .full)
    #expect(!found.experiment.yaml.contains("lora_rank"))
    let again = try Experiment.read(text: found.experiment.yaml, name: "c", directory: "/")
    #expect(again.experiment == found.experiment)
  }

  private func file(_ scratch: Scratch, rounds: Int = 3, name: String = "full.yaml") throws
    -> String
  {
    try scratch.write(
      """
      model: {path: \(goldens)/full_flasc/model}
      data: {path: \(goldens)/full_flasc/corpus, max_length: 16}
      partition: {kind: file, path: \(goldens)/full_flasc/partition.json}
      adapter: {kind: full}
      federation:
        rounds: \(rounds)
        cohort: {kind: file, path: \(goldens)/full_flasc/cohorts.json}
        server: {optimizer: sgd, learning_rate: 1}
      local: {batch_size: 4, learning_rate: 0.05}
      evaluation: {every: 1}
      checkpoint: {every_rounds: 1}
      """, to: name)
  }

  @Test("plan counts all weights, and a rank's six vectors of them")
  func plan() throws {
    let scratch = try Scratch()
    let text = try planReport(
      ExperimentRequest(path: try file(scratch)), ranks: 1, ranksPerNode: 1,
      assets: scratch.assets)
    // From the golden's layout.json: 4960 weights, of which the head has 5 * 16.
    for row in [
      #"trained weights +4 880 "#, #"head +80 "#, #"trainable +4 960 "#, #"all weights +1 +4 960 "#,
      #"vectors +119\.0 kB"#,
    ] {
      #expect(text.range(of: row, options: .regularExpression) != nil, "\(row) in\n\(text)")
    }
  }

  @Test("a run of 1 and of 3 ranks, resumed, exported: one digest, one model")
  func run() throws {
    let scratch = try Scratch()
    let (all, some) = (try file(scratch), try file(scratch, rounds: 2, name: "two.yaml"))
    func play(_ path: String, _ output: String, ranks: Int, resume: Bool = false) throws -> String {
      let assets = scratch.assets
      let output = scratch.path + "/" + output
      let outcome = try ThreadCommunicators.run(size: ranks) { communicator in
        try runExperiment(
          ExperimentRequest(path: path), output: output, resume: resume,
          environment: RunEnvironment(mpiLibrary: nil), assets: assets,
          communicator: communicator, assemble: assembleTransformer)
      }[0]
      return try #require(outcome).digest
    }
    let digest = try play(all, "one", ranks: 1)
    #expect(try play(all, "three", ranks: 3) == digest)
    #expect(try play(some, "parts", ranks: 3) != digest)
    #expect(try play(all, "parts", ranks: 1, resume: true) == digest)
    func bytes(_ name: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/" + name))
    }
    let model = try bytes("one/model/model.safetensors")
    #expect(try bytes("parts/model/model.safetensors") == model)
    let directory = try #require(
      FileManager.default.contents(atPath: goldens + "/full_flasc/model/model.safetensors"))
    #expect(model != directory)
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/one/adapter"))
    let said = try exportRun(
      scratch.path + "/three", to: scratch.path + "/out", merge: false, logits: .test,
      assets: scratch.assets)
    #expect(said.contains("as \(scratch.path)/three trained it"))
    #expect(try bytes("out/model.safetensors") == model)
    let found = try inspection(of: scratch.path + "/out", assets: scratch.assets)
    #expect(found.contains("5 labels"))
    let refusal = #expect(throws: CommandFailure.self) {
      try exportRun(
        scratch.path + "/one", to: scratch.path + "/merged", merge: true, assets: scratch.assets)
    }
    #expect(refusal?.exitCode == 64)
  }
}
