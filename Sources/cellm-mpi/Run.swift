// `cellm-mpi run`: one experiment on all ranks.

import ArgumentParser
import Configuration
import Experiments
import Files
internal import Files
import Foundation
import RunFiles

struct Run: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run an experiment, under mpirun or srun on all ranks.",
    discussion: """
      All errors in the experiment are reported together, before the run starts. The results go to a new \
      directory: config.yaml (all keys), manifest.json, partition.csv, rounds.csv, evaluation.csv, \
      confusion.csv (for classifiers), clients.csv, wire.csv, metrics.jsonl, tensorboard/ and adapter/ \
      (PEFT format; for full fine-tuning: model/). With evaluation.clients also client_evaluation.csv and \
      evaluation_clients.csv. At the end the program prints a table, the digest (a hash of the final \
      state) and the path of the directory. `cellm-mpi keys` lists all keys.

      The state is saved in checkpoints/ every few rounds and minutes, after the last round, and on \
      SIGUSR1, SIGTERM and Ctrl-C. These signals end the run with exit code 75. A second Ctrl-C ends it \
      at once. With --resume, the same command continues the run from its last checkpoint, on any number \
      of ranks, to the same digest. If there is no run in --output, it starts one. --resume refuses \
      another experiment, input files that changed, and checkpoints that cannot be read. With a larger \
      federation.rounds, a finished run continues, but not if a linear or cosine schedule or \
      target_epsilon depends on the number of rounds.

      Examples:
        mpirun -np 4 cellm-mpi run experiments/quickstart.yaml
        cellm-mpi run x.yaml --set seed=1 --set method.upload.density=0.0625
        mpirun -np 4 cellm-mpi run x.yaml --output results/x --resume
        cellm-mpi run runs/x-20261122-130500/config.yaml   (repeats that run)

      \(Files.ExitCode.help)
      """)

  @OptionGroup var arguments: ExperimentArguments

  @Option(
    help: ArgumentHelp(
      "The run directory. It must be new or empty. Default: a new directory in runs/.",
      valueName: "dir"),
    completion: .directory)
  var output: String?

  @Flag(help: "Continue the run in --output. If there is none, start it.")
  var resume = false

  func validate() throws {
    if output == "" { throw ValidationError("--output is empty: give a directory") }
  }

  func execute() throws -> Int32 {
    try Parallel.run { communicator, environment in
      let outcome = try runExperiment(
        arguments.request, output: output, resume: resume, environment: environment,
        communicator: communicator, assemble: assembleTransformer)
      // All ranks end with one exit code, also if the standard output of rank 0 is closed or full.
      try communicator.agreed {
        if let outcome { try writeToStandardOutput(outcome.text) }
      }
      return 0
    }
  }
}
