// Commands that run on all ranks: start MPI, run the command, report a failure, end MPI. Every way out
// ends the job: a failure that all ranks know of ends MPI in good order on all of them, any other one
// aborts, since the others may wait for this rank for ever.

import Experiments
import Foundation
import MPICommunication

/// What commands on all ranks have in common.
enum Parallel {
  /// Starts MPI and runs `body` on every rank.
  /// - Returns: What `body` returns, or the exit code of its failure.
  static func run(
    _ body: (MPICommunicator, RunEnvironment) throws -> Int32
  ) throws -> Int32 {
    // Before MPI starts: that may take long, and the signal ends a process that does not listen.
    Interruption.listen()
    // Before MPI starts, as that adds variables of its own.
    var environment = RunEnvironment()
    let (unconnected, isFirst) = (unconnectedTasks, Command.isFirstProcess)
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
    let code: Int32
    do {
      code = try body(communicator, environment)
    } catch let failure as RunFailure {
      code = failure.report(communicator)
    } catch {
      let place = communicator.size == 1 ? "" : "rank \(communicator.rank): "
      writeToStandardError("cellm-mpi: \(place)\(error)\n")
      code = Experiments.ExitCode.code(of: error)
      if communicator.size > 1 { communicator.abort(exitCode: code) }
    }
    try? MPIRuntime.finalize()
    return code
  }

  /// The tasks of a SLURM step in which no process manager tells MPI of the others.
  private static var unconnectedTasks: Int? {
    let environment = ProcessInfo.processInfo.environment
    guard let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap(Int.init), tasks > 1,
      Command.rankVariables.allSatisfy({ environment[$0] == nil })
    else { return nil }
    return tasks
  }
}
