// The ledger's formulas, by hand for four ranks.

import Communication
import Foundation
import Testing

@Suite("wire ledger") struct WireLedgerTests {
  private func ledgers(
    size: Int, _ body: @escaping @Sendable (any Communicator) throws -> Void
  ) throws -> [WireLedger] {
    try ThreadCommunicators.run(size: size) {
      let counting = CountingCommunicator($0)
      try body(counting)
      return counting.ledger
    }
  }

  @Test("a broadcast is a chain from the root")
  func broadcast() throws {
    let lines = try ledgers(size: 4) { comm in
      var bytes = [UInt8](repeating: 1, count: 100)
      try bytes.withUnsafeMutableBytes { try comm.broadcast($0, root: 2) }
    }.map { $0[.broadcast] }
    #expect(lines.map(\.wireBytesSent) == [100, 0, 100, 100])
    #expect(lines.map(\.wireBytesReceived) == [100, 100, 0, 100])
    #expect(lines.map(\.messagesSent) == [1, 0, 1, 1])
    #expect(lines.map(\.calls) == [1, 1, 1, 1])
  }

  @Test("an all-gather is a ring of blocks")
  func allGather() throws {
    let counts = [10, 20, 0, 5]
    let lines = try ledgers(size: 4) { comm in
      let send = [UInt8](repeating: 1, count: counts[comm.rank])
      var all = [UInt8](repeating: 0, count: 35)
      try send.withUnsafeBytes { send in
        try all.withUnsafeMutableBytes {
          try comm.allGatherVariable(send, into: $0, byteCounts: counts)
        }
      }
    }.map { $0[.allGather] }
    #expect(lines.map(\.wireBytesSent) == [15, 35, 30, 25])
    #expect(lines.map(\.wireBytesReceived) == [25, 15, 35, 30])
    #expect(lines.map(\.messagesSent) == [3, 3, 3, 3])
  }

  @Test("a gather counts the blocks of the others once")
  func gather() throws {
    let counts = [10, 20, 0, 5]
    let lines = try ledgers(size: 4) { comm in
      let send = [UInt8](repeating: 1, count: counts[comm.rank])
      var all = [UInt8](repeating: 0, count: 35)
      try send.withUnsafeBytes { send in
        try all.withUnsafeMutableBytes {
          try comm.gatherVariable(send, into: $0, byteCounts: counts, root: 1)
        }
      }
    }.map { $0[.gather] }
    #expect(lines.map(\.wireBytesSent) == [10, 0, 0, 5])
    #expect(lines.map(\.wireBytesReceived) == [0, 15, 0, 0])
    #expect(lines.map(\.messagesSent) == [1, 0, 0, 1])
    #expect(lines.map(\.messagesReceived) == [0, 2, 0, 0])
  }

  @Test("an all-reduce moves 2 (P - 1) / P of the values", arguments: [1, 2, 3, 4, 7])
  func allReduce(_ size: Int) throws {
    let elements = 84
    let lines = try ledgers(size: size) { comm in
      var values = [Int64](repeating: 1, count: elements)
      try comm.sum(&values)
    }.map { $0[.allReduce] }
    let expected = 2 * 8 * elements * (size - 1) / size
    #expect(lines.map(\.wireBytesSent) == Array(repeating: expected, count: size))
    #expect(lines.map(\.wireBytesReceived) == Array(repeating: expected, count: size))
  }

  @Test(
    "a barrier costs ceil(log2 P) messages and no bytes",
    arguments: [(1, 0), (2, 1), (5, 3), (8, 3)])
  func barrier(_ size: Int, _ messages: Int) throws {
    let ledgers = try ledgers(size: size) { try $0.barrier() }
    for ledger in ledgers {
      #expect(ledger[.barrier].messagesSent == messages)
      #expect(ledger.total.wireBytesSent == 0)
    }
  }

  @Test("a sparse gather moves each message once to the root, and 32 bytes of counts a rank pair")
  func sparseGather() throws {
    let lines = try ledgers(size: 3) { comm in
      let messages = comm.rank == 0 ? [] : [[UInt8](repeating: 1, count: 1000)]
      try comm.sparseGather(messages, segmentBytes: 300) { _, _, _ in }
    }
    // 8 bytes of length and 1000 of payload from each of two ranks.
    #expect(lines[0][.gather].wireBytesReceived == 2 * 1008)
    // ceil(2000 / 300) segments, and the lengths.
    #expect(lines[0][.gather].calls == 8)
    #expect(lines.map { $0[.allGather].wireBytesSent } == [32, 32, 32])
  }

  @Test("ledgers add, subtract and travel as JSON")
  func arithmetic() throws {
    let ledger = try ledgers(size: 2) { comm in
      try comm.barrier()
      _ = try comm.sum(1)
    }[0]
    var double = ledger
    double += ledger
    #expect(double.total.calls == 4)
    #expect(double[.allReduce].wireBytesSent == 2 * ledger[.allReduce].wireBytesSent)
    #expect((double - ledger).total.wireBytesSent == ledger.total.wireBytesSent)
    let json = try JSONEncoder().encode(ledger)
    #expect(try JSONDecoder().decode(WireLedger.self, from: json) == ledger)
  }
}
