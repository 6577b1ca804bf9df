// Messages between two ranks, and what is built of them: sums and broadcasts along trees of hosts, messages
// that travel while their senders work.

import Communication

let treeChecks: [ConformanceCheck] = [
  ConformanceCheck("messages between two ranks arrive whole, in order and on their channel") {
    comm, found in
    let counts = [0, 1, 15, 16, 17, 1000, 5001]
    for shift in 1..<max(1, comm.size) {
      let (to, from) = (
        (comm.rank + shift) % comm.size, (comm.rank - shift + comm.size) % comm.size
      )
      var sends: [any Transfer] = []
      let sent = counts.enumerated().map { pattern(of: comm.rank, count: $1, salt: $0) }
      let buffers = sent.map { bytes in
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        buffer.copyBytes(from: bytes)
        return buffer
      }
      defer { for buffer in buffers { buffer.deallocate() } }
      for channel in [3, 4] {
        for buffer in buffers {
          sends.append(
            try comm.startSend(UnsafeRawBufferPointer(buffer), to: to, channel: channel))
        }
      }
      // The other channel first.
      for channel in [4, 3] {
        for (index, count) in counts.enumerated() {
          var bytes = [UInt8](repeating: 0xee, count: count + 9)
          let length = try bytes.withUnsafeMutableBytes {
            try comm.startReceive($0, from: from, channel: channel).finish()
          }
          found.expect(
            Array(bytes.prefix(length)), pattern(of: from, count: count, salt: index),
            "message \(index) on \(channel) from \(from)")
        }
      }
      for (index, send) in sends.enumerated() {
        found.expect(try send.finish(), counts[index % counts.count], "bytes sent")
        found.expect(try send.isFinished(), true, "finished")
      }
    }
    try comm.barrier()
  },
  ConformanceCheck("a message that has not come is not waited for") { comm, found in
    guard comm.size > 1 else { return }
    if comm.rank == 0 {
      var bytes: [UInt8] = [0]
      try bytes.withUnsafeMutableBytes { bytes in
        let transfer = try comm.startReceive(bytes, from: 1, channel: 5)
        found.expect(try transfer.isFinished(), false, "finished before it was sent")
        try comm.barrier()
        found.expect(try transfer.finish(), 1, "bytes")
      }
      found.expect(bytes, [9], "message")
    } else {
      try comm.barrier()
      if comm.rank == 1 {
        let byte: [UInt8] = [9]
        _ = try byte.withUnsafeBytes { try comm.startSend($0, to: 0, channel: 5).finish() }
      }
    }
  },
  ConformanceCheck("ranks add to words that their node shares") { comm, found in
    let shared = try comm.nodeSharedWords(count: 1000)
    found.expect(shared.isPrivate, comm.node.size == 1, "private")
    found.expect(shared.words.allSatisfy { $0 == 0 }, true, "zero at first")
    try comm.barrier()
    let own = shared.words.count / comm.node.size
    for i in 0..<own { shared.words[comm.node.rank * own + i] = Int64(comm.rank + 1) }
    try comm.barrier()
    for mate in 0..<comm.node.size {
      found.expect(shared.words[mate * own], Int64(comm.node.leader + mate + 1), "of \(mate)")
    }
    try comm.barrier()
    let alone = try comm.nodeSharedWords(count: 10, directory: "/nonexistent")
    found.expect(alone.isPrivate, true, "private where sharing fails")
    found.expect(alone.warning != nil, comm.node.size > 1, "warning")
    alone.words[0] = Int64(comm.rank)
    try comm.barrier()
    found.expect(alone.words[0], Int64(comm.rank), "own word")
  },
  ConformanceCheck("sums along every tree, of all ranks or of the nodes' leaders, reach rank 0") {
    comm, found in
    let layout = try HostLayout(of: comm)
    for count in [0, 1, 100, 5000] {
      for segment in [7, 1000, 1 << 17] where count / segment < 200 {
        for shape in TreeShape.allCases {
          for isLeaderOnly in [false, true] {
            var words = (0..<count).map { $0 % 3 == 0 ? 0 : Int64(comm.rank + 1) * Int64($0) << 20 }
            let tree = RankTree(of: comm.rank, in: layout, shape: shape) { _ in isLeaderOnly }
            try words.withUnsafeMutableBufferPointer {
              try comm.sumAlong(tree, $0, segmentLength: segment)
            }
            let ranks = isLeaderOnly ? layout.leaders : Array(0..<comm.size)
            let factor = Int64(ranks.reduce(0) { $0 + $1 + 1 })
            let expected = (0..<count).map { $0 % 3 == 0 ? 0 : factor * Int64($0) << 20 }
            if comm.rank == 0 {
              found.expect(words, expected, "\(shape), \(count) words, segments of \(segment)")
            }
          }
        }
      }
    }
  },
  ConformanceCheck("a download reaches every rank along the hosts, whatever its length") {
    comm, found in
    let layout = try HostLayout(of: comm)
    for count in [0, 1, 100, 999, 1000, 1001, 5001] {
      for (segment, short) in [(100, 0), (1000, 0), (1 << 18, 1 << 16)] {
        let expected = pattern(of: 0, count: count, salt: count)
        var bytes = comm.rank == 0 ? expected : [1, 2, 3]
        try comm.broadcastAlongHosts(&bytes, layout, segmentBytes: segment, shortBytes: short)
        found.expect(bytes, expected, "\(count) bytes in segments of \(segment)")
      }
    }
  },
  ConformanceCheck("messages that travel while ranks work arrive in order, cut into any pieces") {
    comm, found in
    for piece in [10, 1000, MessagesUnderWay.defaultPieceBytes] {
      let counts = (0..<comm.size).map { comm.testMessages(of: $0).count }
      let underWay = try MessagesUnderWay(over: comm, counts: counts, pieceBytes: piece)
      for message in comm.testMessages(of: comm.rank) {
        try underWay.send(message)
        try underWay.progress()
      }
      try underWay.progress()
      let all = try underWay.finish()
      let expected = (0..<comm.size).map { comm.testMessages(of: $0) }
      found.expect(all, comm.rank == 0 ? expected : [], "pieces of \(piece)")
      // A round that is dropped: only even ranks have sent all.
      let dropped = try MessagesUnderWay(over: comm, counts: counts, pieceBytes: piece)
      if comm.rank % 2 == 0 {
        for message in comm.testMessages(of: comm.rank) { try dropped.send(message) }
      }
      try dropped.abandon(announced: counts[comm.rank])
    }
  },
  ConformanceCheck("the cost of a link is the same on every rank and not negative") { comm, found in
    guard comm.size > 1 else { return }
    let link = try LinkModel(between: 0, and: 1, over: comm, largeBytes: 100_000)
    let all = try comm.allGather(values: [link.latencySeconds, link.secondsPerByte])
    found.expect(
      Set(all.enumerated().map { [Double($0.offset % 2), $0.element] }).count, 2, "costs")
    found.expect(link.latencySeconds > 0 && link.secondsPerByte >= 0, true, "\(link)")
  },
]
