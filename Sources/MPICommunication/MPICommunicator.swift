// Communicator over MPI: one call a function, cut into pieces where the 32-bit counts of MPI 3.1 or the limit
// of one transfer ask for it.

internal import CMPIShim
public import Communication

/// All ranks of an MPI job. Made by `MPIRuntime.initialize`; stays on the thread that made it.
public final class MPICommunicator: Communicator {
  /// 1 GiB: under the 2^31 - 1 of MPI's counts, with room for sums of counts inside the library.
  public static let defaultLargestTransferBytes = 1 << 30

  /// This rank.
  public let rank: Int
  /// The number of ranks.
  public let size: Int
  /// MPI's name of the processor: the host.
  public let hostName: String
  /// The ranks that can share memory with this one.
  public let node: NodePlace
  /// The most bytes of one MPI call.
  package let largestTransferBytes: Int
  private let handle: Int32

  init(_ handle: Int32, largestTransferBytes: Int) throws {
    precondition(
      (8...Int(Int32.max)).contains(largestTransferBytes),
      "transfers of at most \(largestTransferBytes) bytes")
    self.handle = handle
    self.largestTransferBytes = largestTransferBytes
    (rank, size) = try Self.place(in: handle)
    // int MPI_Get_processor_name(char *name, int *resultlen)
    hostName = try mpiText("MPI_Get_processor_name") { cmpi_processor_name($0, $1) }
    node = try Self.node(of: rank, size, in: handle)
  }

  /// The group of `ranks` consecutive ranks to which this one belongs; the last group may be smaller.
  /// It has its own numbers from 0 and lives until MPI ends.
  ///
  /// - Precondition: the same `ranks`, at least 1, on every rank of this communicator.
  /// - Communication: MPI_Comm_split, and what finding the nodes takes.
  public func group(of ranks: Int) throws -> MPICommunicator {
    precondition(ranks > 0, "groups of \(ranks) ranks")
    var part: Int32 = 0
    // int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *newcomm)
    try check("MPI_Comm_split", cmpi_split(handle, Int32(rank / ranks), Int32(rank), &part))
    // int MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler errhandler)
    try check("MPI_Comm_set_errhandler", cmpi_return_errors(part))
    return try MPICommunicator(part, largestTransferBytes: largestTransferBytes)
  }

  /// Waits until every rank has come here.
  public func barrier() throws {
    // int MPI_Barrier(MPI_Comm comm)
    try check("MPI_Barrier", cmpi_barrier(handle))
  }

  /// Gives every rank the root's bytes.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    checkRoot(root)
    for slice in BlockLayout.slices(of: bytes.count, ofAtMost: largestTransferBytes) {
      // int MPI_Bcast(void *buffer, int count, MPI_Datatype datatype, int root, MPI_Comm comm)
      let part = UnsafeMutableRawBufferPointer(rebasing: bytes[slice])
      try check(
        "MPI_Bcast", cmpi_broadcast(handle, part.baseAddress, Int32(part.count), Int32(root)))
    }
  }

  /// Gives every rank the bytes of all.
  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws {
    checkAllGather(send, receive)
    if receive.count > largestTransferBytes {
      let byteCounts = Array(repeating: send.count, count: size)
      return try allGatherVariable(send, into: receive, byteCounts: byteCounts)
    }
    if send.count == 0 { return }
    // int MPI_Allgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf, ...)
    try check(
      "MPI_Allgather",
      cmpi_all_gather(handle, send.baseAddress, Int32(send.count), receive.baseAddress))
  }

  /// Gives every rank the bytes of all, `byteCounts[r]` of rank r.
  public func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws {
    checkGatherVariable(send, receive, byteCounts)
    let layout = BlockLayout(counts: byteCounts)
    for window in layout.windows(ofAtMost: largestTransferBytes) {
      // int MPI_Allgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
      //                    const int recvcounts[], const int displs[], ...)
      let part = UnsafeRawBufferPointer(rebasing: send[layout.part(ofBlock: rank, in: window)])
      let counts = MPICounts(layout, window)
      let target = receive.baseAddress! + window.lowerBound
      try check(
        "MPI_Allgatherv",
        cmpi_all_gather_variable(
          handle, part.baseAddress, Int32(part.count), target, counts.counts, counts.displacements))
    }
  }

  /// Gives the root the bytes of all, `byteCounts[r]` of rank r.
  public func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    checkRoot(root)
    checkGatherVariable(send, rank == root ? receive : nil, byteCounts)
    precondition(rank != root || receive != nil, "no receive buffer at root \(root)")
    let layout = BlockLayout(counts: byteCounts)
    for window in layout.windows(ofAtMost: largestTransferBytes) {
      // int MPI_Gatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
      //                 const int recvcounts[], const int displs[], MPI_Datatype recvtype, int root, ...)
      let part = UnsafeRawBufferPointer(rebasing: send[layout.part(ofBlock: rank, in: window)])
      let counts = MPICounts(layout, window)
      let target = rank == root ? receive!.baseAddress! + window.lowerBound : nil
      try check(
        "MPI_Gatherv",
        cmpi_gather_variable(
          handle, part.baseAddress, Int32(part.count), target, counts.counts, counts.displacements,
          Int32(root)))
    }
  }

  /// Replaces every value by the reduction of all ranks' values at its place.
  public func allReduce(
    _ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction
  ) throws {
    for slice in BlockLayout.slices(of: values.count, ofAtMost: largestTransferBytes / 8) {
      // int MPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op, ...)
      let part = UnsafeMutableBufferPointer(rebasing: values[slice])
      try check(
        "MPI_Allreduce",
        cmpi_all_reduce_int64(handle, part.baseAddress, Int32(part.count), operation.code))
    }
  }

  /// Starts to send a message.
  public func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws
    -> any Transfer
  {
    checkMessage(to, channel)
    return try MPISend(
      bytes, to: Int32(to), tag: Int32(channel), sliceBytes: largestTransferBytes, in: handle)
  }

  /// Starts to receive a message.
  public func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer
  {
    checkMessage(from, channel)
    return try MPIReceive(
      bytes, from: Int32(from), tag: Int32(channel), sliceBytes: largestTransferBytes, in: handle)
  }

  /// The sum of all ranks' floats at the root, in an order that MPI chooses: its bits depend on the
  /// ranks. For measurements; the program sums exactly.
  public func reduceInexactly(_ values: [Float], into sum: inout [Float], root: Int = 0) throws {
    precondition(
      values.count == sum.count && 4 * values.count <= largestTransferBytes,
      "\(values.count) floats into \(sum.count)")
    // int MPI_Reduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op, int root, ...)
    try check(
      "MPI_Reduce", cmpi_reduce_float(handle, values, &sum, Int32(values.count), Int32(root)))
  }

  /// The sum of all ranks' floats on every rank, likewise.
  public func allReduceInexactly(_ values: inout [Float]) throws {
    precondition(4 * values.count <= largestTransferBytes, "\(values.count) floats")
    // int MPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op, ...)
    try check("MPI_Allreduce", cmpi_all_reduce_float(handle, &values, Int32(values.count)))
  }

  /// Ends the whole job, see `MPIRuntime.abort`.
  public func abort(exitCode: Int32) -> Never { MPIRuntime.abort(exitCode: exitCode) }

  private static func place(in handle: Int32) throws -> (rank: Int, size: Int) {
    var rank: Int32 = 0
    var size: Int32 = 0
    // int MPI_Comm_rank(MPI_Comm comm, int *rank)
    try check("MPI_Comm_rank", cmpi_rank(handle, &rank))
    // int MPI_Comm_size(MPI_Comm comm, int *size)
    try check("MPI_Comm_size", cmpi_size(handle, &size))
    return (Int(rank), Int(size))
  }

  /// Splits the ranks by the memory that they share, and numbers the nodes by their lowest rank.
  private static func node(of rank: Int, _ size: Int, in handle: Int32) throws -> NodePlace {
    var nodeHandle: Int32 = 0
    // int MPI_Comm_split_type(MPI_Comm comm, int split_type, int key, MPI_Info info, MPI_Comm *newcomm)
    try check("MPI_Comm_split_type", cmpi_split_by_node(handle, &nodeHandle))
    let (nodeRank, nodeSize) = try place(in: nodeHandle)
    var leader = Int64(rank)
    try check(
      "MPI_Allreduce", cmpi_all_reduce_int64(nodeHandle, &leader, 1, Reduction.minimum.code))
    // int MPI_Comm_free(MPI_Comm *comm)
    try check("MPI_Comm_free", cmpi_free(&nodeHandle))
    var leaders = [Int64](repeating: 0, count: size)
    try check("MPI_Allgather", cmpi_all_gather(handle, &leader, 8, &leaders))
    let distinct = Set(leaders).sorted()
    return NodePlace(
      index: distinct.firstIndex(of: leader)!, count: distinct.count, leader: Int(leader),
      rank: nodeRank, size: nodeSize)
  }
}

/// The counts and displacements of a window, as MPI takes them.
private struct MPICounts {
  let counts: [Int32]
  let displacements: [Int32]

  init(_ layout: BlockLayout, _ window: Range<Int>) {
    var counts: [Int32] = []
    var displacements: [Int32] = []
    var displacement: Int32 = 0
    for count in layout.counts(in: window) {
      counts.append(Int32(count))
      displacements.append(displacement)
      displacement += Int32(count)
    }
    (self.counts, self.displacements) = (counts, displacements)
  }
}

extension Reduction {
  /// The shim's name of the operation.
  fileprivate var code: Int32 {
    switch self {
    case .sum: Int32(CMPI_SUM)
    case .maximum: Int32(CMPI_MAXIMUM)
    case .minimum: Int32(CMPI_MINIMUM)
    }
  }
}
