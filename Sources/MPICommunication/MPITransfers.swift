// Messages between two ranks over MPI, under way while the ranks do something else.
//
// MPI counts bytes in 32 bits, so a long message is cut into slices. A receiver does not know how
// long the message is: a slice that is not full ends it. A message of a whole number of full slices
// is therefore followed by an empty one. All slices have one tag, and MPI keeps their order.

internal import CMPIShim
internal import Communication

/// A message that is being sent.
final class MPISend: Transfer {
  private let count: Int
  private var requests: [Int32] = []

  /// Starts all slices at once.
  init(
    _ bytes: UnsafeRawBufferPointer, to: Int32, tag: Int32, sliceBytes: Int, in handle: Int32
  ) throws {
    count = bytes.count
    var start = 0
    repeat {
      let length = min(sliceBytes, bytes.count - start)
      var request: Int32 = 0
      // int MPI_Isend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm, ...)
      try check(
        "MPI_Isend",
        cmpi_start_send(
          handle, bytes.baseAddress.map { $0 + start }, Int32(length), to, tag, &request))
      requests.append(request)
      start += sliceBytes
    } while start <= bytes.count
  }

  func finish() throws -> Int {
    while var request = requests.popLast() {
      var ignored: Int32 = 0
      // int MPI_Wait(MPI_Request *request, MPI_Status *status)
      try check("MPI_Wait", cmpi_wait(&request, &ignored))
    }
    return count
  }

  func isFinished() throws -> Bool {
    while var request = requests.last {
      var (isFinished, ignored): (Int32, Int32) = (0, 0)
      // int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
      try check("MPI_Test", cmpi_test(&request, &isFinished, &ignored))
      guard isFinished != 0 else { return false }
      requests.removeLast()
    }
    return true
  }
}

/// A message that is being received.
final class MPIReceive: Transfer {
  private let bytes: UnsafeMutableRawBufferPointer
  private let (from, tag): (Int32, Int32)
  private let sliceBytes: Int
  private let handle: Int32
  /// The bytes of the slices that are there.
  private var received = 0
  /// The slice that is awaited; nil when all are there.
  private var request: Int32?

  init(
    _ bytes: UnsafeMutableRawBufferPointer, from: Int32, tag: Int32, sliceBytes: Int,
    in handle: Int32
  ) throws {
    self.bytes = bytes
    (self.from, self.tag) = (from, tag)
    (self.sliceBytes, self.handle) = (sliceBytes, handle)
    try startSlice()
  }

  private func startSlice() throws {
    var request: Int32 = 0
    // int MPI_Irecv(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm, ...)
    let room = min(sliceBytes, bytes.count - received)
    try check(
      "MPI_Irecv",
      cmpi_start_receive(
        handle, bytes.baseAddress.map { $0 + received }, Int32(room), from, tag, &request))
    self.request = request
  }

  func finish() throws -> Int {
    while var waiting = request {
      var count: Int32 = 0
      // int MPI_Wait(MPI_Request *request, MPI_Status *status)
      try check("MPI_Wait", cmpi_wait(&waiting, &count))
      try take(count)
    }
    return received
  }

  func isFinished() throws -> Bool {
    while var waiting = request {
      var (isFinished, count): (Int32, Int32) = (0, 0)
      // int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
      try check("MPI_Test", cmpi_test(&waiting, &isFinished, &count))
      guard isFinished != 0 else { return false }
      try take(count)
    }
    return true
  }

  private func take(_ count: Int32) throws {
    request = nil
    received += Int(count)
    if Int(count) == sliceBytes { try startSlice() }
  }
}
