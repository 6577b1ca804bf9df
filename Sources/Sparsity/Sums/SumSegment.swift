// A stretch of the words of an exact sum (FixedPointSum) as the bytes of a message: what travels
// between the hosts of the simulation when they have summed their clients' uploads. It is no message
// of the simulated federation and has no part in its payload bytes.
//
//   offset  bytes  meaning
//        0      1  0 dense, 1 sparse
//        1      1  Rice parameter of the indices (sparse); else 0
//        2      2  0
//        4      4  count k of words (dense: all)
//        8      4  bytes of the indices section
//       12         indices: Rice-coded gaps (RiceCoding.swift), then the words
//
// Words are written in blocks of 128: a byte for the number of low zero bits that all of them have, a
// byte for the bits that are left of the widest, then that many bits a word, sign in the lowest one. A
// client's value is 24 bits at its place in the word, so values of like magnitude take little more
// than the 32 bits of a float, and the sum of several a few bits more, where the words have 64.
//
// A word that is zero is not written, until a segment is shorter with all of its words: the switch
// from sparse to dense of SparCML (Renggli et al. 2019, arXiv 1802.08021), taken for each segment by its
// exact size.

/// Encodes and adds stretches of fixed-point words.
public enum SumSegment {
  static let headerBytes = 12
  static let blockLength = 128
  /// The writer of bits may touch so many bytes after its end.
  private static let slack = 8

  /// Room for the longest message of `count` words.
  public static func largestBytes(count: Int) -> Int {
    headerBytes + 8 * count + 2 * ((count + blockLength - 1) / blockLength) + slack
      + riceWriterSlack
  }

  /// Memory that is used again from segment to segment.
  public struct Scratch {
    var indices: [UInt32] = []
    var words: [Int64] = []

    /// Nothing yet.
    public init() {}
  }

  /// Writes the message of `words` and returns its length.
  ///
  /// - Precondition: `message` has ``largestBytes(count:)`` bytes; fewer than 2^32 words.
  /// - Complexity: O(n).
  public static func encode(
    _ words: UnsafeBufferPointer<Int64>, into message: UnsafeMutableRawBufferPointer,
    using scratch: inout Scratch
  ) -> Int {
    precondition(
      message.count >= largestBytes(count: words.count),
      "\(message.count) bytes for a message of \(words.count) words")
    collectNonzeros(words, &scratch)
    let rice = RiceStream(best: scratch.indices)
    let sparseBytes =
      rice.bytes + scratch.words.withUnsafeBufferPointer { packedBytes(of: $0) }
    // Where most words are zero the dense form, with at least a bit for each, is no candidate.
    let isDense =
      2 * scratch.words.count > words.count && packedBytes(of: words) <= sparseBytes
    let start = message.baseAddress!
    let indexBytes = isDense ? 0 : rice.bytes
    func write(_ number: Int, _ offset: Int) {
      start.storeBytes(of: UInt32(number).littleEndian, toByteOffset: offset, as: UInt32.self)
    }
    write(isDense ? 0 : 1 | rice.parameter << 8, 0)
    write(isDense ? words.count : scratch.words.count, 4)
    write(indexBytes, 8)
    let packed = start + headerBytes + indexBytes
    if isDense { return headerBytes + pack(words, to: packed) }
    rice.write(scratch.indices, to: start + headerBytes)
    return headerBytes + indexBytes
      + scratch.words.withUnsafeBufferPointer { pack($0, to: packed) }
  }

  /// Adds the words of a message to `words`, wrapping around at 64 bits.
  ///
  /// - Throws: Where the bytes are no whole message of so many words; `words` may be changed then.
  public static func add(
    _ message: UnsafeRawBufferPointer, to words: UnsafeMutableBufferPointer<Int64>
  ) throws(VectorCodecError) {
    guard message.count >= headerBytes, let start = message.baseAddress else {
      throw .init("a segment of a sum of \(message.count) bytes")
    }
    func number(_ offset: Int) -> Int {
      Int(UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    let (kind, count, indexBytes) = (number(0), number(4), number(8))
    guard kind & 0xFF <= 1, kind >> 8 <= largestRiceParameter, count <= words.count,
      indexBytes <= message.count - headerBytes,
      kind != 0 || indexBytes == 0 && count == words.count
    else {
      throw .init(
        "a segment of a sum of kind \(kind), \(count) of \(words.count) words and "
          + "\(indexBytes) bytes of indices")
    }
    let packed = UnsafeRawBufferPointer(rebasing: message[(headerBytes + indexBytes)...])
    if kind == 0 {
      try unpack(packed, count: count) { block, first in
        for i in 0..<block.count { words[first &+ i] &+= block[i] }
      }
      return
    }
    let section = UnsafeRawBufferPointer(
      rebasing: message[headerBytes..<(headerBytes + indexBytes)])
    let indices = try readRiceStream(
      section, count: count, parameter: kind >> 8, length: words.count)
    try indices.withUnsafeBufferPointer { indices throws(VectorCodecError) in
      try unpack(packed, count: count) { block, first in
        for i in 0..<block.count { words[Int(indices[first &+ i])] &+= block[i] }
      }
    }
  }

  /// The words that are not zero, and where they are.
  private static func collectNonzeros(_ words: UnsafeBufferPointer<Int64>, _ scratch: inout Scratch)
  {
    let length = words.count
    var found = 0
    scratch.indices = [UInt32](unsafeUninitializedCapacity: length + 1) { indices, count in
      for i in 0..<length {
        indices[found] = UInt32(truncatingIfNeeded: i)
        found &+= words[i] == 0 ? 0 : 1
      }
      count = found
    }
    scratch.words = [Int64](unsafeUninitializedCapacity: found) { kept, count in
      scratch.indices.withUnsafeBufferPointer { indices in
        for i in 0..<found { kept[i] = words[Int(indices[i])] }
      }
      count = found
    }
  }

  /// The low zero bits and the width of the words from `first` on.
  @inline(__always)
  private static func shape(
    _ words: UnsafeBufferPointer<Int64>, _ first: Int, _ count: Int
  ) -> (shift: Int, width: Int) {
    var bits: UInt64 = 0
    var magnitudes: UInt64 = 0
    for i in first..<(first &+ count) {
      let word = words[i]
      bits |= UInt64(bitPattern: word)
      // The bits of a negative number below its sign, inverted: as many as it needs without a sign.
      magnitudes |= UInt64(bitPattern: word ^ (word &>> 63))
    }
    guard bits != 0 else { return (0, 0) }
    let shift = bits.trailingZeroBitCount
    let width = 65 - (magnitudes &>> UInt64(shift)).leadingZeroBitCount
    // The bit writer takes up to 56 bits beside those that wait.
    return width > 56 ? (0, 64) : (shift, width)
  }

  private static func packedBytes(of words: UnsafeBufferPointer<Int64>) -> Int {
    var bytes = 0
    for first in stride(from: 0, to: words.count, by: blockLength) {
      let count = min(blockLength, words.count - first)
      bytes += 2 + (shape(words, first, count).width * count + 7) / 8
    }
    return bytes
  }

  /// Writes the blocks of `words`; returns their bytes.
  private static func pack(
    _ words: UnsafeBufferPointer<Int64>, to start: UnsafeMutableRawPointer
  ) -> Int {
    var next = start
    for first in stride(from: 0, to: words.count, by: blockLength) {
      let count = min(blockLength, words.count - first)
      let (shift, width) = shape(words, first, count)
      next.storeBytes(of: UInt8(shift), as: UInt8.self)
      next.storeBytes(of: UInt8(width), toByteOffset: 1, as: UInt8.self)
      next += 2
      if width == 64 {
        for i in 0..<count {
          next.storeBytes(of: words[first &+ i].littleEndian, toByteOffset: 8 &* i, as: Int64.self)
        }
        next += 8 * count
        continue
      }
      var (waiting, filled): (UInt64, UInt64) = (0, 0)
      for i in first..<(first &+ count) {
        let word = words[i] &>> Int64(shift)
        let code = UInt64(bitPattern: (word &<< 1) ^ (word &>> 63))
        waiting |= code &<< filled
        next.storeBytes(of: waiting.littleEndian, as: UInt64.self)
        filled &+= UInt64(width)
        next += Int(filled &>> 3)
        waiting = waiting &>> (filled & 56)
        filled &= 7
      }
      if filled > 0 {
        next.storeBytes(of: UInt8(truncatingIfNeeded: waiting), as: UInt8.self)
        next += 1
      }
    }
    return next - start
  }

  /// Reads the blocks of `count` words that fill `bytes`, and gives each block with its first number.
  @inline(__always)
  private static func unpack(
    _ bytes: UnsafeRawBufferPointer, count: Int,
    _ each: (_ block: UnsafeMutableBufferPointer<Int64>, _ first: Int) -> Void
  ) throws(VectorCodecError) {
    var failure: VectorCodecError?
    withUnsafeTemporaryAllocation(of: Int64.self, capacity: blockLength) { block in
      var rest = bytes
      for first in stride(from: 0, to: count, by: blockLength) {
        let length = min(blockLength, count - first)
        guard rest.count >= 2, rest[0] < 64, rest[1] <= 56 || rest[1] == 64,
          rest.count >= 2 + (Int(rest[1]) * length + 7) / 8
        else {
          failure = .init("a segment of a sum ends in word \(first) of \(count)")
          return
        }
        let (shift, width) = (Int64(rest[0]), Int(rest[1]))
        let size = (width * length + 7) / 8
        let codes = UnsafeRawBufferPointer(rebasing: rest[2..<(2 + size)])
        let whole = UnsafeMutableBufferPointer(rebasing: block[..<length])
        if width == 64 {
          for i in 0..<length {
            let word = codes.loadUnaligned(fromByteOffset: 8 &* i, as: Int64.self)
            whole[i] = Int64(littleEndian: word)
          }
        } else {
          unpackBits(codes, shift, width, isPadded: rest.count >= 2 + size + 8, whole)
        }
        each(whole, first)
        rest = UnsafeRawBufferPointer(rebasing: rest[(2 + size)...])
      }
      if !rest.isEmpty { failure = .init("\(rest.count) bytes follow a segment of a sum") }
    }
    if let failure { throw failure }
  }

  /// Reads codes of `width` bits; `isPadded` says that 8 bytes after them may be read.
  @inline(__always)
  private static func unpackBits(
    _ codes: UnsafeRawBufferPointer, _ shift: Int64, _ width: Int, isPadded: Bool,
    _ words: UnsafeMutableBufferPointer<Int64>
  ) {
    let mask = UInt64.max &>> UInt64(64 - width)
    func read(_ start: UnsafeRawPointer) {
      var position = 0
      for i in 0..<words.count {
        let bits = start.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self)
        let code = (UInt64(littleEndian: bits) &>> UInt64(position & 7)) & mask
        words[i] =
          Int64(bitPattern: (code &>> 1) ^ (0 &- (code & 1))) &<< shift
        position &+= width
      }
    }
    guard width > 0, let start = codes.baseAddress else {
      for i in 0..<words.count { words[i] = 0 }
      return
    }
    if isPadded { return read(start) }
    withUnsafeTemporaryAllocation(byteCount: codes.count + 8, alignment: 8) { copy in
      copy.copyMemory(from: codes)
      read(copy.baseAddress!)
    }
  }
}
