// Sparse collectives: every rank has any number of messages of any length (encoded sparse vectors, one a
// client), and all, or the root, get them all. First the counts, then the lengths, then the payload in
// segments of bounded size, so that the memory beyond the messages themselves is one segment, whatever the
// number of ranks. Only what was encoded travels: no padding to the longest, no dense vector.
//
// If `each` throws it is not called again, but the rank takes part to the end and throws then: no rank is left
// in a collective, and `together { try sparseGather(...) }` makes it the failure of all.

extension Communicator {
  /// Hands every rank's messages to `each` at the root, one at a time, in the order of ranks and, within a
  /// rank, of its messages.
  ///
  /// At the root one segment and one unfinished message are held at a time, so the messages' sum does not
  /// have to fit in memory.
  ///
  /// - Parameters:
  ///   - messages: This rank's messages.
  ///   - root: The rank that receives.
  ///   - segmentBytes: The most payload that one collective moves.
  ///   - each: Called at the root only, with the sender, the message's index there, and the message.
  /// - Precondition: The same `root` and `segmentBytes` on every rank; `segmentBytes > 0`.
  /// - Communication: An all-gather of 16 bytes a rank, a gather of 8 bytes a message, and
  ///   ceil(payload / segmentBytes) gathers of the payload, which the root receives once.
  public func sparseGather(
    _ messages: [[UInt8]], root: Int = 0, segmentBytes: Int = 1 << 20,
    each: (_ rank: Int, _ index: Int, _ message: [UInt8]) throws -> Void
  ) throws {
    precondition(segmentBytes > 0, "segments of \(segmentBytes) bytes")
    let (counts, layout) = try messageCounts(messages)
    var lengths: [Int] = rank == root ? Array(repeating: 0, count: counts.reduce(0, +)) : []
    let lengthBytes = counts.map { $0 * MemoryLayout<Int>.stride }
    try messages.map(\.count).withUnsafeBytes { send in
      try lengths.withUnsafeMutableBytes {
        try gatherVariable(
          send, into: rank == root ? $0 : nil, byteCounts: lengthBytes, root: root)
      }
    }
    var reader = MessageReader(messages)
    var assembly: [MessageAssembly] = []
    if rank == root { assembly = try Self.assemblies(counts, layout.counts, lengths) }
    var segment: [UInt8] = []
    var finished = 0  // ranks before this one have handed over all messages
    var failure: (any Error)?
    func deliver(from sender: Int) {
      guard failure == nil else { return }
      do {
        try assembly[sender].takeComplete { try each(sender, $0, $1) }
      } catch {
        failure = error
      }
    }
    for window in layout.windows(ofAtMost: segmentBytes) {
      let byteCounts = layout.counts(in: window)
      if rank == root { segment = [UInt8](repeating: 0, count: window.count) }
      try reader.next(byteCounts[rank]).withUnsafeBytes { send in
        try segment.withUnsafeMutableBytes {
          try gatherVariable(
            send, into: rank == root ? $0 : nil, byteCounts: byteCounts, root: root)
        }
      }
      guard rank == root else { continue }
      var offset = 0
      for sender in finished..<size {
        let end = offset + byteCounts[sender]
        assembly[sender].append(segment[offset..<end])
        offset = end
        if offset == window.count {
          for done in finished...sender { deliver(from: done) }
          finished = sender
          break
        }
      }
    }
    if rank == root { for sender in finished..<size { deliver(from: sender) } }
    if let failure { throw failure }
  }

  /// Hands every rank's messages to `each` on every rank, one at a time: in ascending order within a sender,
  /// the senders interleaved (the same way on all ranks).
  ///
  /// All ranks send in every segment, so that a ring carries them all at once; one segment and one
  /// unfinished message a sender are held at a time.
  ///
  /// - Parameters:
  ///   - messages: This rank's messages.
  ///   - segmentBytes: The most payload that one collective gives to a rank (at least 1 byte a sender).
  ///   - each: Called with the sender, the message's index there, and the message.
  /// - Precondition: The same `segmentBytes` on every rank; `segmentBytes > 0`.
  /// - Communication: An all-gather of 16 bytes a rank, one of 8 bytes a message, and
  ///   ceil(size * longest sum of a rank / segmentBytes) of the payload, which every rank receives once.
  public func sparseAllGather(
    _ messages: [[UInt8]], segmentBytes: Int = 1 << 20,
    each: (_ rank: Int, _ index: Int, _ message: [UInt8]) throws -> Void
  ) throws {
    precondition(segmentBytes > 0, "segments of \(segmentBytes) bytes")
    let (counts, layout) = try messageCounts(messages)
    var lengths = [Int](repeating: 0, count: counts.reduce(0, +))
    try messages.map(\.count).withUnsafeBytes { send in
      try lengths.withUnsafeMutableBytes {
        let lengthBytes = counts.map { $0 * MemoryLayout<Int>.stride }
        try allGatherVariable(send, into: $0, byteCounts: lengthBytes)
      }
    }
    var reader = MessageReader(messages)
    var assembly = try Self.assemblies(counts, layout.counts, lengths)
    var failure: (any Error)?
    func deliver(from sender: Int) {
      guard failure == nil else { return }
      do {
        try assembly[sender].takeComplete { try each(sender, $0, $1) }
      } catch {
        failure = error
      }
    }
    for sender in 0..<size { deliver(from: sender) }
    var segment: [UInt8] = []
    let longest = layout.counts.max() ?? 0
    for slice in BlockLayout.slices(of: longest, ofAtMost: max(1, segmentBytes / size)) {
      let byteCounts = layout.counts.map { (0..<$0).clamped(to: slice).count }
      let total = byteCounts.reduce(0, +)
      if segment.count != total { segment = [UInt8](repeating: 0, count: total) }
      try reader.next(byteCounts[rank]).withUnsafeBytes { send in
        try segment.withUnsafeMutableBytes {
          try allGatherVariable(send, into: $0, byteCounts: byteCounts)
        }
      }
      var offset = 0
      for sender in 0..<size where byteCounts[sender] > 0 {
        let end = offset + byteCounts[sender]
        assembly[sender].append(segment[offset..<end])
        offset = end
        deliver(from: sender)
      }
    }
    if let failure { throw failure }
  }

  /// Every rank's messages on every rank, as `[rank][message]`; all empty where `keep` is false, for ranks
  /// that take part without needing the messages.
  ///
  /// - Communication: As `sparseAllGather` with `each`.
  public func sparseAllGather(
    _ messages: [[UInt8]], segmentBytes: Int = 1 << 20, keep: Bool = true
  ) throws -> [[[UInt8]]] {
    var all = [[[UInt8]]](repeating: [], count: size)
    try sparseAllGather(messages, segmentBytes: segmentBytes) { sender, _, message in
      if keep { all[sender].append(message) }
    }
    return all
  }

  /// How many messages each rank has, and how many bytes in all of them.
  private func messageCounts(_ messages: [[UInt8]]) throws -> ([Int], BlockLayout) {
    let total = messages.reduce(0) { $0 + $1.count }
    let all = try allGather(values: [messages.count, total])
    let layout = BlockLayout(counts: (0..<size).map { all[2 * $0 + 1] })
    return ((0..<size).map { all[2 * $0] }, layout)
  }

  private static func assemblies(
    _ counts: [Int], _ totals: [Int], _ lengths: [Int]
  ) throws -> [MessageAssembly] {
    var start = 0
    return try counts.indices.map { sender in
      let own = lengths[start..<start + counts[sender]]
      start += counts[sender]
      guard own.allSatisfy({ $0 >= 0 }), own.reduce(0, &+) == totals[sender] else {
        throw CommunicationError.malformed(
          "the lengths of rank \(sender)'s messages do not add up to \(totals[sender]) bytes")
      }
      return MessageAssembly(lengths: Array(own))
    }
  }
}

/// Reads messages end to end, without laying them out anew.
private struct MessageReader {
  private let messages: [[UInt8]]
  private var index = 0
  private var offset = 0

  init(_ messages: [[UInt8]]) { self.messages = messages }

  /// The next `count` bytes.
  mutating func next(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      let end = min(messages[index].count, offset + count - bytes.count)
      bytes += messages[index][offset..<end]
      offset = end
      if offset == messages[index].count { (index, offset) = (index + 1, 0) }
    }
    return bytes
  }
}

/// Cuts one sender's bytes into its messages again as they arrive.
private struct MessageAssembly {
  private let lengths: [Int]
  private var next = 0
  private var pending: [UInt8] = []
  private var start = 0

  init(lengths: [Int]) { self.lengths = lengths }

  mutating func append(_ bytes: ArraySlice<UInt8>) { pending += bytes }

  /// Hands over the messages that are complete.
  mutating func takeComplete(_ each: (Int, [UInt8]) throws -> Void) rethrows {
    while next < lengths.count, pending.count - start >= lengths[next] {
      let end = start + lengths[next]
      let message = Array(pending[start..<end])
      (start, next) = (end, next + 1)
      try each(next - 1, message)
    }
    guard start > 0 else { return }
    pending.removeFirst(start)
    start = 0
  }
}
