// Sums towards rank 0 and broadcasts from it along trees of hosts, cut into segments, so that a host
// passes one segment on while the next arrives: with a chain, no link carries anything twice.
//
// A segment of a sum is encoded by itself (SumSegment): sparse as long as that is shorter, dense from
// then on, which a sum of many clients becomes on its way. The words are integers, so that the tree
// and the number of ranks change no bit.
internal import Sparsity

/// Channels of the messages of this file and of MessagesUnderWay.
enum Channel {
  static let sums = 100
  static let broadcast = 200
  static let uploads = 300
  static let link = 400
}

/// Segments that are under way between two ranks at once.
private let window = 4

extension Communicator {
  /// Adds the words of all ranks of a tree to those of rank 0.
  ///
  /// - Parameters:
  ///   - words: Those of this rank; afterwards the sum at rank 0, and of no use elsewhere.
  ///   - tree: This rank's place; nil where its words are another's too.
  ///   - segmentLength: Words of a segment, the same on every rank.
  /// - Precondition: As many words on every rank.
  /// - Throws: `VectorCodecError` where a message is not what was sent.
  /// - Communication: A message for each segment from every rank of the tree but rank 0 to its parent.
  public func sumAlong(
    _ tree: RankTree?, _ words: UnsafeMutableBufferPointer<Int64>, segmentLength: Int = 1 << 17
  ) throws {
    guard let tree, !words.isEmpty else { return }
    let segments = BlockLayout.slices(of: words.count, ofAtMost: segmentLength)
    let capacity = SumSegment.largestBytes(count: min(segmentLength, words.count))
    let inboxes = tree.children.map { Lane(from: $0, capacity: capacity) }
    let outbox = tree.parent.map { Lane(from: $0, capacity: capacity) }
    var scratch = SumSegment.Scratch()
    for inbox in inboxes {
      for number in 0..<min(window, segments.count) {
        inbox.transfers[number] = try startReceive(
          inbox.buffers[number], from: inbox.peer, channel: Channel.sums + number)
      }
    }
    for (number, range) in segments.enumerated() {
      let slot = number % window
      let part = UnsafeMutableBufferPointer(rebasing: words[range])
      for inbox in inboxes {
        let count = try inbox.transfers[slot]!.finish()
        try SumSegment.add(
          UnsafeRawBufferPointer(rebasing: inbox.buffers[slot][..<count]), to: part)
        if number + window < segments.count {
          inbox.transfers[slot] = try startReceive(
            inbox.buffers[slot], from: inbox.peer, channel: Channel.sums + slot)
        }
      }
      guard let outbox else { continue }
      _ = try outbox.transfers[slot]?.finish()
      let count = SumSegment.encode(
        UnsafeBufferPointer(part), into: outbox.buffers[slot], using: &scratch)
      outbox.transfers[slot] = try startSend(
        UnsafeRawBufferPointer(rebasing: outbox.buffers[slot][..<count]), to: outbox.peer,
        channel: Channel.sums + slot)
    }
    for transfer in outbox?.transfers ?? [] { _ = try transfer?.finish() }
  }

  /// Gives every rank rank 0's bytes, whatever their number: to the hosts' leaders along a chain, and
  /// from each leader to its host's other ranks.
  ///
  /// - Communication: A broadcast of 8 bytes. Up to `shortBytes` one broadcast more; beyond, every
  ///   rank but 0 gets one message for each segment, of which a host's link carries each once in and
  ///   once out.
  public func broadcastAlongHosts(
    _ bytes: inout [UInt8], _ layout: HostLayout, segmentBytes: Int = 1 << 18,
    shortBytes: Int = 1 << 16
  ) throws {
    precondition(segmentBytes > 0, "segments of \(segmentBytes) bytes")
    var length = [bytes.count]
    try length.withUnsafeMutableBytes { try broadcast($0, root: 0) }
    if rank != 0 {
      bytes = [UInt8](unsafeUninitializedCapacity: length[0]) { $1 = length[0] }
    }
    if length[0] <= shortBytes {
      return try bytes.withUnsafeMutableBytes { try broadcast($0, root: 0) }
    }
    let tree = RankTree(of: rank, in: layout, shape: .chain) { _ in false }!
    try bytes.withUnsafeMutableBytes { bytes in
      let segments = BlockLayout.slices(of: bytes.count, ofAtMost: segmentBytes)
      var receives: [any Transfer] = []
      var sends: [any Transfer] = []
      func startReceive(_ number: Int) throws {
        guard let parent = tree.parent, number < segments.count else { return }
        receives.append(
          try self.startReceive(
            UnsafeMutableRawBufferPointer(rebasing: bytes[segments[number]]), from: parent,
            channel: Channel.broadcast + number % window))
      }
      for number in 0..<window { try startReceive(number) }
      for (number, range) in segments.enumerated() {
        if tree.parent != nil {
          let count = try receives[number].finish()
          guard count == range.count else {
            throw CommunicationError.malformed("\(count) bytes of a segment of \(range.count)")
          }
          try startReceive(number + window)
        }
        for child in tree.children {
          sends.append(
            try startSend(
              UnsafeRawBufferPointer(rebasing: bytes[range]), to: child,
              channel: Channel.broadcast + number % window))
        }
        // No more under way than the receivers have room for.
        if number >= window {
          for child in 0..<tree.children.count {
            _ = try sends[(number - window) * tree.children.count + child].finish()
          }
        }
      }
      for send in sends.suffix(window * tree.children.count) { _ = try send.finish() }
    }
  }
}

/// The buffers of the segments that are under way from or to one rank.
private final class Lane {
  let peer: Int
  let buffers: [UnsafeMutableRawBufferPointer]
  var transfers: [(any Transfer)?] = Array(repeating: nil, count: window)

  init(from peer: Int, capacity: Int) {
    self.peer = peer
    buffers = (0..<window).map { _ in
      .allocate(byteCount: capacity, alignment: 64)
    }
  }

  deinit { for buffer in buffers { buffer.deallocate() } }
}
