// The byte-level collectives of the protocol.

import Communication

let collectiveChecks: [ConformanceCheck] = [
  ConformanceCheck("ranks are 0 to size - 1 and every rank has a place on a node") { comm, found in
    found.expect(
      try comm.allGather(values: [comm.rank]), Array(0..<comm.size), "ranks")
    found.expect(
      try comm.allGather(values: [comm.size]).allSatisfy { $0 == comm.size }, true, "size")
    found.expect(comm.hostName.isEmpty, false, "host name is empty")
    let node = comm.node
    let places = try comm.allGather(values: [node.leader, node.rank, node.size, node.index])
    let mates = (0..<comm.size).filter { places[4 * $0] == node.leader }
    found.expect(mates.first, node.leader, "leader")
    found.expect(mates.count, node.size, "ranks on the node")
    found.expect(mates.firstIndex(of: comm.rank), node.rank, "place on the node")
    found.expect(mates.allSatisfy { places[4 * $0 + 3] == node.index }, true, "node index")
    found.expect(Set((0..<comm.size).map { places[4 * $0 + 3] }).count, node.count, "nodes")
  },
  ConformanceCheck("a barrier lets everybody through, again and again") { comm, _ in
    for _ in 0..<20 { try comm.barrier() }
  },
  ConformanceCheck("a broadcast reaches all ranks from every root") { comm, found in
    for root in 0..<comm.size {
      for count in [0, 1, 7, 64, 1000, 70_001] {
        let expected = pattern(of: root, count: count, salt: count)
        var bytes = comm.rank == root ? expected : [UInt8](repeating: 0xee, count: count)
        try bytes.withUnsafeMutableBytes { try comm.broadcast($0, root: root) }
        found.expect(bytes, expected, "\(count) bytes from \(root)")
      }
    }
  },
  ConformanceCheck("an all-gather brings equal blocks in the order of ranks") { comm, found in
    for count in [0, 1, 5, 333, 20_000] {
      let send = pattern(of: comm.rank, count: count)
      var receive = [UInt8](repeating: 0xee, count: count * comm.size)
      try send.withUnsafeBytes { send in
        try receive.withUnsafeMutableBytes { try comm.allGather(send, into: $0) }
      }
      let expected = (0..<comm.size).flatMap { pattern(of: $0, count: count) }
      found.expect(receive, expected, "\(count) bytes of each rank")
    }
  },
  ConformanceCheck("an all-gather brings blocks of any size, empty ones too") { comm, found in
    for (name, byteCounts) in unevenCounts(comm.size) {
      let send = pattern(of: comm.rank, count: byteCounts[comm.rank])
      var receive = [UInt8](repeating: 0xee, count: byteCounts.reduce(0, +))
      try send.withUnsafeBytes { send in
        try receive.withUnsafeMutableBytes {
          try comm.allGatherVariable(send, into: $0, byteCounts: byteCounts)
        }
      }
      let expected = byteCounts.enumerated().flatMap { pattern(of: $0.offset, count: $0.element) }
      found.expect(receive, expected, name)
    }
  },
  ConformanceCheck("a gather brings blocks of any size to every root") { comm, found in
    for root in 0..<comm.size {
      for (name, byteCounts) in unevenCounts(comm.size) {
        let send = pattern(of: comm.rank, count: byteCounts[comm.rank])
        let total = comm.rank == root ? byteCounts.reduce(0, +) : 0
        var receive = [UInt8](repeating: 0xee, count: total)
        try send.withUnsafeBytes { send in
          try receive.withUnsafeMutableBytes {
            try comm.gatherVariable(
              send, into: comm.rank == root ? $0 : nil, byteCounts: byteCounts, root: root)
          }
        }
        guard comm.rank == root else { continue }
        let expected = byteCounts.enumerated().flatMap {
          pattern(of: $0.offset, count: $0.element)
        }
        found.expect(receive, expected, "\(name) at root \(root)")
      }
    }
  },
  ConformanceCheck("an all-reduce sums, and finds the largest and the smallest") { comm, found in
    let size = Int64(comm.size)
    for count in [0, 1, 3, 1025] {
      for operation in Reduction.allCases {
        var values = (0..<Int64(count)).map { ($0 - 7) * (Int64(comm.rank) + 1) }
        try values.withUnsafeMutableBufferPointer { try comm.allReduce($0, operation) }
        let expected = (0..<Int64(count)).map { index in
          switch operation {
          case .sum: (index - 7) * size * (size + 1) / 2
          case .maximum: index >= 7 ? (index - 7) * size : index - 7
          case .minimum: index >= 7 ? index - 7 : (index - 7) * size
          }
        }
        found.expect(values, expected, "\(operation) of \(count) values")
      }
    }
  },
  ConformanceCheck("a sum wraps around at 64 bits") { comm, found in
    var values: [Int64] = [.max, .min, Int64(comm.rank)]
    try values.withUnsafeMutableBufferPointer { try comm.allReduce($0, .sum) }
    let size = Int64(comm.size)
    found.expect(values, [.max &* size, .min &* size, size * (size - 1) / 2], "sums")
  },
]

/// Block sizes for a number of ranks, by name.
private func unevenCounts(_ size: Int) -> [(String, [Int])] {
  [
    ("no bytes", (0..<size).map { _ in 0 }),
    ("uneven blocks", (0..<size).map { $0 * $0 * 5 % 23 }),
    ("one rank only", (0..<size).map { $0 == size - 1 ? 1001 : 0 }),
    ("long blocks", (0..<size).map { ($0 + 1) * 3001 }),
  ]
}
