// `cellm-mpi run`: the only command that starts MPI.

import ArgumentParser
import Experiments
import Foundation
import MPICommunication

struct Run: ExecutableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run an experiment; under mpirun or srun on all ranks.",
    discussion: """
      Everything wrong with the experiment is reported at once, before anything is computed. The \
      results go to a new directory: config.yaml (complete), manifest.json, rounds.csv, \
      evaluation.csv, clients.csv, wire.csv and adapter/ (PEFT). At the end a table, the digest of \
      the final state and the directory's path are printed. `cellm-mpi keys` lists all keys.

      The state is saved in checkpoints/ every few rounds and minutes, and on SIGUSR1, after which \
      the run ends with exit code 75. With --resume the same command goes on from there, on any \
      number of ranks, to the same digest; where nothing was begun it begins.

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

  /// The tasks of a SLURM step in which no process manager tells MPI of the others.
  static var unconnectedTasks: Int? {
    let environment = ProcessInfo.processInfo.environment
    guard let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap(Int.init), tasks > 1,
      Command.rankVariables.allSatisfy({ environment[$0] == nil })
    else { return nil }
    return tasks
  }

  func execute() throws -> Int32 {
    // Before MPI starts, as that adds variables of its own.
    var environment = RunEnvironment()
    // Before MPI starts, as that may take long and the signal would end a rank that does not listen.
    Interruption.listen()
    let (unconnected, isFirst) = (Self.unconnectedTasks, Command.isFirstProcess)
    let communicator: MPICommunicator
    do {
      communicator = try MPIRuntime.initialize()
    } catch {
      writeToStandardError("cellm-mpi: \(error)\n")
      return Experiments.ExitCode.software
    }
    environment.mpiLibrary = MPIRuntime.libraryVersion
    if communicator.size == 1, let tasks = unconnected {
      if isFirst {
        writeToStandardError(
          "cellm-mpi: srun started \(tasks) processes that MPI does not connect; "
            + "try srun --mpi=pmix, or mpirun inside the allocation\n")
      }
      try? MPIRuntime.finalize()
      return Experiments.ExitCode.usage
    }
    var code: Int32 = 0
    do {
      let outcome = try runExperiment(
        arguments.request, output: output, resume: resume,
        environment: environment, communicator: communicator, assemble: assembleTransformer)
      if let outcome {
        do {
          try writeToStandardOutput(outcome.text)
        } catch {
          writeToStandardError("cellm-mpi: \(error)\n")
          code = Experiments.ExitCode.inputOutput
        }
      }
    } catch let failure as RunFailure {
      code = failure.report(communicator)
    }
    try? MPIRuntime.finalize()
    return code
  }
}
