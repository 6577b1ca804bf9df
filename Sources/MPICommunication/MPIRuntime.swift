// Starting and ending MPI. Once a process, on one thread (MPI_THREAD_FUNNELED): the communicator is not Sendable,
// so the compiler keeps it there.

internal import CMPIShim
internal import Communication
import Foundation

/// The MPI library of this process.
public enum MPIRuntime {
  /// Starts MPI and returns the communicator of all ranks.
  ///
  /// Without `mpirun` or `srun` the program is a group of one rank. If a node has more ranks than cores, waiting
  /// ranks are told to yield their core, unless the user decided otherwise.
  ///
  /// - Parameter largestTransferBytes: The most bytes of one MPI call; larger transfers are cut.
  /// - Throws: `MPIError`, also if MPI was started before in this process.
  /// - Precondition: `largestTransferBytes` is in `8 ... 2^31 - 1`.
  public static func initialize(
    largestTransferBytes: Int = MPICommunicator.defaultLargestTransferBytes
  ) throws -> MPICommunicator {
    // int MPI_Initialized(int *flag)
    var isInitialized: Int32 = 0
    try check("MPI_Initialized", cmpi_is_initialized(&isInitialized))
    guard isInitialized == 0 else {
      throw MPIError(call: "MPI_Init_thread", code: 0, text: "MPI was already started")
    }
    yieldWhenIdleIfOversubscribed()
    loadNoDrivers()
    // int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
    var isFunneled: Int32 = 0
    try check("MPI_Init_thread", cmpi_initialize(&isFunneled))
    guard isFunneled != 0 else {
      throw MPIError(
        call: "MPI_Init_thread", code: 0, text: "this MPI library does not support threads")
    }
    // int MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler errhandler)
    let world = cmpi_world()
    try check("MPI_Comm_set_errhandler", cmpi_return_errors(world))
    return try MPICommunicator(world, largestTransferBytes: largestTransferBytes)
  }

  /// Ends MPI; every rank calls it last. Does nothing if MPI is not running.
  public static func finalize() throws {
    guard isRunning else { return }
    // int MPI_Finalize(void)
    try check("MPI_Finalize", cmpi_finalize())
  }

  /// Whether MPI was started and has not ended.
  static var isRunning: Bool {
    var isInitialized: Int32 = 0
    var isFinalized: Int32 = 0
    return cmpi_is_initialized(&isInitialized) == 0 && isInitialized != 0
      && cmpi_is_finalized(&isFinalized) == 0 && isFinalized == 0
  }

  /// Ends the whole job with an exit code, after standard output and error are flushed.
  ///
  /// Works also before MPI was started and after it has ended, when it ends this process only.
  public static func abort(exitCode: Int32) -> Never {
    fflush(nil)
    if isRunning {
      // int MPI_Abort(MPI_Comm comm, int errorcode)
      _ = cmpi_abort(exitCode)
    }
    _exit(exitCode)
  }

  /// The version of the MPI standard that the library follows, as "3.1".
  package static var standardVersion: String {
    // int MPI_Get_version(int *version, int *subversion)
    var major: Int32 = 0
    var minor: Int32 = 0
    return cmpi_standard_version(&major, &minor) == 0 ? "\(major).\(minor)" : "unknown"
  }

  /// The library's name and version, on one line.
  public static var libraryVersion: String {
    // int MPI_Get_library_version(char *version, int *resultlen)
    let text = try? mpiText("MPI_Get_library_version") { cmpi_library_version($0, $1) }
    return (text ?? "unknown").split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  /// Makes Open MPI's waiting ranks give up their core when the node has more ranks than cores: a barrier of 64
  /// ranks on two cores takes 6 ms then, and 0.45 s otherwise. `mpirun` finds out by itself only if its host
  /// file tells it the cores. The variable has no meaning to other MPI libraries.
  private static func yieldWhenIdleIfOversubscribed() {
    let ranks = ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap(Int.init)
    // Online cores, not the affinity mask: mpirun binds each rank to a core of its own.
    guard let ranks, ranks > sysconf(Int32(_SC_NPROCESSORS_ONLN)) else { return }
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0)
  }

  /// Has hwloc, by which MPI looks at the node, load no OpenCL driver: each rank would have the
  /// driver's threads and memory, and its handlers of signals, whether it computes there or not.
  private static func loadNoDrivers() { setenv("HWLOC_COMPONENTS", "-opencl", 0) }
}
