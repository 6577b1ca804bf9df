// `cellm-mpi sweep`: one experiment at many points, on groups of ranks side by side.

import ArgumentParser
import Experiments
import Foundation

struct SweepCommand: ExecutableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Run an experiment at many points; under mpirun or srun on all ranks.",
    discussion: """
      The file names an experiment and the points: named ones, the product of lists, random draws, or the product of these.

        experiment: x.yaml                  (relative to this file)
        set: {federation.rounds: 30}        (for all points)
        points: {dense: {method.upload.select: all}, flasc: {}}
        grid: {seed: [0, 1, 2]}
        random: {count: 20, values: {local.learning_rate: {log_uniform: [0.01, 1]}}}

      Draws are uniform, log_uniform or a choice. Or a search that plays a few of the points of ranks and \
      densities, from the smallest on, by pairs of neighbours (FLASC-Search):

        search: {ranks: [1, 4, 16], densities: [0.0625, 0.25, 1], by: accuracy}

      Each point is a run in OUTPUT/NAME, and OUTPUT/points.csv says how far each is. Groups of \
      --group-size ranks take one free point after the other. Claims are locks on files in OUTPUT, \
      so several jobs, or the tasks of a job array, can work on one sweep. The same command again \
      goes on: finished points stay, begun ones go on from their checkpoints, failed ones begin anew.

      Examples:
        mpirun -np 8 cellm-mpi sweep x.sweep.yaml --group-size 2
        cellm-mpi sweep x.sweep.yaml --list
        cellm-mpi sweep x.sweep.yaml --point $SLURM_ARRAY_TASK_ID

      \(Experiments.ExitCode.help)
      """)

  @Argument(help: "The sweep file (YAML).", completion: .file(extensions: ["yaml"]))
  var sweep: String

  @Option(
    help: ArgumentHelp("The sweep's directory. Default: runs/NAME.", valueName: "dir"),
    completion: .directory)
  var output: String?

  @Option(help: "The ranks that play a point together. Default: all.")
  var groupSize: Int?

  @Option(help: "Plays this point alone, counted from 0.")
  var point: Int?

  @Flag(help: "Prints the points and ends.")
  var list = false

  func validate() throws {
    if let groupSize, groupSize < 1 {
      throw ValidationError("--group-size \(groupSize): give at least 1")
    }
  }

  func execute() throws -> Int32 {
    if list { return try onFirstProcess { try Sweep(path: sweep).text } }
    return try Parallel.run { world, environment in
      let group = try groupSize.map { try world.group(of: $0) } ?? world
      let outcome = try runSweep(
        path: sweep, output: output, only: point, environment: environment, communicator: group,
        assemble: assembleTransformer)
      let groups = try world.gather(
        group.rank == 0 ? [outcome.playingSeconds, outcome.claimingSeconds] : [])
      if let busy = groups?.filter({ !$0.isEmpty }), !outcome.finished.isEmpty {
        let (playing, claiming) = busy.reduce((0, 0)) { ($0.0 + $1[0], $0.1 + $1[1]) }
        let share = 100 * claiming / max(playing + claiming, 1e-9)
        writeToStandardError(
          "cellm-mpi: \(busy.count) group\(busy.count == 1 ? "" : "s") of ranks, idle "
            + String(format: "%.1f", share) + " % of the time until no point was free\n")
      }
      if group.rank == 0 {
        var text = "\(outcome.finished.count) points finished here"
        if !outcome.failed.isEmpty {
          text += "; failed: " + outcome.failed.map(\.name).joined(separator: ", ")
        }
        try writeToStandardOutput("\(text)\n\(outcome.directory)/points.csv\n")
      }
      // Nobody ends while another group works: mpirun would take that for a failure.
      return Int32(try world.maximum(Int(outcome.exitCode)))
    }
  }
}
