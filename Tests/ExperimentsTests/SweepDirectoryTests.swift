// The directory of a sweep: which of its runs belong to the points, its tables, and its inspection.

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
  federation: {rounds: 3, cohort_size: 3, server: {optimizer: sgd, learning_rate: 1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 1, splits: [test], maximum_examples: 10}
  """

/// A sweep of the experiment in a scratch folder, played on one process.
private struct Played {
  let scratch: Scratch

  init(_ text: String) throws {
    scratch = try Scratch()
    _ = try scratch.write(experiment, to: "x.yaml")
    try edit(text)
  }

  func edit(_ text: String) throws {
    _ = try scratch.write("experiment: x.yaml\n" + text, to: "s.sweep.yaml")
  }

  func play(only: Int? = nil, ranks: Int = 1, _ assemble: @escaping @Sendable () -> Assembler)
    throws -> SweepOutcome
  {
    let (assets, path) = (scratch.assets, scratch.path)
    return try ThreadCommunicators.run(size: ranks) { communicator in
      try runSweep(
        path: path + "/s.sweep.yaml", output: path + "/out", only: only,
        environment: RunEnvironment(mpiLibrary: nil), assets: assets, communicator: communicator,
        assemble: assemble())
    }[0]
  }

  func play(only: Int? = nil, ranks: Int = 1) throws -> SweepOutcome {
    try play(only: only, ranks: ranks) { quadratic() }
  }

  /// The cells of a line; commas between quotation marks belong to a cell.
  private static func cells(_ line: Substring) -> [String] {
    var cells = [""]
    var isQuoted = false
    for character in line {
      switch character {
      case "\"": isQuoted.toggle()
      case "," where !isQuoted: cells.append("")
      default: cells[cells.count - 1].append(character)
      }
    }
    return cells
  }

  /// A table's rows, each by its columns.
  func rows(_ name: String = "points.csv") throws -> [[String: String]] {
    let lines = try scratch.read("out/" + name).split(separator: "\n").map(Self.cells)
    return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
  }
}

struct EditedSweepTests {
  @Test("what killed groups were writing is removed from a sweep's directory, and nothing else")
  func leftovers() throws {
    let sweep = try Played("points: {a: {}}")
    _ = try sweep.play()
    let mark = UUID().uuidString
    for name in [".points.csv.\(mark).tmp", ".seeds.csv.\(mark).tmp", "notes.tmp"] {
      _ = try sweep.scratch.write("", to: "out/" + name)
    }
    _ = try sweep.play()
    let out = sweep.scratch.path + "/out"
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: out).sorted()
        == [".claims", "a", "notes.tmp", "points.csv"])
  }

  @Test("an edited sweep does not take the old finished points for the new ones")
  func edited() throws {
    let sweep = try Played("points: {a: {}, b: {seed: 1}, c: {seed: 2}}")
    #expect(try sweep.play().finished.count == 3)
    try sweep.edit("points: {a: {}, b: {seed: 7, local.epochs: 2}, c: {seed: 2}}")
    let table = try sweep.scratch.read("out/points.csv")
    #expect {
      try sweep.play()
    } throws: { error in
      let text = (error as? RunFailure)?.description ?? ""
      return (error as? RunFailure)?.exitCode == 64
        && text.contains(
          "point b: \(sweep.scratch.path)/out/b is a run of another experiment: "
            + "local.epochs is 2, there 1; seed is 7, there 1")
        && text.contains("give another --output, or remove the directories of these points")
        && !text.contains("point a") && !text.contains("point c")
    }
    #expect(try sweep.scratch.read("out/points.csv") == table)
    #expect {
      try sweepListing(
        path: sweep.scratch.path + "/s.sweep.yaml", output: sweep.scratch.path + "/out",
        assets: sweep.scratch.assets)
    } throws: {
      "\($0)".contains("point b")
    }
    // Another point of it is no matter of an array task's.
    #expect(try sweep.play(only: 2).finished.isEmpty)
    // Its row has none of the old results beside the new settings.
    let row = try sweep.rows()[1]
    #expect(row["status"] == "waiting" && row["digest"] == "" && row["loss"] == "")
    #expect(row["failure"] == "its directory has a run of another experiment")
    #expect(row["local.epochs"] == "2" && row["seed"] == "7")
    try FileManager.default.removeItem(atPath: sweep.scratch.path + "/out/b")
    #expect(try sweep.play().finished == ["b"])
  }

  @Test("keys that change no result may differ")
  func harmless() throws {
    let sweep = try Played("points: {a: {}, b: {seed: 1}}")
    #expect(try sweep.play().finished.count == 2)
    try sweep.edit(
      "points: {a: {}, b: {seed: 1}}\n"
        + "set: {checkpoint.every_rounds: 1, compute.threads: 2, watchdog.minutes: 5}")
    #expect(try sweep.play().finished.isEmpty)
  }

  @Test("a search does not decide by runs of another experiment, nor by longer ones")
  func search() throws {
    let text = "search: {ranks: [1, 2], densities: [0.25, 1], by: loss}\n"
    let sweep = try Played(text)
    #expect(try sweep.play().finished.count >= 3)
    for other in ["local.learning_rate: 0.2", "federation.rounds: 2"] {
      try sweep.edit(text + "set: {\(other)}")
      #expect {
        try sweep.play()
      } throws: {
        ($0 as? RunFailure)?.exitCode == 64 && "\($0)".contains("lora_rank-1.density-0.25")
      }
    }
  }

  @Test("the problems of all points are told, each once")
  func problems() throws {
    let sweep = try Played(
      "set: {federation.rouns: 3}\npoints: {a: {}, b: {seed: -1}, c: {}, d: {}, e: {}}")
    let path = sweep.scratch.path + "/s.sweep.yaml"
    #expect {
      try sweepListing(path: path, assets: sweep.scratch.assets)
    } throws: { error in
      let lines = "\(error)".split(separator: "\n")
      return lines.count == 2
        && lines[0].hasPrefix(
          "points a, b, c and 2 more: \(path): federation.rouns=3: unknown key; did you mean "
            + "federation.rounds?")
        && lines[1].hasPrefix("point b: \(path): seed=-1: -1 is not allowed")
    }
  }

  @Test("a listing checks what `run` checks before it opens the model, and names idle ranks")
  func listing() throws {
    let sweep = try Played("points: {a: {}, b: {seed: 1}}")
    let path = sweep.scratch.path + "/s.sweep.yaml"
    let text = try sweepListing(path: path, ranks: 8, assets: sweep.scratch.assets)
    #expect(
      text.hasPrefix(
        "note: points a, b: 5 of 8 ranks have no client in a round of 3; give fewer ranks, or more"
          + " clients a round\npoint  name"))
    let quiet = try sweepListing(path: path, ranks: 3, assets: sweep.scratch.assets)
    #expect(!quiet.contains("note"))
    for (settings, code, expected) in [
      ("model.path: nowhere", Int32(66), "nowhere is not in"),
      ("federation.cohort: {kind: file, path: ./none.json}", 66, "none.json does not exist"),
      ("method.residual: kept, method.trainable: downloaded", 64, "kept does not work with"),
    ] {
      try sweep.edit("points: {a: {}, b: {\(settings)}}")
      #expect {
        try sweepListing(path: path, assets: sweep.scratch.assets)
      } throws: {
        ($0 as? CommandFailure)?.exitCode == code && "\($0)".hasPrefix("point b: ")
          && "\($0)".contains(expected)
      }
    }
  }
}

struct SweepTableTests {
  @Test("points.csv is there from the start and follows each point")
  func follows() throws {
    let sweep = try Played("points: {a: {}, b: {model.path: nowhere}, c: {seed: 1}}")
    // Looks at the table each time that a point writes its result.
    let seen = Seen()
    let path = sweep.scratch.path
    let outcome = try sweep.play {
      quadratic(onSave: { _ in
        seen.add(try String(contentsOfFile: path + "/out/points.csv", encoding: .utf8))
      })
    }
    #expect(outcome.exitCode == 66 && outcome.finished == ["a", "c"])
    let first = seen.all[0].split(separator: "\n").map { $0.split(separator: ",").prefix(3) }
    #expect(first.dropFirst().map { $0[2] } == ["running", "waiting", "waiting"])
    let last = seen.all[seen.all.count - 1].split(separator: "\n").map {
      $0.split(separator: ",").prefix(3)
    }
    #expect(last.dropFirst().map { $0[2] } == ["finished", "failed", "running"])
    let rows = try sweep.rows()
    #expect(rows.map { $0["status"] } == ["finished", "failed", "finished"])
    #expect(rows[1]["failure"]?.contains("66: nowhere is not in") == true)
    // Of the settings those that differ, also where a point does not name them.
    #expect(rows.map { $0["seed"] } == ["0", "0", "1"])
    #expect(rows.map { $0["model.path"] } == ["m", "nowhere", "m"])
    #expect(rows[0]["local.epochs"] == nil)
  }

  @Test("best and last evaluation, rounds and all starts are told")
  func evaluations() throws {
    let sweep = try Played("points: {a: {federation.rounds: 2}}")
    _ = try sweep.play()
    try sweep.edit("points: {a: {federation.rounds: 6}}")
    #expect(try sweep.play().finished == ["a"])
    let row = try sweep.rows()[0]
    #expect(row["rounds"] == "6" && row["starts"] == "2" && row["split"] == "test")
    let evaluation = try sweep.scratch.read("out/a/evaluation.csv").split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let place = Dictionary(uniqueKeysWithValues: zip(evaluation[0], evaluation[0].indices))
    func column(_ name: String) throws -> [Double] {
      let place = try #require(place[name])
      return try evaluation.dropFirst().map { try #require(Double($0[place])) }
    }
    let (accuracies, losses) = (try column("accuracy"), try column("loss"))
    #expect(losses.count == 6)
    #expect(row["loss"] == "\(losses[5])" && row["best_loss"] == "\(losses.min() ?? .nan)")
    #expect(row["best_accuracy"] == "\(accuracies.max() ?? .nan)")
    let seconds = try #require(row["wall_seconds"].flatMap(Double.init))
    #expect(seconds > 0)
  }

  @Test("the mean and the standard deviation over seeds have a table of their own")
  func seeds() throws {
    let sweep = try Played("points: {a: {}, b: {local.epochs: 2}}\ngrid: {seed: [0, 1, 2]}")
    _ = try sweep.play(only: 0)
    #expect(try sweep.rows("seeds.csv").map { $0["finished"] } == ["1", "0"])
    #expect(try sweep.rows("seeds.csv")[0]["loss_std"] == "")
    _ = try sweep.play()
    let losses = try sweep.rows().map { try #require(Double($0["loss"] ?? "")) }
    let rows = try sweep.rows("seeds.csv")
    #expect(rows.map { $0["local.epochs"] } == ["1", "2"])
    #expect(rows.map { $0["points"] } == ["3", "3"])
    for (row, values) in zip(rows, [losses[0..<3], losses[3..<6]]) {
      let mean = values.reduce(0, +) / 3
      let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 2).squareRoot()
      #expect(abs(try #require(Double(row["loss_mean"] ?? "")) - mean) < 1e-12)
      #expect(abs(try #require(Double(row["loss_std"] ?? "")) - deviation) < 1e-12)
    }
    #expect(row(rows[0], has: ["points", "finished", "accuracy_mean", "payload_bytes_std"]))
    let without = try Played("points: {a: {}, b: {local.epochs: 2}}")
    _ = try without.play()
    #expect(throws: (any Error).self) { try without.scratch.read("out/seeds.csv") }
  }

  private func row(_ row: [String: String], has columns: [String]) -> Bool {
    columns.allSatisfy { row[$0] != nil }
  }

  @Test("a sweep's directory can be inspected, and a point whose process is gone is killed")
  func inspected() throws {
    let sweep = try Played("points: {a: {}, b: {model.path: nowhere}}\ngrid: {seed: [0, 1]}")
    _ = try sweep.play()
    let text = try inspection(of: sweep.scratch.path + "/out", assets: sweep.scratch.assets)
    #expect(text.contains("4 points: 2 finished, 2 failed"))
    #expect(text.contains("b.seed-0 failed: 66: nowhere is not in"))
    #expect(text.contains("means and standard deviations over seeds"))
    let table = try sweep.scratch.read("out/points.csv")
    _ = try sweep.scratch.write(
      table.replacing("a.seed-0,finished", with: "a.seed-0,running"), to: "out/points.csv")
    let killed = try inspection(of: sweep.scratch.path + "/out", assets: sweep.scratch.assets)
    #expect(killed.contains("4 points: 1 finished, 1 killed, 2 failed"))
  }

  @Test("a group that cannot claim returns with its exit code, and others go on")
  func unclaimable() throws {
    let sweep = try Played("points: {a: {}, b: {seed: 1}}")
    let claims = sweep.scratch.path + "/out/.claims"
    try FileManager.default.createDirectory(
      atPath: claims + "/a", withIntermediateDirectories: true)
    // A folder stands where the claim of a should be: opening it fails, for root too.
    let outcome = try sweep.play(ranks: 2)
    #expect(outcome.exitCode == 74 && outcome.finished.isEmpty)
    try FileManager.default.removeItem(atPath: claims + "/a")
    #expect(try sweep.play(ranks: 2).finished == ["a", "b"])
  }
}

/// Texts from other threads.
private final class Seen: @unchecked Sendable {
  private let lock = NSLock()
  private var texts: [String] = []

  func add(_ text: String) { lock.withLock { texts.append(text) } }
  var all: [String] { lock.withLock { texts } }
}
