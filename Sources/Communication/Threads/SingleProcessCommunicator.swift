// The communicator of a program that runs alone: every collective is a copy or nothing.

import Foundation

/// A group of one rank, for runs without MPI and for tests.
public final class SingleProcessCommunicator: Communicator {
  /// Always 0.
  public let rank = 0
  /// Always 1.
  public let size = 1
  /// The host's name.
  public let hostName = ProcessInfo.processInfo.hostName
  /// One node with one rank.
  public let node = NodePlace(index: 0, count: 1, leader: 0, rank: 0, size: 1)

  /// Makes the group.
  public init() {}

  /// Returns at once.
  public func barrier() {}

  /// Leaves the bytes as they are.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) { checkRoot(root) }

  /// Copies the bytes.
  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) {
    checkAllGather(send, receive)
    receive.copyMemory(from: send)
  }

  /// Copies the bytes.
  public func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) {
    checkGatherVariable(send, receive, byteCounts)
    receive.copyMemory(from: send)
  }

  /// Copies the bytes.
  public func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) {
    checkRoot(root)
    checkGatherVariable(send, receive, byteCounts)
    guard let receive else { preconditionFailure("no receive buffer at root \(root)") }
    receive.copyMemory(from: send)
  }

  /// Leaves the values as they are.
  public func allReduce(_ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction) {}

  /// Traps: there is no other rank.
  public func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) -> any Transfer {
    preconditionFailure("a message to rank \(to) of 1")
  }

  /// Traps: there is no other rank.
  public func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int)
    -> any Transfer
  {
    preconditionFailure("a message from rank \(from) of 1")
  }

  /// Flushes standard output and ends the program.
  public func abort(exitCode: Int32) -> Never { exit(exitCode) }
}
