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
  /// The values are those that were written, infinities and NaN included: ask the result for
  /// ``SparseVector/firstNonFinite``.
  ///
  /// - Parameter expectedLength: the length that the vector must have.
  /// - Parameter tensorEnds: as for encoding.
  /// - Parameter known: the support that the writer assumed to be known. A message that does not need
  ///   one is read with any.
  /// - Precondition: the tensors' ends ascend to `expectedLength`.
  /// - Throws: ``VectorCodecError`` for bytes that are not exactly one well-formed message of that
  ///   length, whatever they are, or that need another known support. Memory for at most
  ///   `expectedLength` coordinates is allocated, and only when the message holds that many values.
  /// - Complexity: O(n).
  public static func decode(
    _ message: UnsafeRawBufferPointer, expectedLength: Int, tensorEnds: [Int]? = nil,
    known: SupportMask? = nil
  ) throws(VectorCodecError) -> SparseVector {
    let parts = try MessageParts(message, expectedLength, tensorEnds, known)
    let values = try filled(parts.mask.count) { values throws(VectorCodecError) in
      try parts.readValues(target: { values + $0 }, done: { _ in })
    }
    return SparseVector(mask: parts.mask, values: values)
  }

  /// The vector of a message.
  ///
  /// - Throws: ``VectorCodecError``, as for the raw bytes.
  public static func decode(
    _ message: [UInt8], expectedLength: Int, tensorEnds: [Int]? = nil, known: SupportMask? = nil
  ) throws(VectorCodecError) -> SparseVector {
    // `withUnsafeBytes` passes on errors without their type.
    try message.withUnsafeBytes { bytes in
      Result { () throws(VectorCodecError) in
        try decode(
          bytes, expectedLength: expectedLength, tensorEnds: tensorEnds, known: known)
      }
    }.get()
  }

  /// Decodes into a whole vector: the values at their coordinates, +0 everywhere else. Returns which
  /// coordinates were kept.
  ///
  /// No second copy of the values is made. The length that the vector must have is that of
  /// `vector`, whose contents are undefined after an error.
  ///
  /// - Throws: ``VectorCodecError``, as for a new vector.
  public static func decode(
    _ message: UnsafeRawBufferPointer, tensorEnds: [Int]? = nil, known: SupportMask? = nil,
    into vector: UnsafeMutableBufferPointer<Float>
  ) throws(VectorCodecError) -> SupportMask {
    let parts = try MessageParts(message, vector.count, tensorEnds, known)
    guard let to = vector.baseAddress else { return parts.mask }
    guard let list = parts.mask.list else {
      try parts.readValues(target: { to + $0 }, done: { _ in })
      return parts.mask
    }
    to.update(repeating: 0, count: vector.count)
    let values = UnsafeMutablePointer<Float>.allocate(capacity: valueBlock)
    defer { values.deallocate() }
    try parts.readValues(
      target: { _ in values },
      done: { block in
        list.withUnsafeBufferPointer { list in
          let at = list.baseAddress! + block.lowerBound
          for i in 0..<block.count { to[Int(at[i])] = values[i] }
        }
      })
    return parts.mask
  }

  /// The vector of a message, over a whole vector.
  ///
  /// - Throws: ``VectorCodecError``, as for the raw bytes.
  public static func decode(
    _ message: [UInt8], tensorEnds: [Int]? = nil, known: SupportMask? = nil,
    into vector: UnsafeMutableBufferPointer<Float>
  ) throws(VectorCodecError) -> SupportMask {
    try message.withUnsafeBytes { bytes in
      Result { () throws(VectorCodecError) in
        try decode(bytes, tensorEnds: tensorEnds, known: known, into: vector)
      }
    }.get()
  }
}

/// A message whose header, sizes and indices are checked; the values are to be read.
private struct MessageParts {
  let mask: SupportMask
  private let section: ValueSection
  /// Where the codes are that do not follow each other.
  private let slots: [UInt32]?
  private let ends: [Int]

  init(
    _ message: UnsafeRawBufferPointer, _ expectedLength: Int, _ tensorEnds: [Int]?,
    _ known: SupportMask?
  ) throws(VectorCodecError) {
    let header = try MessageHeader(
      message, expectedLength: expectedLength, tensorEnds: tensorEnds, known: known)
    let (length, count) = (header.length, header.count)
    let body = UnsafeRawBufferPointer(rebasing: message[header.codec.headerBytes...])
    let slotCount = header.codec == .dense ? length : count
    let tensorCount = tensorEnds?.count ?? 1
    let valueBytes = header.format.bytes(count: slotCount, tensorCount: tensorCount)
    guard body.count >= valueBytes else {
      throw .init("\(body.count) bytes follow the header where values take \(valueBytes)")
    }
    let positions = UnsafeRawBufferPointer(rebasing: body[valueBytes...])
    if let indexBytes = header.indexBytes, positions.count != indexBytes {
      throw .init(
        "\(positions.count) bytes follow the values, \(header.codec) has \(indexBytes) there")
    }
    section = try ValueSection(
      UnsafeRawBufferPointer(rebasing: body[..<valueBytes]), format: header.format,
      slots: slotCount, tensorCount: tensorCount)
    if header.codec == .dense && count < length {
      let present = try section.presentSlots(of: length, count: count)
      mask = SupportMask(length: length, ascending: present)
      slots = present
    } else {
      mask = try header.readIndices(positions, known: known)
      slots = nil
    }
    ends = mask.keptEnds(tensorEnds)
  }

  /// Reads the values; see ``ValueSection/read(count:slots:ends:target:done:)``.
  @inline(__always)
  func readValues(
    target: (Int) -> UnsafeMutablePointer<Float>, done: (Range<Int>) -> Void
  ) throws(VectorCodecError) {
    try section.read(count: mask.count, slots: slots, ends: ends, target: target, done: done)
  }
}

/// The checked header of a message.
private struct MessageHeader {
  let codec: Codec
  let format: ValueFormat
  let parameter: Int
  let length: Int
  let count: Int

  /// The bytes of the indices section, where length and count fix them.
  var indexBytes: Int? {
    switch codec {
    case .dense, .known: 0
    case .indices: 4 * count
    case .bitmap: (length + 7) / 8
    case .rice, .difference: nil
    }
  }

  init(
    _ message: UnsafeRawBufferPointer, expectedLength: Int, tensorEnds: [Int]?,
    known: SupportMask?
  ) throws(VectorCodecError) {
    guard message.count >= VectorCodec.headerBytes else {
      throw .init(
        "\(message.count) bytes are shorter than the header of \(VectorCodec.headerBytes)")
    }
    guard message[..<3].elementsEqual(VectorCodec.magic) else {
      throw .init("it does not start with \"SPV\"")
    }
    guard message[3] == VectorCodec.version else {
      throw .init("version \(message[3]) is unknown (known is \(VectorCodec.version))")
    }
    guard let codec = Codec(rawValue: message[4]) else {
      throw .init("codec \(message[4]) is unknown (known are 0...\(Codec.difference.rawValue))")
    }
    guard let format = ValueFormat(number: message[5]) else {
      throw .init(
        "value format \(message[5]) is unknown (known are 1...\(ValueFormat.int4.number))")
    }
    let largestParameter = codec == .rice || codec == .difference ? largestRiceParameter : 0
    guard message[6] <= largestParameter else {
      throw .init("Rice parameter \(message[6]) is outside 0...\(largestParameter) for \(codec)")
    }
    let tensors = format.isStochastic ? tensorsChecksum(tensorEnds ?? [expectedLength]) : 0
    func number(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    self.codec = codec
    self.format = format
    parameter = Int(message[6])
    length = Int(number(8))
    count = Int(number(12))
    guard length == expectedLength else {
      throw .init("length \(length) where \(expectedLength) was expected")
    }
    guard message[7] == tensors else {
      throw .init("byte 7, of the tensors' ends, is \(message[7]) instead of \(tensors)")
    }
    guard count <= length else {
      throw .init("count \(count) is above the length \(length)")
    }
    guard codec.needsKnownSupport else { return }
    guard message.count >= codec.headerBytes else {
      throw .init("\(message.count) bytes are shorter than the header of \(codec.headerBytes)")
    }
    guard let known else { throw .init("codec \(codec) needs a known support, there is none") }
    guard known.length == length, known.checksum == number(16) else {
      throw .init(
        "the support known here (\(known.count) of \(known.length) coordinates) is not the one "
          + "that the message refers to")
    }
    guard codec != .known || known.count == count else {
      throw .init("count \(count) for a known support of \(known.count) coordinates")
    }
  }

  /// The kept coordinates, in any codec but a dense message that does not keep all.
  func readIndices(
    _ section: UnsafeRawBufferPointer, known: SupportMask?
  ) throws(VectorCodecError) -> SupportMask {
    let indices: [UInt32]
    switch codec {
    case .dense: return .all(length: length)
    case .indices:
      indices = try Sparsity.readIndices(section, count: count, length: length)
    case .bitmap: indices = try readBitmap(section, count: count, length: length)
    case .rice:
      indices = try readRiceStream(
        section, count: count, parameter: parameter, length: length)
    case .known, .difference:
      // The header is not made without a known support.
      guard let known else { preconditionFailure("no known support") }
      guard codec == .difference else { return known }
      return try SupportDifference.read(
        section, count: count, parameter: parameter, known: known)
    }
    return SupportMask(length: length, ascending: indices)
  }
}
