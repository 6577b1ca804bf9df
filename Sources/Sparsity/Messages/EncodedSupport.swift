// A support in few bytes, for supports that are kept for long: what clients remember of their downloads.
// Rice codes of the gaps, as in a message (RiceCoding.swift): about n H(k / n) bits for k of n coordinates
// and never more than a bitmap, where a `SupportMask` takes 4 bytes a coordinate.
//
//   offset  bytes  meaning
//        0      4  count k of kept coordinates, little endian
//        4      1  Rice parameter
//        5         the Rice stream; nothing where every coordinate is kept

/// A support as bytes.
public struct EncodedSupport: Sendable, Hashable {
  /// The bytes before the stream.
  private static let fixedBytes = 5
  /// The bytes; equal supports of vectors of one length have equal bytes.
  public let bytes: [UInt8]

  /// The bytes of a support.
  ///
  /// - Complexity: O(k) for k kept coordinates.
  public init(_ support: SupportMask) {
    let list = support.list ?? []
    let stream = RiceStream(best: list)
    bytes = [UInt8](
      unsafeUninitializedCapacity: Self.fixedBytes + stream.bytes + riceWriterSlack
    ) { buffer, count in
      let start = UnsafeMutableRawPointer(buffer.baseAddress!)
      start.storeBytes(of: UInt32(support.count).littleEndian, as: UInt32.self)
      start.storeBytes(of: UInt8(stream.parameter), toByteOffset: 4, as: UInt8.self)
      stream.write(list, to: start + Self.fixedBytes)
      count = Self.fixedBytes + stream.bytes
    }
  }

  /// Bytes that were saved; `support(length:)` checks them.
  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// The support of a vector of `length` coordinates.
  ///
  /// - Throws: ``VectorCodecError`` for bytes that are no support of such a vector.
  /// - Complexity: O(k) for k kept coordinates.
  public func support(length: Int) throws(VectorCodecError) -> SupportMask {
    guard bytes.count >= Self.fixedBytes else {
      throw .init("\(bytes.count) bytes are too few for a support")
    }
    let count = bytes[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
    let parameter = Int(bytes[4])
    guard count <= length, parameter <= largestRiceParameter else {
      throw .init(
        "a support of \(count) of \(length) coordinates with Rice parameter \(parameter)")
    }
    if count == length, length > 0 {
      guard bytes.count == Self.fixedBytes else {
        throw .init("\(bytes.count) bytes for a support of all coordinates")
      }
      return .all(length: length)
    }
    // `withUnsafeBytes` passes on errors without their type.
    let indices = try bytes.withUnsafeBytes { bytes in
      Result { () throws(VectorCodecError) in
        try readRiceStream(
          UnsafeRawBufferPointer(rebasing: bytes[Self.fixedBytes...]), count: count,
          parameter: parameter, length: length)
      }
    }.get()
    return SupportMask(length: length, ascending: indices)
  }

  /// The bytes that a support of `count` among `length` coordinates takes, to within a few percent
  /// where any choice is as likely.
  public static func expectedBytes(length: Int, count: Int) -> Int {
    fixedBytes + Int(VectorCodec.entropyBoundOfIndices(length: length, count: count).rounded(.up))
  }
}
