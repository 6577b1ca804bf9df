// Memory that the ranks of a node share.

import Communication

private struct Unreadable: Error, CustomStringConvertible {
  let description = "cannot read weights"
}

let nodeChecks: [ConformanceCheck] = [
  ConformanceCheck("memory of a node is filled once a node and read by all its ranks") {
    comm, found in
    for count in [1, 4096, 100_000] {
      var fills = 0
      let memory = try comm.nodeShared(byteCount: count) { bytes in
        fills += 1
        found.expect(bytes.count, count, "bytes to fill")
        found.expect(bytes.allSatisfy { $0 == 0 }, true, "zero before the fill")
        for i in 0..<count { bytes[i] = pattern(comm.node.leader, i) }
      }
      found.expect(Array(memory.bytes), pattern(of: comm.node.leader, count: count), "content")
      found.expect(memory.isShared, comm.node.size > 1, "shared")
      found.expect(memory.warning, nil, "warning")
      found.expect(fills, comm.node.rank == 0 ? 1 : 0, "fills")
      try comm.barrier()
    }
    let empty = try comm.nodeShared(byteCount: 0) { _ in }
    found.expect(empty.bytes.count, 0, "empty")
  },
  ConformanceCheck("ranks that cannot share memory have a copy each, and a warning") {
    comm, found in
    var fills = 0
    let memory = try comm.nodeShared(byteCount: 5000, directory: "/nonexistent") { bytes in
      fills += 1
      for i in 0..<5000 { bytes[i] = pattern(3, i) }
    }
    found.expect(Array(memory.bytes), pattern(of: 3, count: 5000), "content")
    found.expect(memory.isShared, false, "shared")
    found.expect(memory.warning != nil, comm.node.size > 1, "warning")
    found.expect(fills, 1, "fills")
  },
  ConformanceCheck("a fill that throws on one rank throws on all") { comm, found in
    let error = found.expectError("failing fill") {
      _ = try comm.nodeShared(byteCount: 100) { _ in
        if comm.rank == 0 { throw Unreadable() }
      }
    }
    found.expect(error is Unreadable, comm.rank == 0, "own error")
    if comm.rank != 0 {
      let expected = RankFailure(rank: 0, reason: "cannot read weights", exitCode: 70)
      found.expect(error as? RankFailure, expected, "others' error")
    }
  },
]
