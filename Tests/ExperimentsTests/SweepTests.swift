// Sweep files and their points, played with a closed form in place of the model.

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
  evaluation: {every: 2, splits: [test], maximum_examples: 10}
  """

struct SweepTests {
  private func sweep(_ scratch: Scratch, _ text: String) throws -> Sweep {
    _ = try scratch.write(experiment, to: "x.yaml")
    return try Sweep(path: try scratch.write(text, to: "s.sweep.yaml"))
  }

  @Test("the sweeps that come along are valid")
  func shipped() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let folder = root.appendingPathComponent("experiments")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(names.contains { $0.hasSuffix(".sweep.yaml") })
    for name in names where name.hasSuffix(".sweep.yaml") {
      let sweep = try Sweep(path: folder.appendingPathComponent(name).path)
      #expect(!sweep.points.isEmpty)
      for point in sweep.points {
        #expect(throws: Never.self, "\(name), \(point.name)") {
          try ExperimentRequest(path: sweep.experiment, settings: point.settings).load()
        }
      }
    }
  }

  @Test("points and grid are multiplied, in the order of the file")
  func expansion() throws {
    let scratch = try Scratch()
    let found = try sweep(
      scratch,
      """
      experiment: x.yaml
      set: {federation.rounds: 5}
      points:
        dense: {method.download.select: all, method.upload.select: all}
        flasc: {method.upload.density: 0.25}
      grid:
        seed: [0, 1]
        local.learning_rate: [0.1, 1e-2]
      """)
    #expect(found.name == "s")
    #expect(
      found.points.map(\.name) == [
        "dense.seed-0.learning_rate-0.1", "dense.seed-0.learning_rate-1e-2",
        "dense.seed-1.learning_rate-0.1", "dense.seed-1.learning_rate-1e-2",
        "flasc.seed-0.learning_rate-0.1", "flasc.seed-0.learning_rate-1e-2",
        "flasc.seed-1.learning_rate-0.1", "flasc.seed-1.learning_rate-1e-2",
      ])
    #expect(
      found.points[5].settings == [
        "federation.rounds=5", "method.upload.density=0.25", "seed=0", "local.learning_rate=1e-2",
      ])
  }

  @Test("keys that end alike name points by more of their words")
  func namesOfKeysThatEndAlike() throws {
    let scratch = try Scratch()
    let found = try sweep(
      scratch,
      """
      experiment: x.yaml
      grid:
        federation.server.learning_rate: [0.1]
        local.learning_rate: [1]
        local.momentum: [0]
      """)
    #expect(
      found.points.map(\.name) == ["server.learning_rate-0.1.local.learning_rate-1.momentum-0"])
  }

  @Test(
    "a malformed sweep is refused with its line",
    arguments: [
      ("experiment: x.yaml\npionts: {}", ":2: unknown key pionts"),
      ("experiment: x.yaml\npoints: {a: {}, a: {}}", ":2: points.a is given more than once"),
      ("experiment: x.yaml\ngrid: {seed: [0], seed: [1]}", ":2: grid.seed is given more than once"),
      ("experiment: x.yaml\npoints: {points.csv: {}}", "which is a table of the sweep"),
      ("experiment: x.yaml\nset: {'': 1}", "is not a key"),
      (
        "experiment: x.yaml\nrandom: {count: 10001, values: {seed: {choice: [1]}}}",
        "at most 10000"
      ),
      ("points: {a: {}}", "experiment is missing"),
      ("experiment: x.yaml\ngrid: {seed: 3}", ":2: grid.seed: give a list"),
      ("experiment: x.yaml\npoints: {'a/b': {}}", "a point's name"),
      ("experiment: x.yaml\ngrid: {seed: ['1', '1']}", "two points are named seed-1"),
      ("- 1", "a sweep has the keys"),
      ("experiment: x.yaml\nrandom: {count: 3}", ":2: random: give count and values"),
      ("experiment: x.yaml\nrandom: {count: 0, values: {seed: {choice: [1]}}}", "at least 1"),
      (
        "experiment: x.yaml\nrandom: {count: 1, values: {local.learning_rate: {uniform: [1, 0]}}}",
        "give {uniform: [low, high]}"
      ),
      ("experiment: x.yaml\nsearch: {ranks: [4, 1], densities: [1]}", "ascending integers"),
      (
        "experiment: x.yaml\ngrid: {seed: [1]}\nsearch: {ranks: [1], densities: [1]}",
        "search stands alone"
      ),
    ])
  func malformed(_ text: String, _ expected: String) throws {
    let scratch = try Scratch()
    #expect { try sweep(scratch, text) } throws: { "\($0)".contains(expected) }
  }

  private func play(
    _ scratch: Scratch, ranks: Int, groups: Int = 1, only: Int? = nil,
    _ assemble: @escaping @Sendable () -> Assembler = { quadratic() }
  ) throws -> [SweepOutcome] {
    let (assets, path, output) = (
      scratch.assets, scratch.path + "/s.sweep.yaml", scratch.path + "/out"
    )
    let play: @Sendable (any Communicator) throws -> SweepOutcome = { communicator in
      try runSweep(
        path: path, output: output, only: only, environment: RunEnvironment(mpiLibrary: nil),
        assets: assets, communicator: communicator, assemble: assemble())
    }
    if groups == 1 { return try ThreadCommunicators.run(size: ranks, play) }
    // Groups are ranks by themselves here, as several jobs would be.
    return try ThreadCommunicators.run(size: groups) { _ in try play(SingleProcessCommunicator()) }
  }

  private let text = """
    experiment: x.yaml
    points: {a: {}, b: {method.upload.select: all}}
    grid: {seed: [0, 1, 2]}
    """

  @Test("every point is played once, with the digest of a run of its own, by whatever groups")
  func played() throws {
    for (ranks, groups) in [(1, 1), (2, 1), (1, 3)] {
      let scratch = try Scratch()
      let points = try sweep(scratch, text).points
      let outcomes = try play(scratch, ranks: ranks, groups: groups)
      let finished = groups == 1 ? outcomes[0].finished : outcomes.flatMap(\.finished)
      #expect(finished.sorted() == points.map(\.name))
      #expect(outcomes.allSatisfy { $0.exitCode == 0 })
      let table = try scratch.read("out/points.csv").split(separator: "\n")
      #expect(table.count == 7)
      #expect(table[0].hasPrefix("point,name,status,digest,rounds,wall_seconds,"))
      let alone = try #require(
        try runExperiment(
          ExperimentRequest(path: scratch.path + "/x.yaml", settings: points[4].settings),
          output: scratch.path + "/alone", environment: RunEnvironment(mpiLibrary: nil),
          assets: scratch.assets, communicator: SingleProcessCommunicator(),
          assemble: quadratic()))
      #expect(table[5].hasPrefix("4,b.seed-1,finished,\(alone.digest),3,"))
      // Once more: nothing is left to do.
      #expect(try play(scratch, ranks: 1)[0].finished.isEmpty)
    }
  }

  @Test("one point alone, as a task of a job array plays it")
  func onePoint() throws {
    let scratch = try Scratch()
    _ = try sweep(scratch, text)
    #expect(try play(scratch, ranks: 2, only: 3)[0].finished == ["b.seed-0"])
    #expect(throws: RunFailure.self) { try play(scratch, ranks: 1, only: 6) }
    #expect(try play(scratch, ranks: 1)[0].finished.count == 5)
  }

  @Test("points that are to have more rounds go on")
  func moreRounds() throws {
    let scratch = try Scratch()
    _ = try sweep(scratch, text)
    #expect(try play(scratch, ranks: 1)[0].finished.count == 6)
    _ = try sweep(scratch, text + "\nset: {federation.rounds: 5}\n")
    #expect(try play(scratch, ranks: 2)[0].finished.count == 6)
    #expect(try scratch.read("out/points.csv").split(separator: "\n")[1].contains(",finished,"))
    #expect(try scratch.read("out/a.seed-0/rounds.csv").split(separator: "\n").count == 6)
    #expect(try play(scratch, ranks: 1)[0].finished.isEmpty)
  }

  @Test("a failing point does not end the others, and begins anew the next time")
  func failing() throws {
    let scratch = try Scratch()
    _ = try sweep(
      scratch,
      """
      experiment: x.yaml
      points: {good: {}, bad: {model.path: nowhere}, better: {seed: 1}}
      """)
    let outcome = try play(scratch, ranks: 2)[0]
    #expect(outcome.finished == ["good", "better"])
    #expect(outcome.failed.map(\.name) == ["bad"])
    #expect(outcome.exitCode == 66)
    #expect(try scratch.read("out/points.csv").contains("1,bad,failed,"))
  }

  @Test("mappings are written on one line, whatever lines the file has them on")
  func flow() throws {
    let scratch = try Scratch()
    let found = try sweep(
      scratch,
      """
      experiment: x.yaml
      set:
        method.download.density:
          initial: 1
          factor: 0.5
          period: 1
        method.tiers: [{lora_rank: 1}, {share: 2}]
      """)
    #expect(
      found.points[0].settings == [
        "method.download.density={initial: 1, factor: 0.5, period: 1}",
        "method.tiers=[{lora_rank: 1}, {share: 2}]",
      ])
  }

  @Test("random draws are the same every time, within their ranges, and new for each point and key")
  func random() throws {
    let scratch = try Scratch()
    let text = """
      experiment: x.yaml
      random:
        count: 200
        seed: 7
        values:
          local.learning_rate: {log_uniform: [0.001, 1]}
          local.momentum: {uniform: [0.5, 0.9]}
          local.epochs: {choice: [1, 2, 4]}
      """
    let points = try sweep(scratch, text).points
    #expect(try sweep(scratch, text).points == points)
    #expect(try sweep(scratch, text.replacing("seed: 7", with: "seed: 8")).points != points)
    #expect(points.count == 200 && points[3].name == "random-003")
    func values(_ key: Int) throws -> [Double] {
      try points.map { try #require(Double($0.settings[key].split(separator: "=")[1])) }
    }
    let rates = try values(0)
    #expect(rates.allSatisfy { (0.001...1).contains($0) } && Set(rates).count > 190)
    // A third of the draws in each decade, within four standard errors.
    for low in [0.001, 0.01, 0.1] {
      let share = Double(rates.count { $0 >= low && $0 < 10 * low }) / 200
      #expect(abs(share - 1 / 3) < 4 * 0.0333, "\(low)")
    }
    #expect(try values(1).allSatisfy { (0.5...0.9).contains($0) })
    #expect(Set(try values(2)) == [1, 2, 4])
  }

  @Test("a search plays pairs of neighbours and goes on from the better one, whatever groups play")
  func search() throws {
    for (ranks, groups) in [(1, 1), (2, 1), (1, 2), (1, 3)] {
      let scratch = try Scratch()
      let found = try sweep(
        scratch,
        """
        experiment: x.yaml
        search: {ranks: [1, 2, 4], densities: [0.125, 0.25, 0.5, 1], by: loss, alpha_over_rank: 2}
        """)
      #expect(found.points.count == 12)
      #expect(found.points[5].name == "lora_rank-2.density-0.25")
      #expect(
        found.points[5].settings == [
          "adapter.lora_rank=2", "adapter.alpha=4", "method.download.density=0.25",
          "method.upload.density=0.25",
        ])
      let outcomes = try play(scratch, ranks: ranks, groups: groups)
      #expect(outcomes.allSatisfy { $0.exitCode == 0 })
      let finished = groups == 1 ? outcomes[0].finished : outcomes.flatMap(\.finished)
      // Along the losses of the table: from a point to its better neighbour, ties to the density.
      let rows = try scratch.read("out/points.csv").split(separator: "\n").dropFirst().map {
        $0.split(separator: ",", omittingEmptySubsequences: false)
      }
      let losses = rows.map { Double($0[8]) }
      var (rank, density, expected) = (0, 0, Set([0]))
      while rank < 2 || density < 3 {
        let up = density < 3 ? rank * 4 + density + 1 : nil
        let down = rank < 2 ? (rank + 1) * 4 + density : nil
        expected.formUnion([up, down].compactMap(\.self))
        let upLoss = try up.map { try #require(losses[$0]) } ?? .infinity
        let downLoss = try down.map { try #require(losses[$0]) } ?? .infinity
        if downLoss < upLoss { rank += 1 } else { density += 1 }
      }
      #expect(finished.sorted() == expected.map { found.points[$0].name }.sorted())
      #expect(rows.count { $0[2] == "waiting" } == 12 - expected.count)
      #expect(try play(scratch, ranks: 1)[0].finished.isEmpty)
    }
  }
}
