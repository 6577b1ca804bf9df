// A rank that fails must not leave the others waiting.

import Communication
import Foundation
import Testing

private struct Fault: Error, Equatable {
  let rank: Int
}

/// Records what each rank saw.
private final class Log: @unchecked Sendable {
  private let lock = NSLock()
  private var entries: [Int: String] = [:]
  func set(_ rank: Int, _ text: String) { lock.withLock { entries[rank] = text } }
  subscript(rank: Int) -> String? { lock.withLock { entries[rank] } }
}

@Suite("faults of threads", .timeLimit(.minutes(1))) struct ThreadFaultTests {
  /// Runs a body on 4 ranks, notes each rank's error, and returns the error that the group throws.
  private func run(
    _ log: Log, _ body: @escaping @Sendable (any Communicator) throws -> Void
  ) -> (any Error)? {
    do {
      _ = try ThreadCommunicators.run(size: 4) { comm in
        do {
          try body(comm)
        } catch {
          log.set(comm.rank, "\(error)")
          throw error
        }
      }
      return nil
    } catch {
      return error
    }
  }

  @Test("results come in the order of ranks")
  func results() throws {
    let squares = try ThreadCommunicators.run(size: 8) { $0.rank * $0.rank }
    #expect(squares == [0, 1, 4, 9, 16, 25, 36, 49])
  }

  @Test("a rank that throws makes the waiting ranks throw, and its error is the group's")
  func throwing() {
    let log = Log()
    let start = ContinuousClock.now
    let error = run(log) { comm in
      try comm.barrier()
      if comm.rank == 2 { throw Fault(rank: 2) }
      try comm.barrier()
    }
    #expect(error as? Fault == Fault(rank: 2))
    for rank in [0, 1, 3] {
      #expect(log[rank] == "rank 2 left the others: Fault(rank: 2)")
    }
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  @Test("a rank that throws while others are between collectives is noticed at the next")
  func throwingEarly() {
    let log = Log()
    let error = run(log) { comm in
      if comm.rank == 1 { throw Fault(rank: 1) }
      Thread.sleep(forTimeInterval: 0.05)
      _ = try comm.sum(1)
    }
    #expect(error as? Fault == Fault(rank: 1))
    #expect(log[3] == "rank 1 left the others: Fault(rank: 1)")
  }

  @Test("a rank that returns early makes the others throw instead of waiting")
  func returning() {
    let log = Log()
    let error = run(log) { comm in
      if comm.rank == 0 { return }
      try comm.barrier()
    }
    #expect(error as? CommunicationError == .rankLeft(rank: 0, reason: "it returned"))
    #expect(log[0] == nil)
  }

  @Test("a rank that aborts makes the others throw, with its exit code")
  func aborting() {
    let log = Log()
    let error = run(log) { comm in
      if comm.rank == 3 { comm.abort(exitCode: 65) }
      try comm.barrier()
    }
    #expect(error as? RankFailure == RankFailure(rank: 3, reason: "it aborted", exitCode: 65))
    #expect(log[0] == "rank 3 left the others: it aborted with exit code 65")
  }

  @Test("different collectives are reported with both calls")
  func mismatch() {
    let log = Log()
    let error = run(log) { comm in
      if comm.rank == 2 {
        try comm.barrier()
      } else {
        _ = try comm.maximum(1)
      }
    }
    let expected =
      "ranks called different collectives: rank 0 called allReduce(count: 1, "
      + "Communication.Reduction.maximum), rank 2 called barrier"
    #expect(error.map { "\($0)" } == expected)
    #expect(log[1] == expected)
  }

  @Test("different counts and roots are reported")
  func differentCounts() {
    let counts = run(Log()) { comm in
      var bytes = [UInt8](repeating: 0, count: comm.rank == 1 ? 3 : 2)
      try bytes.withUnsafeMutableBytes { try comm.broadcast($0, root: 0) }
    }
    #expect(counts is CommunicationError)
    let roots = run(Log()) { comm in _ = try comm.broadcast("text", root: comm.rank % 2) }
    #expect(roots is CommunicationError)
  }

  @Test("a group of many ranks survives many collectives")
  func many() throws {
    let sums = try ThreadCommunicators.run(size: 16) { comm in
      var last = 0
      for step in 0..<200 { last = try comm.sum(step * comm.rank) }
      return last
    }
    #expect(sums == Array(repeating: 199 * 120, count: 16))
  }
}
