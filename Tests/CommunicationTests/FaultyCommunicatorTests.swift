// The suite itself: a communicator that is wrong in one collective must not pass.

import Communication
import CommunicationConformance
import Testing

/// Wrong in the collective that it is told, right in the others.
private final class FaultyCommunicator: Communicator {
  let base: any Communicator
  let faulty: Collective

  init(_ base: any Communicator, faulty: Collective) { (self.base, self.faulty) = (base, faulty) }

  var rank: Int { base.rank }
  var size: Int { base.size }
  var hostName: String { base.hostName }
  var node: NodePlace { base.node }

  func barrier() throws { try base.barrier() }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
    try base.broadcast(bytes, root: root)
    if faulty == .broadcast && rank == size - 1 && bytes.count > 8 { bytes[8] ^= 1 }
  }

  func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer
  ) throws { try base.allGather(send, into: receive) }

  func allGatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, byteCounts: [Int]
  ) throws {
    try base.allGatherVariable(send, into: receive, byteCounts: byteCounts)
    if faulty == .allGather && rank == 0 && receive.count > 9000 { receive[9000] ^= 1 }
  }

  func gatherVariable(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer?,
    byteCounts: [Int], root: Int
  ) throws {
    try base.gatherVariable(send, into: receive, byteCounts: byteCounts, root: root)
    if faulty == .gather, rank == root, let receive, receive.count > 9000 { receive[9000] ^= 1 }
  }

  func allReduce(_ values: UnsafeMutableBufferPointer<Int64>, _ operation: Reduction) throws {
    try base.allReduce(values, operation)
    if faulty == .allReduce && values.count > 1 && rank == 1 { values[1] += 1 }
  }

  func startSend(_ bytes: UnsafeRawBufferPointer, to: Int, channel: Int) throws -> any Transfer {
    guard faulty == .message, bytes.count > 8 else {
      return try base.startSend(bytes, to: to, channel: channel)
    }
    var wrong = Array(bytes)
    wrong[8] ^= 1
    return try wrong.withUnsafeBytes { try base.startSend($0, to: to, channel: channel) }
  }

  func startReceive(_ bytes: UnsafeMutableRawBufferPointer, from: Int, channel: Int) throws
    -> any Transfer
  {
    try base.startReceive(bytes, from: from, channel: channel)
  }

  func abort(exitCode: Int32) -> Never { base.abort(exitCode: exitCode) }
}

@Suite("the suite itself") struct FaultyCommunicatorTests {
  @Test(
    "a wrong collective is found",
    arguments: [Collective.broadcast, .allGather, .gather, .allReduce, .message])
  func faultIsFound(_ faulty: Collective) throws {
    let findings = try ThreadCommunicators.run(size: 3) { comm in
      let communicator = FaultyCommunicator(comm, faulty: faulty)
      return try ConformanceCheck.all.filter { $0.name.contains(faulty.subject) }
        .flatMap { try $0.findings(over: communicator) }
    }
    #expect(findings.allSatisfy { !$0.isEmpty }, "\(faulty) passed")
  }
}

extension Collective {
  /// What the names of this collective's own checks contain.
  fileprivate var subject: String {
    switch self {
    case .barrier: "barrier"
    case .broadcast: "a broadcast reaches"
    case .allGather: "an all-gather brings blocks"
    case .gather: "a gather brings blocks"
    case .allReduce: "an all-reduce"
    case .message: "messages between two ranks"
    }
  }
}
