// The meeting point of the ranks of a thread communicator: everybody shows what it calls and where its bytes
// are, everybody copies, and nobody goes on before all have copied.

import Foundation

/// What the threads of a group share.
final class ThreadGroup: @unchecked Sendable {
  /// A collective, with all that must be the same on every rank.
  enum Operation: Equatable {
    case barrier
    case broadcast(byteCount: Int, root: Int)
    case allGather(byteCount: Int)
    case allGatherVariable(byteCounts: [Int])
    case gatherVariable(byteCounts: [Int], root: Int)
    case allReduce(count: Int, Reduction)
  }

  /// One rank's part in a collective; the bytes stay valid until all ranks have copied.
  struct Call {
    let operation: Operation
    let bytes: UnsafeRawBufferPointer

    init(_ operation: Operation, _ bytes: UnsafeRawBufferPointer = .init(start: nil, count: 0)) {
      (self.operation, self.bytes) = (operation, bytes)
    }
  }

  /// Where messages between two ranks wait.
  struct Mailbox: Hashable {
    let from: Int
    let to: Int
    let channel: Int
  }

  let size: Int
  private let condition = NSCondition()
  private var calls: [Call?]
  private var arrived = 0
  private var generation = 0
  private var left = 0
  private var ended: Set<Int> = []
  private var fault: CommunicationError?
  private var mailboxes: [Mailbox: [[UInt8]]] = [:]
  private var firstError: (any Error)?

  init(size: Int) {
    self.size = size
    calls = Array(repeating: nil, count: size)
  }

  /// Waits for all ranks' calls, gives them to `copy`, and waits until all have copied.
  func meet(_ rank: Int, _ call: Call, copy: ([Call]) -> Void) throws {
    let all = try condition.withLock {
      if let fault { throw fault }
      calls[rank] = call
      try arriveAndWait(checking: true)
      return calls.map { call in call! }
    }
    copy(all)
    try condition.withLock { try arriveAndWait(checking: false) }
  }

  /// Counts this rank in and waits for the others. Called with the lock held.
  ///
  /// A meeting that is complete counts as complete for all, whatever happens afterwards: a rank must not
  /// throw, and free its buffer, while another still copies from it. Between the two meetings of a
  /// collective no rank runs anything that could fail, so the second always completes.
  private func arriveAndWait(checking: Bool) throws {
    let mine = generation
    arrived += 1
    if arrived == size {
      arrived = 0
      if checking, let mismatch = mismatch() {
        fault = fault ?? mismatch
      } else {
        generation += 1
      }
      condition.broadcast()
    }
    while generation == mine && fault == nil { condition.wait() }
    if generation == mine, let fault { throw fault }
  }

  /// The first rank whose call is not rank 0's.
  private func mismatch() -> CommunicationError? {
    let first = calls[0]!.operation
    for (rank, call) in calls.enumerated() where call!.operation != first {
      return .mismatch(
        rank: 0, call: "called \(first)", otherRank: rank, otherCall: "called \(call!.operation)")
    }
    return nil
  }

  /// Puts a message into a mailbox.
  func put(_ message: [UInt8], into mailbox: Mailbox) {
    condition.withLock {
      mailboxes[mailbox, default: []].append(message)
      condition.broadcast()
    }
  }

  /// The next message of a mailbox; nil where there is none and nobody is to wait.
  ///
  /// What was sent before a rank ended arrives all the same, and that another rank than the sender has
  /// returned is no fault.
  func take(from mailbox: Mailbox, waiting: Bool) throws -> [UInt8]? {
    try condition.withLock {
      while mailboxes[mailbox, default: []].isEmpty {
        if let fault, firstError != nil || ended.contains(mailbox.from) { throw fault }
        if !waiting { return nil }
        condition.wait()
      }
      return mailboxes[mailbox]!.removeFirst()
    }
  }

  /// Takes note that a rank has ended; from now on every collective throws.
  func leave(rank: Int, reason: String, error: (any Error)?) {
    condition.withLock {
      left += 1
      ended.insert(rank)
      firstError = firstError ?? error
      fault = fault ?? .rankLeft(rank: rank, reason: reason)
      condition.broadcast()
    }
  }

  /// Waits until all ranks have ended and throws the first error among them.
  func waitForAll() throws {
    try condition.withLock {
      while left < size { condition.wait() }
      if let firstError { throw firstError }
    }
  }
}
