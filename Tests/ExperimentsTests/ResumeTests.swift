// A run that is broken off and goes on ends as one that was left alone: digest and tables.

import Communication
import Configuration
import EventFiles
import Experiments
import Files
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
  """

/// Fails at the n-th time that an adapter is written, as a disk or a kill would end it.
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

/// A virtual clock with losses of every kind.
private let clocked = [
  "system.kind=drawn", "system.download={median: 1000, sigma: 0.5}", "system.upload=500",
  "system.tokens_per_second={median: 10, sigma: 1}", "system.unavailability=0.2",
  "system.dropout=0.3", "system.deadline=2", "system.extra_clients=1", "system.server_time=0.1",
]

struct ResumeTests {
  private func run(
    _ scratch: Scratch, _ directory: String, ranks: Int, settings: [String] = [],
    breakingAt count: Int = 0
  ) throws -> RunOutcome? {
    let file = try scratch.write(experiment, to: "x.yaml")
    let (assets, output) = (scratch.assets, scratch.path + "/" + directory)
    let breakdown = Breakdown(at: count)
    return try ThreadCommunicators.run(size: ranks) { communicator in
      try runExperiment(
        ExperimentRequest(path: file, settings: settings), output: output, resume: true,
        environment: RunEnvironment(mpiLibrary: nil), assets: assets, communicator: communicator,
        assemble: quadratic { _ in try breakdown.countDown() })
    }[0]
  }

  /// A table without the columns that a clock fills.
  private func table(_ scratch: Scratch, _ path: String) throws -> [[Substring]] {
    let rows = try scratch.read(path).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    let kept = rows[0].indices.filter { !isMeasured(rows[0][$0]) }
    return rows.map { row in kept.map { row[$0] } }
  }

  /// The lines of metrics.jsonl without what is measured.
  private func metrics(_ scratch: Scratch, _ run: String) throws -> [NSDictionary] {
    try scratch.read("\(run)/metrics.jsonl").split(separator: "\n").map {
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      return object.filter { !isMeasured($0.key) } as NSDictionary
    }
  }

  /// The points of all of a run's event files without what is measured.
  private func points(_ scratch: Scratch, _ run: String) throws -> [ScalarEvents.Point] {
    let folder = "\(scratch.path)/\(run)/tensorboard"
    return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().flatMap {
      try ScalarEvents.points(
        in: Array(Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0))))
    }.filter { !isMeasured($0.tag) && !$0.tag.hasPrefix("seconds/") }
  }

  private func expectSame(_ scratch: Scratch, _ a: String, _ b: String) throws {
    #expect(try metrics(scratch, a) == metrics(scratch, b))
    #expect(try points(scratch, a) == points(scratch, b))
    for name in ["rounds.csv", "clients.csv", "evaluation.csv"] {
      #expect(try table(scratch, "\(a)/\(name)") == table(scratch, "\(b)/\(name)"), "\(name)")
    }
    for name in ["client_evaluation.csv", "evaluation_clients.csv"]
    where FileManager.default.fileExists(atPath: "\(scratch.path)/\(a)/\(name)") {
      #expect(try table(scratch, "\(a)/\(name)") == table(scratch, "\(b)/\(name)"), "\(name)")
    }
  }

  @Test(
    "a run that broke off goes on to the same digest and tables, on another number of ranks",
    arguments: [
      [], ["method.upload.density=0.1", "method.residual=kept"],
      [
        "method.persistence=nested", "method.trainable=downloaded",
        "method.upload.select=downloaded",
        "method.download.density={initial: 1, factor: 0.8, period: 1}",
        "method.download.indices=difference", "method.upload.values=int8",
      ], ["evaluation.clients=2", "evaluation.holdout=0.3", "evaluation.masked=both"],
      clocked, clocked + ["method.residual=kept"], clocked + ["system.dropout=1"],
      [
        "federation.server={optimizer: fed_avgm, learning_rate: 0.5, schedule: {kind: cosine}}",
        "privacy={clipping: adaptive, clip: 0.5, noise_multiplier: 0.25}",
        "local.optimizer=adam_w", "method.upload.values=int8",
      ],
    ])
  func goesOn(settings: [String]) throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole", ranks: 1, settings: settings))
    for (broken, ranks) in [(1, 3), (2, 2), (3, 1), (4, 2)] {
      let name = "broken\(broken)"
      #expect(throws: (any Error).self) {
        try run(scratch, name, ranks: ranks, settings: settings, breakingAt: broken)
      }
      let resumed = try #require(
        try run(scratch, name, ranks: ranks % 3 + 1, settings: settings))
      #expect(resumed.digest == whole.digest, "broken at save \(broken)")
      #expect(resumed.text.hasSuffix("digest \(whole.digest)\n\(scratch.path)/\(name)\n"))
      try expectSame(scratch, name, "whole")
    }
  }

  @Test("a finished run stays as it is and says its digest")
  func finished() throws {
    let scratch = try Scratch()
    let first = try #require(try run(scratch, "r", ranks: 1))
    let before = try scratch.read("r/rounds.csv")
    let again = try #require(try run(scratch, "r", ranks: 2, breakingAt: 1))
    #expect(again.digest == first.digest)
    #expect(try scratch.read("r/rounds.csv") == before)
  }

  @Test("a finished run goes on to more rounds as if it had had them from the start")
  func moreRounds() throws {
    let scratch = try Scratch()
    // A run is evaluated after its last round: that of the longer one, too, has an evaluation there.
    let seven = "evaluation.every=7"
    let whole = try #require(
      try run(scratch, "whole", ranks: 1, settings: [seven, "federation.rounds=9"]))
    _ = try run(scratch, "r", ranks: 1, settings: [seven])
    let longer = try #require(
      try run(scratch, "r", ranks: 2, settings: [seven, "federation.rounds=9"]))
    #expect(longer.digest == whole.digest)
    try expectSame(scratch, "r", "whole")
    #expect(try scratch.read("r/config.yaml") == scratch.read("whole/config.yaml"))
    // Not where the rounds so far would have been others.
    let cosine = "federation.server.schedule.kind=cosine"
    _ = try run(scratch, "cosine", ranks: 1, settings: [cosine])
    #expect(throws: RunFailure.self) {
      try run(scratch, "cosine", ranks: 1, settings: [cosine, "federation.rounds=9"])
    }
  }

  @Test(
    "where the newest checkpoint is damaged the one before is taken, and where all are, the start ends"
  )
  func damaged() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole", ranks: 1))
    for damagedCount in [1, 2] {
      let name = "damaged\(damagedCount)"
      _ = try? run(scratch, name, ranks: 1, breakingAt: 4)
      let folder = scratch.path + "/\(name)/checkpoints"
      let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(files == ["round-000004.safetensors", "round-000006.safetensors"])
      for file in files.suffix(damagedCount) {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + file))
        bytes[bytes.count - 5] ^= 4
        try bytes.write(to: URL(fileURLWithPath: folder + "/" + file))
      }
      if damagedCount == 2 {
        let before = try scratch.read("\(name)/rounds.csv")
        #expect {
          try run(scratch, name, ranks: 1)
        } throws: { error in
          (error as? RunFailure)?.exitCode == 65 && "\(error)".contains("holds no whole checkpoint")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == files)
        #expect(try scratch.read("\(name)/rounds.csv") == before)
        continue
      }
      let resumed = try #require(try run(scratch, name, ranks: 1))
      #expect(resumed.digest == whole.digest)
      try expectSame(scratch, name, "whole")
    }
  }

  @Test("a table whose last line was cut is mended")
  func tornLine() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole", ranks: 1))
    _ = try? run(scratch, "torn", ranks: 1, breakingAt: 3)
    for name in ["rounds.csv", "clients.csv"] {
      let text = try scratch.read("torn/\(name)")
      _ = try scratch.write(text + "6,3,4", to: "torn/\(name)")
    }
    #expect(try run(scratch, "torn", ranks: 1)?.digest == whole.digest)
    try expectSame(scratch, "torn", "whole")
  }

  @Test("another experiment, or something else, is not gone on with")
  func other() throws {
    let scratch = try Scratch()
    _ = try? run(scratch, "r", ranks: 1, breakingAt: 2)
    #expect {
      try run(scratch, "r", ranks: 1, settings: ["seed=3", "federation.rounds=5"])
    } throws: { error in
      let text = "\(error)"
      return text.contains("federation.rounds is 5, there 7") && text.contains("seed is 3, there 0")
    }
    // What changes no result may differ.
    #expect(
      try run(
        scratch, "r", ranks: 2,
        settings: ["checkpoint.every_rounds=1", "federation.uploads=all_gather"]) != nil)
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/notes", withIntermediateDirectories: true)
    _ = try scratch.write("my notes", to: "notes/a.txt")
    #expect(throws: RunFailure.self) { try run(scratch, "notes", ranks: 1) }
  }
}
