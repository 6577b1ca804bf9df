// A run directory between two starts: what a start may find there, what it refuses, and what it
// leaves as it is.

import Communication
import Configuration
import Experiments
import Files
import Foundation
import RunFiles
import Testing

private let experiment = """
  model: {path: m}
  data: {path: d}
  partition: {kind: iid, clients: 6}
  method: {download: {density: 0.5, indices: difference}, upload: {density: 0.25}}
  federation: {rounds: 7, cohort_size: 3, server: {optimizer: adam_w, learning_rate: 0.1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 2, splits: [test], maximum_examples: 10}
  checkpoint: {every_rounds: 2, keep: 2}
  """

struct LifecycleTests {
  /// A start of the run in `directory`; `stoppingAt` lets the saving of its n-th adapter fail, `poison`
  /// the training of an example.
  @discardableResult
  private func run(
    _ scratch: Scratch, _ directory: String = "r", stoppingAt count: Int = 0, poison: Int? = nil,
    settings: [String] = [], resume: Bool = true
  ) throws -> RunOutcome? {
    let file = try scratch.write(experiment, to: "x.yaml")
    let saves = Counter()
    return try runExperiment(
      ExperimentRequest(path: file, settings: settings), output: scratch.path + "/" + directory,
      resume: resume, environment: RunEnvironment(mpiLibrary: nil), assets: scratch.assets,
      communicator: SingleProcessCommunicator(),
      assemble: quadratic(poison: poison) { _ in
        if saves.next() == count { throw Stopped() }
      })
  }

  private struct Stopped: Error {}

  /// Counts from 1.
  private final class Counter: @unchecked Sendable {
    private var count = 0
    func next() -> Int {
      count += 1
      return count
    }
  }

  /// The failure of a start.
  private func failure(_ body: () throws -> RunOutcome?) -> RunFailure? {
    do {
      _ = try body()
      return nil
    } catch { return error as? RunFailure }
  }

  private func manifest(_ scratch: Scratch) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(scratch.read("r/manifest.json").utf8))
        as? [String: Any])
  }

  /// All files that a start must not touch before its first round, with their content.
  private func files(_ scratch: Scratch) throws -> [String: Data] {
    let root = scratch.path + "/r"
    var found: [String: Data] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: root)
    where path.hasSuffix(".csv") || path.hasSuffix(".jsonl") || path.contains("/") {
      found[path] = FileManager.default.contents(atPath: root + "/" + path)
    }
    return found
  }

  private let newest = "checkpoints/round-000006.safetensors"

  @Test("a checkpoint that cannot be read ends the start with 74, and nothing is touched")
  func unreadable() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole"))
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 4) }
    let before = try files(scratch)
    let path = scratch.path + "/r/" + newest
    try FileManager.default.moveItem(atPath: path, toPath: scratch.path + "/away")
    // A link to itself: it is there, and opening it fails with ELOOP.
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    let found = try #require(failure { try run(scratch) })
    #expect(found.exitCode == 74)
    #expect(found.lines.count == 1)
    #expect(found.lines[0].contains(path) && found.lines[0].contains("Too many levels"))
    #expect(found.lines[0].contains("give another --output to begin anew"))
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: scratch.path + "/away", toPath: path)
    #expect(try files(scratch) == before)
    #expect(try run(scratch)?.digest == whole.digest)
  }

  @Test(
    "checkpoints that are gone or of another version, and a manifest that is none, end the start")
  func unusable() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole"))
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 4) }
    let before = try files(scratch)
    let path = scratch.path + "/r/" + newest
    let folder = scratch.path + "/r/checkpoints"
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let text = String(decoding: bytes, as: Unicode.ASCII.self)
    let format = try #require(text.range(of: "cellm-mpi checkpoint 1"))
    var other = bytes
    other[text.distance(from: text.startIndex, to: format.upperBound) - 1] = UInt8(ascii: "2")
    try other.write(to: URL(fileURLWithPath: path))
    let version = failure { try run(scratch) }
    #expect(version?.exitCode == 65)
    #expect(version?.lines.first?.contains("cellm-mpi checkpoint 2") == true)
    try bytes.write(to: URL(fileURLWithPath: path))

    try FileManager.default.moveItem(atPath: folder, toPath: scratch.path + "/away")
    for isMade in [false, true] {
      if isMade {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
      }
      let gone = failure { try run(scratch) }
      #expect(gone?.exitCode == 74)
      #expect(gone?.lines.first?.contains("one was saved after 6 rounds") == true)
    }
    try FileManager.default.removeItem(atPath: folder)
    try FileManager.default.moveItem(atPath: scratch.path + "/away", toPath: folder)

    let manifest = try scratch.read("r/manifest.json")
    _ = try scratch.write(String(manifest.dropLast(100)), to: "r/manifest.json")
    let cut = failure { try run(scratch) }
    #expect(cut?.exitCode == 65)
    #expect(cut?.lines.first?.contains("manifest.json: is not a manifest") == true)
    _ = try scratch.write(manifest, to: "r/manifest.json")
    #expect(try files(scratch) == before)
    #expect(try run(scratch)?.digest == whole.digest)
  }

  @Test("no table is cut before the first new round was played")
  func lateCut() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole"))
    // Stopped after round 4 was counted and before it was saved: its rows are to be cut.
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 2) }
    let before = try files(scratch)
    // Every client trains, so the first round fails.
    for example in 0..<24 {
      #expect(throws: RunFailure.self) {
        try run(scratch, poison: example, settings: ["checkpoint.every_rounds=1"])
      }
      guard try files(scratch) == before else { continue }
      let now = try files(scratch)
      #expect(now == before)
      #expect(try run(scratch)?.digest == whole.digest)
      return
    }
    Issue.record("no start failed in its first round")
  }

  @Test("every changed byte of a checkpoint is found, or changes nothing")
  func checksum() throws {
    let scratch = try Scratch()
    let settings = ["evaluation.every=100", "local.learning_rate=0.3"]
    let whole = try #require(try run(scratch, "whole", settings: settings))
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 1, settings: settings) }
    let folder = scratch.path + "/r/checkpoints"
    try FileManager.default.removeItem(atPath: folder + "/round-000004.safetensors")
    let path = scratch.path + "/r/" + newest
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(bytes.count > 1000)
    var refused = 0
    for index in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 97)) {
      var damaged = bytes
      damaged[index] ^= 1
      try damaged.write(to: URL(fileURLWithPath: path))
      if let found = failure({ try run(scratch, stoppingAt: 1, settings: settings) }),
        found.exitCode == 65
      {
        refused += 1
        #expect(found.lines.first?.contains(path) == true, "byte \(index): \(found.lines)")
      } else {
        // The start got as far as the end of the run.
        #expect(
          try scratch.read("r/rounds.csv").contains(whole.digest), "byte \(index) of \(bytes.count)"
        )
      }
    }
    #expect(refused >= 95)
  }

  @Test("input files that changed are refused by name; the same content elsewhere is the same")
  func inputs() throws {
    let scratch = try Scratch()
    _ = try scratch.write("weights", to: "home/m/model.safetensors")
    _ = try scratch.write("tokens", to: "home/d/train.safetensors")
    let whole = try #require(try run(scratch, "whole"))
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 3) }
    let before = try files(scratch)
    for (name, old, new) in [
      ("m/model.safetensors", "weights", "Weights"), ("d/train.safetensors", "tokens", "token"),
    ] {
      _ = try scratch.write(new, to: "home/\(name)")
      let found = failure { try run(scratch) }
      #expect(found?.exitCode == 65)
      #expect(
        found?.lines.first?.contains("home/\(name): is not the file with which the run began")
          == true)
      _ = try scratch.write(old, to: "home/\(name)")
    }
    _ = try scratch.write("more", to: "home/m/model-2.safetensors")
    #expect(
      failure { try run(scratch) }?.lines.first?.contains("was not there when the run began")
        == true)
    try FileManager.default.moveItem(
      atPath: scratch.path + "/home/m/model-2.safetensors", toPath: scratch.path + "/other")
    try FileManager.default.moveItem(
      atPath: scratch.path + "/home/d/train.safetensors", toPath: scratch.path + "/train")
    #expect(failure { try run(scratch) }?.lines.first?.contains("is gone") == true)
    try FileManager.default.moveItem(
      atPath: scratch.path + "/train", toPath: scratch.path + "/home/d/train.safetensors")
    #expect(try files(scratch) == before)
    #expect(try run(scratch)?.digest == whole.digest)
    // Each start's files are known.
    let starts = try #require(try manifest(scratch)["starts"] as? [[String: Any]])
    #expect(starts.count == 1 && starts[0]["inputs"] != nil)
    try FileManager.default.moveItem(
      atPath: scratch.path + "/home", toPath: scratch.path + "/home2")
    let file = try scratch.write(experiment, to: "x.yaml")
    _ = try runExperiment(
      ExperimentRequest(path: file, settings: ["federation.rounds=8"]), output: scratch.path + "/r",
      resume: true, environment: RunEnvironment(mpiLibrary: nil),
      assets: AssetDirectory(environment: ["CELLM_HOME": scratch.path + "/home2"]),
      communicator: SingleProcessCommunicator(), assemble: quadratic())
    let moved = try #require(try manifest(scratch)["starts"] as? [[String: Any]])
    #expect(moved.count == 2)
    for start in moved {
      let paths = (start["inputs"] as? [[String: Any]])?.compactMap { $0["path"] as? String }
      #expect(paths?.count == 2 && paths?.allSatisfy { $0.contains("/home/") } == true)
    }
  }

  @Test("a run whose config.yaml was cut short began nothing", arguments: [0, 1, 100])
  func cutConfiguration(length: Int) throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole"))
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/r", withIntermediateDirectories: false)
    _ = try scratch.write(
      String(try scratch.read("whole/config.yaml").prefix(length)), to: "r/config.yaml")
    #expect(try run(scratch, resume: length != 0)?.digest == whole.digest)
    #expect(try scratch.read("r/config.yaml") == scratch.read("whole/config.yaml"))
  }

  @Test("a directory without --resume says whether the run in it goes on with it")
  func occupied() throws {
    let scratch = try Scratch()
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 2) }
    let again = failure { try run(scratch, resume: false) }
    #expect(again?.exitCode == 64)
    #expect(again?.lines.first?.contains("go on with --resume") == true)
    let other = failure { try run(scratch, settings: ["seed=1"], resume: false) }
    #expect(other?.lines.first?.hasSuffix("holds another run; give a new directory") == true)
  }

  @Test("what killed processes were writing is removed, and nothing else")
  func temporaries() throws {
    let scratch = try Scratch()
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 3) }
    let leftovers = [
      "checkpoints/.round-000006.safetensors.17-3.tmp", "adapter/.adapter_config.json.1-1.tmp",
      "manifest.json.0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F.tmp",
      ".manifest.json.0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F.tmp",
    ]
    let others = ["notes.tmp", "checkpoints/round-x.tmp", ".a.1-x.tmp", ".0123.tmp"]
    for name in leftovers + others { _ = try scratch.write("", to: "r/" + name) }
    try run(scratch)
    func isThere(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: scratch.path + "/r/" + name)
    }
    #expect(leftovers.allSatisfy { !isThere($0) })
    #expect(others.allSatisfy(isThere))
  }

  @Test("a start waits for a lock that is about to be free")
  func lock() throws {
    let scratch = try Scratch()
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 3) }
    let descriptor = open(scratch.path + "/r/.lock", O_RDWR)
    #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    Thread.detachNewThread {
      usleep(700_000)
      close(descriptor)
    }
    let start = ContinuousClock.now
    #expect(try run(scratch) != nil)
    #expect(ContinuousClock.now - start > .milliseconds(500))
    #expect(try scratch.read("r/.lock").contains("\"process\":\(getpid())"))
  }

  @Test("a table is cut far from its end, in blocks and with rows of later rounds that are many")
  func longTables() throws {
    let scratch = try Scratch()
    let whole = try #require(try run(scratch, "whole"))
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 4) }
    for name in ["clients.csv", "confusion.csv"] {
      let row = ",1" + String(repeating: ",12345", count: 100) + "\n"
      let many = (0..<2000).map { "\(7 + $0 / 500)" + row }.joined()
      let text = try scratch.read("r/\(name)") + many + "9,1,2"
      _ = try scratch.write(text, to: "r/\(name)")
    }
    #expect(try run(scratch)?.digest == whole.digest)
    for name in ["clients.csv", "confusion.csv"] {
      func rows(_ run: String) throws -> [Substring] {
        try scratch.read("\(run)/\(name)").split(separator: "\n").map {
          $0.split(separator: ",").prefix(8).joined(separator: ",")[...]
        }
      }
      #expect(try rows("r") == rows("whole"))
    }
  }

  @Test("the manifest of a run that goes on keeps its last evaluation")
  func evaluation() throws {
    let scratch = try Scratch()
    #expect(throws: RunFailure.self) { try run(scratch, stoppingAt: 4) }
    #expect((try manifest(scratch)["evaluation"] as? [String: Any])?["round"] as? Int == 7)
    // The seventh round is played again: what is left is an evaluation that is made again.
    #expect(throws: RunFailure.self) { try run(scratch, poison: 3) }
    #expect(try manifest(scratch)["evaluation"] == nil)
    try run(scratch)
    #expect(try manifest(scratch)["saved_rounds"] as? Int == 7)
    #expect(throws: RunFailure.self) {
      try run(scratch, poison: 3, settings: ["federation.rounds=9"])
    }
    #expect((try manifest(scratch)["evaluation"] as? [String: Any])?["round"] as? Int == 7)
  }
}
