// Whole runs with a closed form in place of the model: directory, tables, digest, failures.

import Communication
import Configuration
import Experiments
import Federation
import Files
import Foundation
import RunFiles
import Testing

private let experiment = """
  model: {path: m}
  data: {path: d}
  partition: {kind: iid, clients: 6}
  federation: {rounds: 4, cohort_size: 3, server: {optimizer: sgd, learning_rate: 1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 2, splits: [test], maximum_examples: 10}
  """

/// Runs on `size` threads; the outcome of rank 0 and every rank's failure.
private func run(
  _ request: ExperimentRequest, output: String, ranks: Int, scratch: Scratch,
  _ assemble: @escaping @Sendable () -> Assembler = { quadratic() }
) throws -> RunOutcome? {
  let assets = scratch.assets
  return try ThreadCommunicators.run(size: ranks) { communicator in
    try runExperiment(
      request, output: output, environment: RunEnvironment(mpiLibrary: nil), assets: assets,
      communicator: communicator, assemble: assemble())
  }[0]
}

/// A CSV table without the columns that a clock fills.
private func withoutSeconds(_ csv: String) -> [[Substring]] {
  let rows = csv.split(separator: "\n").map {
    $0.split(separator: ",", omittingEmptySubsequences: false)
  }
  let kept = rows[0].indices.filter { !isMeasured(rows[0][$0]) }
  return rows.map { row in kept.map { row[$0] } }
}

struct RunTests {
  @Test("a run leaves a complete directory and prints table, digest and path")
  func directory() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let outcome = try #require(
      try run(
        ExperimentRequest(path: file), output: scratch.path + "/r", ranks: 1, scratch: scratch))
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/r").sorted()
    #expect(
      names == [
        ".lock", "adapter", "checkpoints", "clients.csv", "config.yaml", "confusion.csv",
        "evaluated.safetensors", "evaluation.csv", "manifest.json",
        "metrics.jsonl", "rounds.csv", "tensorboard", "wire.csv",
      ])
    #expect(try scratch.read("r/rounds.csv").split(separator: "\n").count == 5)
    #expect(try scratch.read("r/clients.csv").split(separator: "\n").count == 13)
    #expect(try scratch.read("r/evaluation.csv").split(separator: "\n").count == 3)
    let manifest = try #require(
      try JSONSerialization.jsonObject(with: Data(scratch.read("r/manifest.json").utf8))
        as? [String: Any])
    #expect(manifest["status"] as? String == "finished")
    #expect(manifest["digest"] as? String == outcome.digest)
    #expect(outcome.digest.count == 16)
    #expect(outcome.text.hasSuffix("digest \(outcome.digest)\n\(scratch.path)/r\n"))
    #expect(try scratch.read("r/rounds.csv").contains(outcome.digest))
  }

  @Test("tables and digest are the same on 1, 2 and 3 ranks", arguments: [2, 3])
  func rankCount(ranks: Int) throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let request = ExperimentRequest(path: file)
    let one = try run(request, output: scratch.path + "/r1", ranks: 1, scratch: scratch)
    let more = try run(request, output: scratch.path + "/rn", ranks: ranks, scratch: scratch)
    #expect(one?.digest == more?.digest)
    for table in ["rounds.csv", "clients.csv", "evaluation.csv"] {
      #expect(
        try withoutSeconds(scratch.read("r1/" + table))
          == withoutSeconds(scratch.read("rn/" + table)), "\(table)")
    }
    #expect(try scratch.read("rn/adapter/vector.txt") == scratch.read("r1/adapter/vector.txt"))
  }

  @Test("evaluations on clients have tables of their own, the same on 1, 2 and 3 ranks")
  func clientTables() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let settings = ["evaluation.clients=2", "evaluation.masked=both"]
    let request = ExperimentRequest(path: file, settings: settings)
    for ranks in 1...3 {
      let outcome = try #require(
        try run(request, output: scratch.path + "/r\(ranks)", ranks: ranks, scratch: scratch))
      for table in ["client_evaluation.csv", "evaluation_clients.csv", "evaluation.csv"] {
        #expect(
          try withoutSeconds(scratch.read("r\(ranks)/" + table))
            == withoutSeconds(scratch.read("r1/" + table)), "\(table)")
      }
      let header = try #require(outcome.text.split(separator: "\n").first)
      for column in ["test accuracy (masked)", "test accuracy (whole)", "unseen clients"] {
        #expect(header.contains(column), "\(header)")
      }
    }
    let groups = withoutSeconds(try scratch.read("r1/evaluation_clients.csv"))
    #expect(groups[0].prefix(4) == ["round", "group", "masked", "clients"])
    // Two evaluations of two vectors each; some client was never drawn by round 2 of 3.
    #expect(groups.filter { $0[1] == "seen" }.map { $0[2] } == ["true", "false", "true", "false"])
    let rows = withoutSeconds(try scratch.read("r1/client_evaluation.csv"))
    #expect(
      rows[0] == [
        "round", "group", "masked", "client", "examples", "items", "correct", "accuracy", "loss",
      ])
    for group in groups.dropFirst() {
      let own = rows.filter { $0.prefix(3) == group.prefix(3) }
      #expect(own.count == Int(group[3]))
      let mean = own.reduce(0) { $0 + Double($1[7])! } / Double(own.count)
      #expect(abs(mean - Double(group[5])!) < 1e-12)
    }
    let shown = try inspection(of: scratch.path + "/r1")
    #expect(shown.contains("accuracy_worst_tenth") && shown.contains("unseen"))
  }

  @Test("a run from the config.yaml of another repeats it")
  func again() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let settings = ["method.download.density=0.5", "method.upload.select=all", "seed=7"]
    let first = try run(
      ExperimentRequest(path: file, settings: settings), output: scratch.path + "/a", ranks: 1,
      scratch: scratch)
    let second = try run(
      ExperimentRequest(path: scratch.path + "/a/config.yaml"), output: scratch.path + "/b",
      ranks: 2, scratch: scratch)
    #expect(first?.digest == second?.digest)
    #expect(try scratch.read("a/config.yaml") == scratch.read("b/config.yaml"))
  }

  @Test(
    "privacy is in each round's row, in the manifest and at the end; without it the cells are empty"
  )
  func privacy() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let off = try run(
      ExperimentRequest(path: file), output: scratch.path + "/off", ranks: 1, scratch: scratch)
    let outcome = try run(
      ExperimentRequest(
        path: file,
        settings: [
          "privacy={clipping: adaptive, clip: 0.5, target_epsilon: 20, delta: 0.01,"
            + " clip_count_deviation: 2}"
        ]), output: scratch.path + "/on", ranks: 3, scratch: scratch)
    func columns(_ run: String) throws -> [String: [String]] {
      let rows = try scratch.read("\(run)/rounds.csv").split(separator: "\n").map {
        $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      }
      return Dictionary(
        uniqueKeysWithValues: rows[0].indices.map { i in
          (rows[0][i], rows.dropFirst().map { $0[i] })
        })
    }
    let (without, with) = try (columns("off"), columns("on"))
    #expect(Set(without.keys) == Set(with.keys))
    for name in ["clip", "clipped_share", "noise_deviation", "epsilon"] {
      #expect(without[name] == ["", "", "", ""])
      #expect(try #require(with[name]).allSatisfy { Double($0) != nil }, "\(name)")
    }
    let epsilons = try #require(with["epsilon"]).compactMap(Double.init)
    #expect(epsilons == epsilons.sorted() && Set(epsilons).count == 4)
    #expect(epsilons[3] <= 20 && epsilons[3] > 19.9)
    #expect(Set(try #require(with["clip"])).count == 4 && with["clip"]?[0] == "0.5")
    let manifest = try #require(
      try JSONSerialization.jsonObject(with: Data(scratch.read("on/manifest.json").utf8))
        as? [String: Any])
    let entry = try #require(manifest["privacy"] as? [String: Any])
    #expect(entry["epsilon"] as? String == with["epsilon"]?[3])
    #expect(entry["sampling_rate"] as? Double == 0.5)
    let multiplier = try #require(entry["noise_multiplier"] as? Double)
    #expect(
      multiplier
        == PrivacyAccountant.noiseMultiplier(
          targetEpsilon: 20, delta: 0.01, samplingRate: 0.5, rounds: 4))
    let text = try #require(outcome?.text)
    #expect(
      text.contains(
        "\nprivacy epsilon 20.00 at delta 0.01 after 4 rounds: 3 of 6 clients a round,"),
      "\(text)")
    #expect(off?.text.contains("privacy") == false)
    #expect(try scratch.read("on/config.yaml").contains("target_epsilon: 20"))
    #expect(try scratch.read("off/clients.csv").contains("upload_norm"))
  }

  @Test("another seed is another run")
  func seed() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let digests = try ["0", "1"].map { seed in
      try run(
        ExperimentRequest(path: file, settings: ["seed=\(seed)"]),
        output: scratch.path + "/" + seed, ranks: 1, scratch: scratch)?.digest
    }
    #expect(digests[0] != digests[1])
  }
}

struct RunFailureTests {
  /// The failures of all ranks; empty where the run went well.
  private func failures(
    _ request: ExperimentRequest, output: String, ranks: Int = 1, scratch: Scratch,
    _ assemble: @escaping @Sendable () -> Assembler = { quadratic() }
  ) throws -> [RunFailure] {
    let assets = scratch.assets
    return try ThreadCommunicators.run(size: ranks) { communicator -> RunFailure? in
      do {
        _ = try runExperiment(
          request, output: output, environment: RunEnvironment(mpiLibrary: nil), assets: assets,
          communicator: communicator, assemble: assemble())
        return nil
      } catch let failure as RunFailure {
        // A real rank aborts here; a thread that leaves lets the others' calls throw.
        return failure
      }
    }.compactMap { $0 }
  }

  @Test("a directory with another run is refused and stays as it is")
  func occupied() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let output = scratch.path + "/r"
    _ = try run(ExperimentRequest(path: file), output: output, ranks: 1, scratch: scratch)
    let before = try scratch.read("r/rounds.csv")
    let found = try failures(
      ExperimentRequest(path: file), output: output, ranks: 2, scratch: scratch)
    #expect(found.map(\.exitCode) == [64, 64])
    #expect(
      found.flatMap(\.lines) == [
        "--output \(output): holds a finished run of this experiment; give a new directory"
      ])
    #expect(found.allSatisfy { !$0.needsAbort })
    #expect(try scratch.read("r/rounds.csv") == before)
  }

  @Test("problems of the experiment reach all ranks, and rank 0 alone tells them")
  func problems() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment + "\nlocal2: 1\nseed: -1\n", to: "small.yaml")
    let output = scratch.path + "/r"
    let found = try failures(
      ExperimentRequest(path: file), output: output, ranks: 3, scratch: scratch)
    #expect(found.map(\.exitCode) == [64, 64, 64])
    #expect(found.map(\.lines.count) == [2, 0, 0])
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  @Test("a missing experiment, model or corpus ends with 66")
  func missing() throws {
    let scratch = try Scratch()
    let output = scratch.path + "/r"
    let absent = try failures(
      ExperimentRequest(path: scratch.path + "/no.yaml"), output: output, scratch: scratch)
    #expect(absent.first?.exitCode == 66)
    let file = try scratch.write(experiment, to: "small.yaml")
    let found = try failures(
      ExperimentRequest(path: file, settings: ["model.path=nope", "data.path=none"]),
      output: output, scratch: scratch)
    #expect(found.first?.exitCode == 66)
    #expect(
      found.first?.lines == [
        "nope is not in \(scratch.path)/home, which is empty; type make assets, or give a directory, from"
          + " / or . on",
        "none is not in \(scratch.path)/home, which is empty; type make assets, or give a directory, from"
          + " / or . on",
      ])
  }

  @Test("a plan that fits no population ends with 64 on all ranks")
  func plan() throws {
    let scratch = try Scratch()
    let cohorts = try scratch.write("[[0, 1], [0, 99]]", to: "cohorts.json")
    let file = try scratch.write(experiment, to: "small.yaml")
    let settings = [
      "federation.rounds=2", "federation.cohort={kind: file, path: \(cohorts)}",
    ]
    let found = try failures(
      ExperimentRequest(path: file, settings: settings), output: scratch.path + "/r", ranks: 2,
      scratch: scratch)
    #expect(found.map(\.exitCode) == [64, 64])
    #expect(found.flatMap(\.lines).count == 1)
  }

  @Test("what fails on one rank before the first round ends all with its code")
  func oneRank() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let found = try failures(
      ExperimentRequest(path: file), output: scratch.path + "/r", ranks: 3, scratch: scratch
    ) { quadratic(failing: 2) }
    #expect(found.map(\.exitCode) == [65, 65, 65])
    #expect(found[0].lines.isEmpty && found[1].lines.isEmpty)
    #expect(found[2].lines.first?.hasPrefix("rank 2 on ") == true)
    #expect(found[2].lines.first?.hasSuffix(": no such tensor") == true)
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/r"))
  }

  @Test("a full disk ends the run with 74 and one line, and what was written stays whole")
  func fullDisk() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    let output = scratch.path + "/r"
    // The adapter is written after the evaluation of round 2.
    let found = try failures(ExperimentRequest(path: file), output: output, scratch: scratch) {
      quadratic(onSave: {
        throw CommandFailure(ExitCode.inputOutput, "\($0): No space left on device")
      })
    }
    #expect(found.map(\.exitCode) == [74])
    #expect(found.flatMap(\.lines) == ["\(output)/adapter: No space left on device"])
    let rounds = try scratch.read("r/rounds.csv")
    #expect(rounds.split(separator: "\n").count == 3)
    #expect(rounds.hasSuffix("\n"))
  }

  @Test("a client that throws is named with its round, and the rank aborts")
  func client() throws {
    let scratch = try Scratch()
    let file = try scratch.write(experiment, to: "small.yaml")
    for ranks in [1, 3] {
      let output = scratch.path + "/r\(ranks)"
      let found = try failures(
        ExperimentRequest(path: file), output: output, ranks: ranks, scratch: scratch
      ) { quadratic(poison: 5) }
      #expect(found.count == ranks)
      #expect(found.map(\.needsAbort) == Array(repeating: ranks > 1, count: ranks))
      let cause = found.flatMap(\.lines).first { $0.contains("a poisoned example") }
      #expect(cause?.contains("round ") == true, "\(found)")
      #expect(cause?.contains("client 5") == true, "\(found)")
      let manifest = try String(contentsOfFile: output + "/manifest.json", encoding: .utf8)
      #expect(manifest.contains("\"status\" : \"failed\""))
    }
  }
}

struct RunDirectoryTests {
  @Test("runs that start in the same second get directories of their own")
  func unique() throws {
    let scratch = try Scratch()
    let now = Date(timeIntervalSince1970: 1_763_815_500)
    let paths = try (0..<3).map { _ in
      try RunDirectory.create(
        output: nil, name: "x", now: now, parent: scratch.path + "/runs"
      ).path
    }
    #expect(Set(paths).count == 3)
    #expect(paths[1] == paths[0] + "-2")
  }

  @Test("runs are named by their experiment file, or by the run whose config.yaml it is")
  func names() {
    #expect(ExperimentRequest.name(ofFile: "a/b.c.yaml") == "b.c")
    #expect(
      ExperimentRequest.name(ofFile: "runs/b.c-20261122-130000/config.yaml") == "b.c")
    #expect(
      ExperimentRequest.name(ofFile: "runs/b-1-20261122-130000-2/config.yaml") == "b-1")
    #expect(ExperimentRequest.name(ofFile: "mine/config.yaml") == "mine")
  }

  @Test("names are looked up in CELLM_HOME, or in the user's cache")
  func assets() {
    func path(_ environment: [String: String]) -> String {
      AssetDirectory(environment: environment).resolve("m")
    }
    #expect(path(["CELLM_HOME": "/c", "HOME": "/h"]) == "/c/m")
    #expect(path(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/cellm-mpi/m")
    #expect(path(["HOME": "/h"]) == "/h/.cache/cellm-mpi/m")
    #expect(path(["XDG_CACHE_HOME": "x", "HOME": "/h"]) == "/h/.cache/cellm-mpi/m")
    #expect(path(["XDG_CACHE_HOME": "~/x", "HOME": "/h"]) == "/h/.cache/cellm-mpi/m")
    #expect(path(["CELLM_HOME": "~/x y", "HOME": "/h"]) == "/h/x y/m")
    #expect(path(["CELLM_HOME": "~", "HOME": "/h"]) == "/h/m")
    let here = FileManager.default.currentDirectoryPath
    #expect(path(["CELLM_HOME": "x", "HOME": "/h"]) == here + "/x/m")
    #expect(path(["CELLM_HOME": "~other/x", "HOME": "/h"]) == here + "/~other/x/m")
    #expect(path(["CELLM_HOME": "", "PATH": ""]).hasSuffix("/.cache/cellm-mpi/m"))
    #expect(AssetDirectory(environment: ["HOME": "/h"]).resolve("/m") == "/m")
  }
}
