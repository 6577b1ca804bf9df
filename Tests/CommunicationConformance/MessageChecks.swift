// Sparse collectives: messages of any number and length, in segments of any size.

import Communication

private struct Refusal: Error {}

/// What `each` is called with.
private struct Delivery: Equatable {
  var sender: Int
  var index: Int
  var message: [UInt8]
}

extension Communicator {
  /// Sizes of segments, from single bytes (with few ranks: the collectives are many) to all in one, each with
  /// the scale of the messages that travel in them.
  fileprivate var segmentations: [(segmentBytes: Int, scale: Int)] {
    let few = [(1, 1), (5, 1), (64, 1)]
    return (size <= 8 ? few : []) + [(1000 * size, 40), (1 << 20, 40)]
  }

  /// All messages of the test in the order of ranks.
  fileprivate func allDeliveries(scale: Int) -> [Delivery] {
    (0..<size).flatMap { sender in
      testMessages(of: sender, scale: scale).enumerated().map {
        Delivery(sender: sender, index: $0.offset, message: $0.element)
      }
    }
  }
}

let messageChecks: [ConformanceCheck] = [
  ConformanceCheck("a sparse gather brings every message once, in order, to every root") {
    comm, found in
    for (segmentBytes, scale) in comm.segmentations {
      for root in Set([0, comm.size / 2, comm.size - 1]).sorted() {
        let name = "segments of \(segmentBytes), root \(root)"
        var deliveries: [Delivery] = []
        try comm.sparseGather(
          comm.testMessages(of: comm.rank, scale: scale), root: root, segmentBytes: segmentBytes
        ) { deliveries.append(Delivery(sender: $0, index: $1, message: $2)) }
        let expected = comm.rank == root ? comm.allDeliveries(scale: scale) : []
        found.expect(deliveries, expected, name)
      }
    }
  },
  ConformanceCheck("a sparse all-gather brings every message once to every rank") { comm, found in
    for (segmentBytes, scale) in comm.segmentations {
      var deliveries: [Delivery] = []
      try comm.sparseAllGather(
        comm.testMessages(of: comm.rank, scale: scale), segmentBytes: segmentBytes
      ) { deliveries.append(Delivery(sender: $0, index: $1, message: $2)) }
      for sender in 0..<comm.size {
        let name = "segments of \(segmentBytes), sender \(sender)"
        let expected = comm.allDeliveries(scale: scale).filter { $0.sender == sender }
        found.expect(deliveries.filter { $0.sender == sender }, expected, name)
      }
    }
    let all = try comm.sparseAllGather(comm.testMessages(of: comm.rank))
    found.expect(all, (0..<comm.size).map { comm.testMessages(of: $0) }, "as arrays")
    let none = try comm.sparseAllGather(
      comm.testMessages(of: comm.rank), segmentBytes: 99 * comm.size, keep: comm.rank == 0)
    found.expect(none == all, comm.rank == 0 || all.allSatisfy(\.isEmpty), "kept where wanted")
  },
  ConformanceCheck("sparse collectives of no messages, and of empty ones, end") { comm, found in
    let empty = [[[UInt8]]](repeating: [], count: comm.size)
    try comm.sparseGather([]) { _, _, message in found.expect(message, [], "gather of none") }
    found.expect(try comm.sparseAllGather([]), empty, "all-gather of none")
    let blank = [[[UInt8]]](repeating: [[], []], count: comm.size)
    var gathered = [[[UInt8]]](repeating: [], count: comm.size)
    try comm.sparseGather([[], []]) { gathered[$0].append($2) }
    found.expect(gathered, comm.rank == 0 ? blank : empty, "gather of empty")
    found.expect(try comm.sparseAllGather([[], []]), blank, "all-gather of empty")
  },
  ConformanceCheck("a receiver that refuses a message still takes part to the end") { comm, found in
    let messages = [pattern(of: comm.rank, count: 50), pattern(of: comm.rank, count: 70)]
    let gather = found.expectError("gather") {
      try comm.together {
        try comm.sparseGather(messages, segmentBytes: 16) { _, _, _ in throw Refusal() }
      }
    }
    found.expect(gather is Refusal, comm.rank == 0, "own error at the root")
    found.expect((gather as? RankFailure)?.rank, comm.rank == 0 ? nil : 0, "failing rank")
    let (comm2, last) = (comm, comm.size - 1)
    let all = found.expectError("all-gather") {
      try comm2.together {
        try comm2.sparseAllGather(messages, segmentBytes: 16) { sender, index, _ in
          if comm2.rank == last && sender == last && index == 1 { throw Refusal() }
        }
      }
    }
    found.expect(all is Refusal, comm.rank == last, "own error at the last rank")
    try comm.barrier()
  },
]
