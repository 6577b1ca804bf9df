// Reading messages, which may come from anywhere: every number in them is checked before it is
// used, and nothing is allocated that the bytes at hand and the expected length do not imply.

/// Why bytes are not a message of a sparse vector.
public struct VectorCodecError: Error, Equatable, CustomStringConvertible {
  /// What was found and what is allowed, on one line.
  public let reason: String

  init(_ reason: String) { self.reason = reason }

  /// One line: "sparse vector message: " and the reason.
  public var description: String { "sparse vector message: \(reason)" }
}

extension VectorCodec {
  /// The vector of a message.
  ///
  /// The values are taken bit for bit, infinities and NaN included: ask the result for
  /// ``SparseVector/firstNonFinite``.
  ///
  /// - Parameter expectedLength: the length that the vector must have.
  /// - Throws: ``VectorCodecError`` for bytes that are not exactly one well-formed message of that
  ///   length, whatever they are. Memory for at most `expectedLength` coordinates is allocated, and
  ///   only when the message holds that many values.
  /// - Complexity: O(n).
  public static func decode(
    _ message: UnsafeRawBufferPointer, expectedLength: Int
  ) throws(VectorCodecError) -> SparseVector {
    let header = try Header(message, expectedLength: expectedLength)
    let (length, count) = (header.length, header.count)
    let body = UnsafeRawBufferPointer(rebasing: message[headerBytes...])
    let valueBytes = 4 * (header.codec == .dense ? length : count)
    guard body.count >= valueBytes else {
      throw .init("\(body.count) bytes follow the header where values take \(valueBytes)")
    }
    let positions = UnsafeRawBufferPointer(rebasing: body[valueBytes...])
    if let indexBytes = header.indexBytes, positions.count != indexBytes {
      throw .init(
        "\(positions.count) bytes follow the values, \(header.codec) has \(indexBytes) there")
    }
    if header.codec == .dense && count < length {
      return try readScattered(body, length: length, count: count)
    }

    let indices: [UInt32] =
      switch header.codec {
      case .dense: everyIndex(length)
      case .indices: try readIndices(positions, count: count, length: length)
      case .bitmap: try readBitmap(positions, count: count, length: length)
      case .rice where header.riceParameter == 0:
        try readTrimmedBitmap(positions, count: count, length: length)
      case .rice:
        try filled(count) { buffer throws(VectorCodecError) in
          try readRice(
            positions, count: count, parameter: header.riceParameter, length: length, into: buffer)
        }
      }
    let values = readWords(body, count) { Float(bitPattern: $0) }
    return SparseVector(length: length, ascending: indices, values: values)
  }

  /// The vector of a message.
  ///
  /// - Throws: ``VectorCodecError``, as for the raw bytes.
  public static func decode(
    _ message: [UInt8], expectedLength: Int
  ) throws(VectorCodecError) -> SparseVector {
    // `withUnsafeBytes` passes on errors without their type.
    try message.withUnsafeBytes { bytes in
      Result { () throws(VectorCodecError) in
        try decode(bytes, expectedLength: expectedLength)
      }
    }.get()
  }

  /// The checked header of a message.
  private struct Header {
    let codec: Codec
    let riceParameter: Int
    let length: Int
    let count: Int

    /// The bytes of the index section, where length and count fix them (not so for rice).
    var indexBytes: Int? {
      switch codec {
      case .dense: 0
      case .indices: 4 * count
      case .bitmap: (length + 7) / 8
      case .rice: nil
      }
    }

    init(_ message: UnsafeRawBufferPointer, expectedLength: Int) throws(VectorCodecError) {
      guard message.count >= headerBytes else {
        throw .init("\(message.count) bytes are shorter than the header of \(headerBytes)")
      }
      guard message[0] == magic[0], message[1] == magic[1], message[2] == magic[2] else {
        throw .init("it does not start with \"SPV\"")
      }
      guard message[3] == version else {
        throw .init("version \(message[3]) is unknown (known is \(version))")
      }
      guard let codec = Codec(rawValue: message[4]) else {
        throw .init("codec \(message[4]) is unknown (known are 0...\(Codec.rice.rawValue))")
      }
      guard message[5] == floatValues else {
        throw .init("value type \(message[5]) is unknown (known is \(floatValues))")
      }
      let largestParameter = codec == .rice ? largestRiceParameter : 0
      guard message[6] <= largestParameter else {
        throw .init("Rice parameter \(message[6]) is outside 0...\(largestParameter) for \(codec)")
      }
      guard message[7] == 0 else {
        throw .init("byte 7 is \(message[7]) instead of 0")
      }
      func number(_ offset: Int) -> Int {
        Int(UInt32(littleEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      }
      self.codec = codec
      riceParameter = Int(message[6])
      length = number(8)
      count = number(12)
      guard length == expectedLength else {
        throw .init("length \(length) where \(expectedLength) was expected")
      }
      guard count <= length else {
        throw .init("count \(count) is above the length \(length)")
      }
    }
  }

  /// An array of `count` elements that `body` initializes all of, or throws.
  @inline(__always)
  private static func filled<Element>(
    _ count: Int, _ body: (UnsafeMutablePointer<Element>) throws(VectorCodecError) -> Void
  ) throws(VectorCodecError) -> [Element] {
    guard count > 0 else { return [] }
    // The standard initializer passes on errors without their type.
    var failure: VectorCodecError?
    let elements = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(VectorCodecError) {
        try body(buffer.baseAddress!)
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return elements
  }

  /// The first `count` 32-bit words of `bytes`.
  @inline(__always)
  private static func readWords<Element>(
    _ bytes: UnsafeRawBufferPointer, _ count: Int, _ element: (UInt32) -> Element
  ) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let from = bytes.baseAddress, let to = buffer.baseAddress {
        for i in 0..<count {
          let word = from.loadUnaligned(fromByteOffset: 4 &* i, as: UInt32.self)
          (to + i).initialize(to: element(UInt32(littleEndian: word)))
        }
      }
      initialized = count
    }
  }

  private static func readIndices(
    _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
  ) throws(VectorCodecError) -> [UInt32] {
    let indices = readWords(bytes, count) { $0 }
    guard indices.withUnsafeBufferPointer({ areAscending($0, below: length) }) else {
      throw .init("\(count) indices are not strictly ascending below the length \(length)")
    }
    return indices
  }

  private static func readBitmap(
    _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
  ) throws(VectorCodecError) -> [UInt32] {
    var ones = 0
    forEachWord(bytes) { word, _ in ones &+= word.nonzeroBitCount }
    guard ones == count else {
      throw .init("the bitmap has \(ones) bits set for a count of \(count)")
    }
    if let last = bytes.last, bytes.count * 8 - last.leadingZeroBitCount > length, last != 0 {
      throw .init("the bitmap has bits set beyond the length \(length)")
    }
    return try filled(count) { indices throws(VectorCodecError) in
      var next = indices
      forEachWord(bytes) { word, first in
        var word = word
        while word != 0 {
          next.initialize(
            to: UInt32(truncatingIfNeeded: first &+ word.trailingZeroBitCount))
          next += 1
          word &= word &- 1
        }
      }
    }
  }

  /// Reads Rice codes of parameter 0: a bitmap that ends with the byte of its last one.
  private static func readTrimmedBitmap(
    _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
  ) throws(VectorCodecError) -> [UInt32] {
    guard bytes.count <= (length + 7) / 8, bytes.last != 0 else {
      throw .init("\(bytes.count) bytes of Rice codes do not end with the last of \(count) indices")
    }
    return try readBitmap(bytes, count: count, length: length)
  }

  /// Calls `body` with 64 bits at a time and the number of the first; missing bits are zero.
  @inline(__always)
  private static func forEachWord(
    _ bytes: UnsafeRawBufferPointer, _ body: (UInt64, Int) -> Void
  ) {
    guard let start = bytes.baseAddress else { return }
    var offset = 0
    while offset + 8 <= bytes.count {
      let word = start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      body(UInt64(littleEndian: word), offset &* 8)
      offset &+= 8
    }
    while offset < bytes.count {
      body(UInt64(bytes[offset]), offset &* 8)
      offset &+= 1
    }
  }

  /// Reads a dense message of a vector that keeps only some coordinates.
  private static func readScattered(
    _ bytes: UnsafeRawBufferPointer, length: Int, count: Int
  ) throws(VectorCodecError) -> SparseVector {
    // `count` < `length` here, so the message is not empty.
    let start = bytes.baseAddress!
    func word(_ i: Int) -> UInt32 {
      UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 4 &* i, as: UInt32.self))
    }
    var present = 0
    for i in 0..<length { present &+= word(i) == absentBits ? 0 : 1 }
    guard present == count else {
      throw .init("\(present) of \(length) dense values are present for a count of \(count)")
    }
    // One slot more, as each is stored before it is known to be kept: no branch to mispredict.
    let indices = [UInt32](unsafeUninitializedCapacity: count + 1) { buffer, initialized in
      let indices = buffer.baseAddress!
      var next = 0
      var i = 0
      while i < length {
        indices[next] = UInt32(truncatingIfNeeded: i)
        next &+= word(i) == absentBits ? 0 : 1
        i &+= 1
      }
      initialized = count
    }
    let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      for i in 0..<count { buffer[i] = Float(bitPattern: word(Int(indices[i]))) }
      initialized = count
    }
    return SparseVector(length: length, ascending: indices, values: values)
  }
}
