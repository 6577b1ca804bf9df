// What the simulator needs of MPI, as a protocol: ranks and a handful of collectives over bytes.
// Everything above it (variable lengths, sparse collectives, agreement, node-shared memory) is written once
// in extensions, so the single-process, the thread and the MPI communicator behave alike; one suite
// (Tests/CommunicationConformance) holds them to it.

/// What `Communicator.allReduce` computes of the ranks' values.
public enum Reduction: String, Sendable, CaseIterable {
  /// The sum, wrapping around at 64 bits: associative, so its bits do not depend on the order.
  case sum
  /// The largest value.
  case maximum
  /// The smallest value.
  case minimum
}

/// Where a rank runs: its node among the nodes, and its place among the ranks that share memory with it.
public struct NodePlace: Sendable, Equatable {
  /// The node's number in `0..<count`, nodes being numbered by their lowest rank.
  public let index: Int
  /// How many nodes the communicator spans.
  public let count: Int
  /// The lowest rank on this node.
  public let leader: Int
  /// This rank's place on its node, in `0..<size`; the leader's is 0.
  public let rank: Int
  /// How many ranks this node has.
  public let size: Int

  /// A place, checked.
  ///
  /// - Precondition: `0 <= index < count`, `0 <= rank < size`.
  public init(index: Int, count: Int, leader: Int, rank: Int, size: Int) {
    precondition(
      index >= 0 && index < count && rank >= 0 && rank < size && leader >= 0,
      "node \(index) of \(count), leader \(leader), rank \(rank) of \(size) on it")
    (self.index, self.count, self.leader) = (index, count, leader)
    (self.rank, self.size) = (rank, size)
  }
}

/// A message between two ranks that was started and is under way.
public protocol Transfer: AnyObject {
  /// Waits until it has arrived or, of one that is sent, until its bytes may be used again.
  ///
  /// - Returns: The bytes of the message.
  func finish() throws -> Int
  /// Whether `finish` would return at once. It moves along what is under way, and waits for nothing.
  func isFinished() throws -> Bool
}

/// A group of ranks that call the same collectives in the same order.
///
/// Every function but the two that start a message is collective: all ranks call it, with the same counts and root; buffers of one call must
/// not overlap. When a rank fails, the others' calls throw (threads) or the job ends (MPI): nothing waits
/// for a rank that is gone. A communicator belongs to the thread that made it.
public protocol Communicator: AnyObject {
  /// This rank, in `0..<size`.
  var rank: Int { get }
  /// The number of ranks, at least 1.
  var size: Int { get }
  /// The host's name, for the manifest and messages.
  var hostName: String { get }
  /// Which ranks share memory with this one.
  var node: NodePlace { get }

  /// Waits until every rank has come here.
  func barrier() throws

  /// Gives every rank the root's bytes.
  ///
  /// - Precondition: The same count and root on every rank; `0 <= root < size`.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws

  /// Gives every rank the bytes of all, end to end in the order of ranks.
  ///
  /// - Precondition: The same `send.count` on every rank; `receive.count == size * send.count`.
  func allGather(_ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer) throws

  /// Gives every rank the bytes of all, `byteCounts[r]` of rank r, end to end in the order of ranks.
  ///
  /// - Precondition: The same `byteCounts` on every rank, one a rank; `send.count == byteCounts[rank]`;
  ///   `receive.count` is their sum.
  func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws

  /// Gives the root the bytes of all, `byteCounts[r]` of rank r, end to end in the order of ranks.
  ///
  /// - Precondition: As in `allGatherVariable`; `receive` is needed at the root only.
  func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws

  /// Replaces every value by the reduction of all ranks' values at its place.
  ///
  /// - Precondition: The same count and operation on every rank.
  func allReduce(_ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction) throws

  /// Starts to send a message to another rank; of two on one channel the first arrives first.
  ///
  /// Unlike the collectives above, only the two ranks of a message call anything for it.
  ///
  /// - Parameters:
  ///   - bytes: Stay as they are until the transfer is finished.
  ///   - channel: From 0 to 32 000; messages are received on the channel on which they were sent.
  /// - Precondition: `to` is another rank.
  func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws -> any Transfer

  /// Starts to receive a message of at most `bytes.count` bytes from another rank.
  ///
  /// One receive at a time on a channel from a rank: those that are under way together, as the
  /// messages of a pipeline, have a channel each.
  ///
  /// - Parameter bytes: Belong to the transfer until it is finished.
  /// - Precondition: `from` is another rank.
  func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer

  /// Ends all ranks because this one cannot go on. Under MPI, and with a single process, the program ends with
  /// `exitCode` after standard output is flushed; in a group of threads the other ranks' calls throw and
  /// this rank's thread is parked for good.
  func abort(exitCode: Int32) -> Never
}

// The preconditions of the collectives, stated once for all implementations.
extension Communicator {
  /// Traps unless `root` is a rank.
  public func checkRoot(_ root: Int) {
    precondition(root >= 0 && root < size, "root \(root) of \(size) ranks")
  }

  /// Traps unless a message can go to or come from `peer` on this channel.
  public func checkMessage(_ peer: Int, _ channel: Int) {
    precondition(
      peer >= 0 && peer < size && peer != rank, "a message between rank \(rank) and \(peer)")
    precondition((0...32_000).contains(channel), "channel \(channel)")
  }

  /// Traps unless the buffers of an `allGather` fit together.
  public func checkAllGather(
    _ send: UnsafeRawBufferPointer, _ receive: UnsafeMutableRawBufferPointer
  ) {
    precondition(
      receive.count == size * send.count,
      "\(receive.count) bytes to receive \(send.count) of each of \(size) ranks")
  }

  /// Traps unless the buffers of a gather with variable counts fit together.
  public func checkGatherVariable(
    _ send: UnsafeRawBufferPointer, _ receive: UnsafeMutableRawBufferPointer?, _ byteCounts: [Int]
  ) {
    precondition(byteCounts.count == size, "\(byteCounts.count) counts for \(size) ranks")
    precondition(byteCounts.allSatisfy { $0 >= 0 }, "negative count in \(byteCounts)")
    precondition(
      send.count == byteCounts[rank],
      "rank \(rank) sends \(send.count) bytes, its count is \(byteCounts[rank])")
    guard let receive else { return }
    let total = byteCounts.reduce(0, +)
    precondition(receive.count == total, "\(receive.count) bytes to receive \(total)")
  }
}
