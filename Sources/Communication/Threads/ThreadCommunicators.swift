// N ranks as N threads of one process: the deterministic double of MPI for tests. Beyond moving the bytes it
// checks what MPI leaves undefined: that all ranks call the same collective with the same counts and root.
// A rank that throws, returns early or aborts makes the others throw; no one waits for it.

import Foundation

/// Runs groups of ranks as threads.
public enum ThreadCommunicators {
  /// Runs `body` on `size` ranks at once and returns their results in the order of ranks.
  ///
  /// If a rank throws, the others' collectives throw `CommunicationError.rankLeft`, and the error of the
  /// rank that failed first is thrown here once all have ended.
  ///
  /// - Parameters:
  ///   - size: The number of ranks.
  ///   - ranksPerNode: How many consecutive ranks count as one node; all of them if nil.
  ///   - body: The program of one rank.
  /// - Precondition: `size > 0`, `ranksPerNode > 0`.
  public static func run<Result: Sendable>(
    size: Int, ranksPerNode: Int? = nil,
    _ body: @escaping @Sendable (any Communicator) throws -> Result
  ) throws -> [Result] {
    precondition(size > 0, "\(size) ranks")
    let ranksPerNode = ranksPerNode ?? size
    precondition(ranksPerNode > 0, "\(ranksPerNode) ranks on a node")
    let group = ThreadGroup(size: size)
    let results = Results<Result>(count: size)
    for rank in 0..<size {
      let thread = Thread {
        let communicator = ThreadCommunicator(rank: rank, ranksPerNode: ranksPerNode, group: group)
        do {
          results.set(rank, try body(communicator))
          group.leave(rank: rank, reason: "it returned", error: nil)
        } catch {
          group.leave(rank: rank, reason: "\(error)", error: error)
        }
      }
      thread.name = "rank \(rank)"
      thread.stackSize = 8 << 20
      thread.start()
    }
    try group.waitForAll()
    return results.all
  }
}

/// The ranks' results, set from their threads.
private final class Results<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Value?]

  init(count: Int) { values = Array(repeating: nil, count: count) }

  func set(_ index: Int, _ value: Value) { lock.withLock { values[index] = value } }

  var all: [Value] {
    lock.withLock { values.map { value in value! } }
  }
}

/// One rank of a group of threads.
private final class ThreadCommunicator: Communicator {
  let rank: Int
  let size: Int
  let hostName = ProcessInfo.processInfo.hostName
  let node: NodePlace
  private let group: ThreadGroup

  init(rank: Int, ranksPerNode: Int, group: ThreadGroup) {
    let index = rank / ranksPerNode
    let leader = index * ranksPerNode
    self.rank = rank
    self.size = group.size
    self.group = group
    node = NodePlace(
      index: index, count: (group.size + ranksPerNode - 1) / ranksPerNode, leader: leader,
      rank: rank - leader, size: min(ranksPerNode, group.size - leader))
  }

  func barrier() throws { try group.meet(rank, .init(.barrier)) { _ in } }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    checkRoot(root)
    let call = ThreadGroup.Call(.broadcast(byteCount: bytes.count, root: root), .init(bytes))
    try group.meet(rank, call) { calls in
      if rank != root { bytes.copyMemory(from: calls[root].bytes) }
    }
  }

  func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws {
    checkAllGather(send, receive)
    try group.meet(rank, .init(.allGather(byteCount: send.count), send)) { calls in
      copy(calls, into: receive)
    }
  }

  func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws {
    checkGatherVariable(send, receive, byteCounts)
    try group.meet(rank, .init(.allGatherVariable(byteCounts: byteCounts), send)) { calls in
      copy(calls, into: receive)
    }
  }

  func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    checkRoot(root)
    checkGatherVariable(send, rank == root ? receive : nil, byteCounts)
    let call = ThreadGroup.Call(.gatherVariable(byteCounts: byteCounts, root: root), send)
    try group.meet(rank, call) { calls in
      guard rank == root else { return }
      guard let receive else { preconditionFailure("no receive buffer at root \(root)") }
      copy(calls, into: receive)
    }
  }

  func allReduce(_ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction) throws {
    var reduced = [Int64](repeating: 0, count: values.count)
    let call = ThreadGroup.Call(
      .allReduce(count: values.count, operation), UnsafeRawBufferPointer(values))
    try group.meet(rank, call) { calls in
      for (source, contribution) in calls.enumerated() {
        let other = contribution.bytes.bindMemory(to: Int64.self)
        for i in reduced.indices {
          reduced[i] = source == 0 ? other[i] : operation.combine(reduced[i], other[i])
        }
      }
    }
    _ = values.update(fromContentsOf: reduced)
  }

  func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws -> any Transfer {
    checkMessage(to, channel)
    group.put(Array(bytes), into: .init(from: rank, to: to, channel: channel))
    return SentMessage(count: bytes.count)
  }

  func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int)
    -> any Transfer
  {
    checkMessage(from, channel)
    return AwaitedMessage(bytes, .init(from: from, to: rank, channel: channel), group)
  }

  func abort(exitCode: Int32) -> Never {
    let error = RankFailure(rank: rank, reason: "it aborted", exitCode: exitCode)
    group.leave(rank: rank, reason: "it aborted with exit code \(exitCode)", error: error)
    // The frames below cannot be unwound without throwing, and others may still read their buffers.
    while true { sleep(1000) }
  }

  private func copy(_ calls: [ThreadGroup.Call], into receive: UnsafeMutableRawBufferPointer) {
    var offset = 0
    for call in calls {
      let end = offset + call.bytes.count
      UnsafeMutableRawBufferPointer(rebasing: receive[offset..<end]).copyMemory(from: call.bytes)
      offset = end
    }
  }
}

/// A message that was copied when it was sent.
private final class SentMessage: Transfer {
  private let count: Int

  init(count: Int) { self.count = count }

  func finish() -> Int { count }
  func isFinished() -> Bool { true }
}

/// A message that is copied when it is asked for.
private final class AwaitedMessage: Transfer {
  private let bytes: UnsafeMutableRawBufferPointer
  private let mailbox: ThreadGroup.Mailbox
  private let group: ThreadGroup
  private var count: Int?

  init(
    _ bytes: UnsafeMutableRawBufferPointer, _ mailbox: ThreadGroup.Mailbox, _ group: ThreadGroup
  ) {
    (self.bytes, self.mailbox, self.group) = (bytes, mailbox, group)
  }

  func finish() throws -> Int {
    if count == nil { take(try group.take(from: mailbox, waiting: true)) }
    return count!
  }

  func isFinished() throws -> Bool {
    if count == nil { take(try group.take(from: mailbox, waiting: false)) }
    return count != nil
  }

  private func take(_ message: [UInt8]?) {
    guard let message else { return }
    precondition(message.count <= bytes.count, "\(message.count) bytes for \(bytes.count)")
    bytes.copyBytes(from: message)
    count = message.count
  }
}

extension Reduction {
  /// The reduction of two values.
  func combine(_ a: Int64, _ b: Int64) -> Int64 {
    switch self {
    case .sum: a &+ b
    case .maximum: max(a, b)
    case .minimum: min(a, b)
    }
  }
}
