// `cellm-mpi run`: one experiment on all ranks.

import ArgumentParser
import Experiments
import Foundation

struct Run: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run an experiment; under mpirun or srun on all ranks.",
    discussion: """
      Everything wrong with the experiment is reported at once, before anything is computed. The \
      results go to a new directory: config.yaml (complete), manifest.json, \
      partition.csv, rounds.csv, evaluation.csv, confusion.csv (of a classifier), clients.csv, wire.csv, \
      metrics.jsonl, tensorboard/ and adapter/ (PEFT; of full fine-tuning model/), with evaluation.clients \
      also client_evaluation.csv and evaluation_clients.csv. At the end a table, the digest of \
      the final state and the directory's path are printed. `cellm-mpi keys` lists all keys.

      The state is saved in checkpoints/ every few rounds and minutes, after the last round, and on \
      SIGUSR1, SIGTERM and Ctrl-C, after which the run ends with exit code 75 (a second Ctrl-C ends it at \
      once). With --resume the same command goes on from there, on any number of ranks, to the same \
      digest; where nothing was begun it begins. It refuses another experiment, input files that changed, \
      and checkpoints that cannot be read. With a larger federation.rounds a finished run goes on, \
      unless a schedule or target_epsilon was made for their number.

      Examples:
        mpirun -np 4 cellm-mpi run experiments/quickstart.yaml
        cellm-mpi run x.yaml --set seed=1 --set method.upload.density=0.0625
        mpirun -np 4 cellm-mpi run x.yaml --output results/x --resume
        cellm-mpi run runs/x-20261122-130500/config.yaml   (repeats that run)

      \(Experiments.ExitCode.help)
      """)

  @OptionGroup var arguments: ExperimentArguments

  @Option(
    help: ArgumentHelp(
      "The run directory; it must not exist or be empty. Default: a new one in runs/.",
      valueName: "dir"),
    completion: .directory)
  var output: String?

  @Flag(help: "Go on with the run in --output where one was begun, else begin it.")
  var resume = false

  func validate() throws {
    if output == "" { throw ValidationError("--output is empty: give a directory") }
  }

  func execute() throws -> Int32 {
    try Parallel.run { communicator, environment in
      let outcome = try runExperiment(
        arguments.request, output: output, resume: resume, environment: environment,
        communicator: communicator, assemble: assembleTransformer)
      // All ranks end alike, also where the first one's standard output is closed or full.
      try communicator.agreed {
        if let outcome { try writeToStandardOutput(outcome.text) }
      }
      return 0
    }
  }
}
