// Commands that run on all ranks: start MPI, run the command, report a failure, end MPI. Every exit
// ends the job. If all ranks know of a failure, each of them finalizes MPI. Any other failure aborts,
// because the other ranks may wait for this one for ever.

import Configuration
import Experiments
import Files
internal import Files
import Foundation
import MPICommunication
import RunFiles
internal import RunFiles

/// The common part of commands that run on all ranks.
enum Parallel {
  /// Starts MPI and runs `body` on every rank.
  /// - Returns: The exit code that `body` returns, or that of its failure.
  static func run(
    _ body: (MPICommunicator, RunEnvironment) throws -> Int32
  ) throws -> Int32 {
    // Before MPI starts: its start may take long, and without a handler the signal ends the process.
    Interruption.listen()
    // Before MPI starts, because MPI adds variables of its own.
    var environment = RunEnvironment()
    let (unconnected, isFirst) = (unconnectedTasks, Command.isFirstProcess)
    let communicator: MPICommunicator
    do {
      communicator = try MPIRuntime.initialize()
    } catch {
      writeToStandardError("cellm-mpi: \(error)\n")
      return Files.ExitCode.software
    }
    environment.mpiLibrary = MPIRuntime.libraryVersion
    if communicator.size == 1, let tasks = unconnected {
      if isFirst {
        writeToStandardError(
          "cellm-mpi: srun started \(tasks) processes that MPI does not connect; "
            + "try srun --mpi=pmix, or mpirun inside the allocation\n")
      }
      try? MPIRuntime.finalize()
      return Files.ExitCode.usage
    }
    let code: Int32
    do {
      code = try body(communicator, environment)
    } catch let failure as RunFailure {
      code = failure.report(communicator)
    } catch {
      let place = communicator.size == 1 ? "" : "rank \(communicator.rank): "
      writeToStandardError("cellm-mpi: \(place)\(error)\n")
      code = Files.ExitCode.code(of: error)
      if communicator.size > 1 { communicator.abort(exitCode: code) }
    }
    try? MPIRuntime.finalize()
    return code
  }

  /// The number of tasks of a SLURM step whose processes MPI cannot connect; nil if it can.
  private static var unconnectedTasks: Int? {
    let environment = ProcessInfo.processInfo.environment
    guard let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap(Int.init), tasks > 1,
      Command.rankVariables.allSatisfy({ environment[$0] == nil })
    else { return nil }
    return tasks
  }
}
