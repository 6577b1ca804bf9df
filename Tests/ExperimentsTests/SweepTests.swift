// Sweep files and their points, played with a closed form in place of the model.

import Communication
import Experiments
import Foundation
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

  @Test(
    "a malformed sweep is refused with its line",
    arguments: [
      ("experiment: x.yaml\npionts: {}", ":2: unknown key pionts"),
      ("points: {a: {}}", "experiment is missing"),
      ("experiment: x.yaml\ngrid: {seed: 3}", ":2: grid.seed: give a list"),
      ("experiment: x.yaml\npoints: {'a/b': {}}", "a point's name"),
      ("experiment: x.yaml\ngrid: {seed: ['1', '1']}", "two points are named seed-1"),
      ("- 1", "a sweep has the keys"),
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
    #expect(try scratch.read("out/points.csv").contains("1,bad,not begun,"))
  }
}
