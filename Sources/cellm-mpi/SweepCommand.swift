// `cellm-mpi sweep`: one experiment at many points, on groups of ranks in parallel.

import ArgumentParser
import Configuration
import Experiments
import Files
internal import Files
import Foundation
import RunFiles

struct SweepCommand: ExecutableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Run an experiment at many points, under mpirun or srun on all ranks.",
    discussion: """
      The sweep file names an experiment and its points: a list of named points, a grid, random draws, or the product of these.

        experiment: x.yaml                  (relative to this file)
        set: {federation.rounds: 30}        (for all points)
        points: {dense: {method.upload.select: all}, flasc: {}}
        grid: {seed: [0, 1, 2]}
        random: {count: 20, values: {local.learning_rate: {log_uniform: [0.01, 1]}}}

      Random draws are uniform, log_uniform or choice. A search (FLASC-Search) runs only a few of the points: \
      it tries pairs of LoRA rank and density, starts with the smallest, and moves to the better neighbour:

        search: {ranks: [1, 4, 16], densities: [0.0625, 0.25, 1], by: accuracy}

      Each point is a run in OUTPUT/NAME. OUTPUT/points.csv has the state of each point: waiting, running, \
      finished, failed, killed or stopped. OUTPUT/seeds.csv has means over seeds. Each group of \
      --group-size ranks runs one free point after another. A group locks its point with a file in OUTPUT, \
      so several jobs, or the tasks of a job array, can work on one sweep. The same command continues a \
      sweep: it keeps finished points, continues stopped points from their checkpoints, and starts failed \
      points again. If the sweep file was edited and OUTPUT has a run of the old settings, the sweep is \
      refused.

      Examples:
        mpirun -np 8 cellm-mpi sweep x.sweep.yaml --group-size 2
        cellm-mpi sweep x.sweep.yaml --list
        cellm-mpi sweep x.sweep.yaml --point $SLURM_ARRAY_TASK_ID

      \(Files.ExitCode.help)
      """)

  @Argument(help: "The sweep file (YAML).", completion: .file(extensions: ["yaml"]))
  var sweep: String

  @Option(
    help: ArgumentHelp("The sweep's directory. Default: runs/NAME.", valueName: "dir"),
    completion: .directory)
  var output: String?

  @Option(help: "The number of ranks that run a point together. Default: all.")
  var groupSize: Int?

  @Option(help: "Run only this point. The first one is 0.")
  var point: Int?

  @Flag(
    help: ArgumentHelp(
      "Check every point, print the points and exit.",
      discussion:
        "With --group-size, also warn of points that leave ranks without a client."))
  var list = false

  func validate() throws {
    if let groupSize, groupSize < 1 {
      throw ValidationError("--group-size \(groupSize): give at least 1")
    }
    if output == "" { throw ValidationError("--output is empty: give a directory") }
  }

  func execute() throws -> Int32 {
    if list {
      return try onFirstProcess {
        try sweepListing(path: sweep, output: output, ranks: groupSize)
      }
    }
    return try Parallel.run { world, environment in
      let group = try groupSize.map { try world.group(of: $0) } ?? world
      var part = SweepPart()
      do {
        let outcome = try runSweep(
          path: sweep, output: output, only: point, environment: environment, communicator: group,
          within: world, assemble: assembleTransformer)
        if group.rank == 0 { part = SweepPart(outcome) }
      } catch let failure as RunFailure where !failure.needsAbort {
        // The other groups continue, and wait for this one at the end.
        part.exitCode = failure.report(group)
      }
      let parts = try world.gather(part)
      let printed = try parts.map { try Self.report($0) } ?? 0
      return Int32(try world.maximum(Int(max(part.exitCode, printed))))
    }
  }

  /// Prints the end of all groups on the first rank; returns an exit code.
  private static func report(_ parts: [SweepPart]) throws -> Int32 {
    let groups = parts.filter { $0.directory != nil }
    guard let directory = groups.first?.directory else { return 0 }
    let finished = groups.reduce(0) { $0 + $1.finished }
    let failed = groups.flatMap(\.failed)
    if finished > 0 {
      let playing = groups.reduce(0) { $0 + $1.playingSeconds }
      let claiming = groups.reduce(0) { $0 + $1.claimingSeconds }
      let share = 100 * claiming / max(playing + claiming, 1e-9)
      writeToStandardError(
        "cellm-mpi: \(groups.count) group\(groups.count == 1 ? "" : "s") of ranks, idle "
          + String(format: "%.1f", share) + " % of the time until no point was free\n")
    }
    let failures = failed.isEmpty ? "" : "; failed: " + failed.joined(separator: ", ")
    do {
      try writeToStandardOutput(
        "\(finished) points finished here\(failures)\n\(directory)/points.csv\n")
      return 0
    } catch {
      writeToStandardError("cellm-mpi: \(error)\n")
      return Files.ExitCode.code(of: error)
    }
  }
}

/// The result of the sweep on one rank, sent to the first rank.
private struct SweepPart: Codable {
  /// The sweep's directory, on the first rank of a group that played.
  var directory: String?
  var finished = 0
  var failed: [String] = []
  var playingSeconds = 0.0
  var claimingSeconds = 0.0
  var exitCode: Int32 = 0

  init() {}

  init(_ outcome: SweepOutcome) {
    directory = outcome.directory
    finished = outcome.finished.count
    failed = outcome.failed.map(\.name)
    (playingSeconds, claimingSeconds) = (outcome.playingSeconds, outcome.claimingSeconds)
    exitCode = outcome.exitCode
  }
}
