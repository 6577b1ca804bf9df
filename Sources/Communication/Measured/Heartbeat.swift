// What a rank is doing, as its own main thread says from step to step, for a thread that looks whether it
// still gets on. Waiting for other ranks is told apart from work: who waits does not hang itself.
internal import Synchronization

/// The signs of life of one rank.
public final class Heartbeat: Sendable {
  /// What was said last.
  public struct Sign: Sendable, Equatable {
    /// How often anything was said.
    public var count = 0
    /// The piece of work.
    public var doing = "starting"
    /// The collective in which the rank waits for others; nil while it works.
    public var waitingIn: String?

    /// Nothing said yet.
    public init() {}
  }

  private let last = Mutex(Sign())

  /// A heart that has not beaten.
  public init() {}

  /// What was said last.
  public var sign: Sign { last.withLock { $0 } }

  /// A new piece of work begins.
  public func begin(_ doing: String) {
    last.withLock {
      $0.count += 1
      $0.doing = doing
    }
  }

  /// A part of the piece of work is done.
  public func beat() { last.withLock { $0.count += 1 } }

  /// Runs a collective, in which the rank waits for others.
  func waiting(in collective: Collective, _ call: () throws -> Void) rethrows {
    last.withLock {
      $0.count += 1
      $0.waitingIn = collective.rawValue
    }
    defer {
      last.withLock {
        $0.count += 1
        $0.waitingIn = nil
      }
    }
    try call()
  }
}

/// A communicator that hands every call to another and says so to a heartbeat.
public final class WatchedCommunicator: Communicator {
  private let base: any Communicator
  private let heartbeat: Heartbeat

  /// Tells `heartbeat` of the calls of `base`.
  public init(_ base: any Communicator, _ heartbeat: Heartbeat) {
    self.base = base
    self.heartbeat = heartbeat
  }

  /// This rank.
  public var rank: Int { base.rank }
  /// The number of ranks.
  public var size: Int { base.size }
  /// The host's name.
  public var hostName: String { base.hostName }
  /// The ranks that share memory with this one.
  public var node: NodePlace { base.node }

  /// Waits until every rank has come here.
  public func barrier() throws {
    try heartbeat.waiting(in: .barrier) { try base.barrier() }
  }

  /// Gives every rank the root's bytes.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    try heartbeat.waiting(in: .broadcast) { try base.broadcast(bytes, root: root) }
  }

  /// Gives every rank the bytes of all.
  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws {
    try heartbeat.waiting(in: .allGather) { try base.allGather(send, into: receive) }
  }

  /// Gives every rank the bytes of all, `byteCounts[r]` of rank r.
  public func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws {
    try heartbeat.waiting(in: .allGather) {
      try base.allGatherVariable(send, into: receive, byteCounts: byteCounts)
    }
  }

  /// Gives the root the bytes of all, `byteCounts[r]` of rank r.
  public func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    try heartbeat.waiting(in: .gather) {
      try base.gatherVariable(send, into: receive, byteCounts: byteCounts, root: root)
    }
  }

  /// Replaces every value by the reduction of all ranks' values at its place.
  public func allReduce(
    _ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction
  ) throws {
    try heartbeat.waiting(in: .allReduce) { try base.allReduce(values, operation) }
  }

  /// Starts to send a message.
  public func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws
    -> any Transfer
  {
    WatchedTransfer(try base.startSend(bytes, to: to, channel: channel), heartbeat)
  }

  /// Starts to receive a message.
  public func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer
  {
    WatchedTransfer(try base.startReceive(bytes, from: from, channel: channel), heartbeat)
  }

  /// Ends all ranks.
  public func abort(exitCode: Int32) -> Never { base.abort(exitCode: exitCode) }
}

/// A transfer whose waiting a heartbeat knows of.
private final class WatchedTransfer: Transfer {
  private let base: any Transfer
  private let heartbeat: Heartbeat

  init(_ base: any Transfer, _ heartbeat: Heartbeat) {
    (self.base, self.heartbeat) = (base, heartbeat)
  }

  func finish() throws -> Int {
    var bytes = 0
    try heartbeat.waiting(in: .message) { bytes = try base.finish() }
    return bytes
  }

  func isFinished() throws -> Bool { try base.isFinished() }
}
