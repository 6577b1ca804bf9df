// A communicator that hands every call to another and keeps the books: see WireLedger for the formulas.

/// Counts what this rank sends and receives; otherwise the communicator that it wraps.
public final class CountingCommunicator: Communicator {
  /// What was counted so far.
  public private(set) var ledger = WireLedger()
  private let base: any Communicator
  private let clock = ContinuousClock()

  /// Counts over `base`.
  public init(_ base: any Communicator) { self.base = base }

  /// This rank.
  public var rank: Int { base.rank }
  /// The number of ranks.
  public var size: Int { base.size }
  /// The host's name.
  public var hostName: String { base.hostName }
  /// The ranks that share memory with this one.
  public var node: NodePlace { base.node }

  /// Counts and waits.
  public func barrier() throws {
    var entry = WireLedger.Entry()
    // ceil(log2 P): the bits of P - 1.
    entry.messagesSent = Int.bitWidth - (size - 1).leadingZeroBitCount
    entry.messagesReceived = entry.messagesSent
    try count(.barrier, entry) { try base.barrier() }
  }

  /// Counts and broadcasts.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    checkRoot(root)
    var entry = WireLedger.Entry()
    if bytes.count > 0 {
      let place = (rank - root + size) % size
      if place < size - 1 { (entry.messagesSent, entry.wireBytesSent) = (1, bytes.count) }
      if place > 0 { (entry.messagesReceived, entry.wireBytesReceived) = (1, bytes.count) }
    }
    try count(.broadcast, entry) { try base.broadcast(bytes, root: root) }
  }

  /// Counts and gathers.
  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws {
    checkAllGather(send, receive)
    let entry = ring(total: receive.count, own: send.count, successors: send.count)
    try count(.allGather, entry) { try base.allGather(send, into: receive) }
  }

  /// Counts and gathers.
  public func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws {
    checkGatherVariable(send, receive, byteCounts)
    let entry = ring(
      total: receive.count, own: send.count, successors: byteCounts[(rank + 1) % size])
    try count(.allGather, entry) {
      try base.allGatherVariable(send, into: receive, byteCounts: byteCounts)
    }
  }

  /// Counts and gathers.
  public func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    checkRoot(root)
    checkGatherVariable(send, rank == root ? receive : nil, byteCounts)
    var entry = WireLedger.Entry()
    if rank == root {
      entry.messagesReceived = byteCounts.indices.count { $0 != root && byteCounts[$0] > 0 }
      entry.wireBytesReceived = byteCounts.reduce(0, +) - byteCounts[root]
    } else if send.count > 0 {
      (entry.messagesSent, entry.wireBytesSent) = (1, send.count)
    }
    try count(.gather, entry) {
      try base.gatherVariable(send, into: receive, byteCounts: byteCounts, root: root)
    }
  }

  /// Counts and reduces.
  public func allReduce(
    _ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction
  ) throws {
    let (rank, size, elements) = (rank, size, values.count)
    /// Bytes of the block of the rank `steps` further on, when the values are cut into P blocks.
    func block(_ steps: Int) -> Int {
      let index = (rank + steps) % size
      return 8 * (elements * (index + 1) / size - elements * index / size)
    }
    var entry = WireLedger.Entry()
    if size > 1 && elements > 0 {
      // Each half passes on all blocks but one: in the first, rank r starts with block r and ends with the
      // whole of block r + 1; in the second it starts with that one and ends with block r + 2.
      let both = 2 * 8 * elements
      entry.wireBytesSent = both - block(1) - block(2)
      entry.wireBytesReceived = both - block(0) - block(1)
      entry.messagesSent = 2 * (size - 1)
      entry.messagesReceived = 2 * (size - 1)
    }
    try count(.allReduce, entry) { try base.allReduce(values, operation) }
  }

  /// Counts and starts to send.
  public func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws
    -> any Transfer
  {
    var entry = WireLedger.Entry()
    (entry.messagesSent, entry.wireBytesSent) = (1, bytes.count)
    return try started(entry) { try base.startSend(bytes, to: to, channel: channel) }
  }

  /// Starts to receive; what came is counted when it is there.
  public func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer
  {
    let transfer = try started(WireLedger.Entry()) {
      try base.startReceive(bytes, from: from, channel: channel)
    }
    transfer.isReceived = true
    return transfer
  }

  /// Counts a call and makes a transfer that counts for this ledger.
  private func started(_ entry: WireLedger.Entry, _ start: () throws -> any Transfer) throws
    -> CountedTransfer
  {
    var transfer: CountedTransfer?
    try count(.message, entry) { transfer = CountedTransfer(try start(), self) }
    return transfer!
  }

  fileprivate func add(_ entry: WireLedger.Entry) { ledger[.message] += entry }

  /// Ends all ranks.
  public func abort(exitCode: Int32) -> Never { base.abort(exitCode: exitCode) }

  private func ring(total: Int, own: Int, successors: Int) -> WireLedger.Entry {
    var entry = WireLedger.Entry()
    if size > 1 && total > 0 {
      entry.messagesSent = size - 1
      entry.messagesReceived = size - 1
      entry.wireBytesSent = total - successors
      entry.wireBytesReceived = total - own
    }
    return entry
  }

  private func count(
    _ collective: Collective, _ entry: WireLedger.Entry, _ call: () throws -> Void
  ) throws {
    let start = clock.now
    try call()
    var entry = entry
    entry.calls = 1
    entry.wallSeconds = (clock.now - start) / .seconds(1)
    ledger[collective] += entry
  }
}

/// A transfer whose waiting, and whose bytes if they are received, are counted.
private final class CountedTransfer: Transfer {
  private let base: any Transfer
  private let communicator: CountingCommunicator
  var isReceived = false
  private var isCounted = false

  init(_ base: any Transfer, _ communicator: CountingCommunicator) {
    (self.base, self.communicator) = (base, communicator)
  }

  func finish() throws -> Int {
    let start = ContinuousClock.now
    let bytes = try base.finish()
    guard !isCounted else { return bytes }
    isCounted = true
    var entry = WireLedger.Entry()
    entry.wallSeconds = (ContinuousClock.now - start) / .seconds(1)
    if isReceived { (entry.messagesReceived, entry.wireBytesReceived) = (1, bytes) }
    communicator.add(entry)
    return bytes
  }

  func isFinished() throws -> Bool { try base.isFinished() }
}
