// TFRecord, the framing of TensorFlow's event files (tensorflow/core/lib/io/record_writer.h): for each record
//   8 bytes  length, little-endian      4 bytes  masked CRC32C of those
//   length bytes of data                4 bytes  masked CRC32C of the data
// CRC32C is the CRC of Castagnoli's polynomial (RFC 3720, appendix B.4); masked is rotated right by 15 bits plus a constant,
// so that the CRC of bytes that hold CRCs is a good one too.

/// Records in a sequence of bytes.
public enum TFRecord {
  /// A record with its frame.
  static func framed(_ data: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(data.count))
    return length + littleEndian(maskedCRC(length[...])) + data + littleEndian(maskedCRC(data[...]))
  }

  /// The whole, undamaged records at the beginning of `bytes`, each with the offset of its end; what a
  /// crash cut short at the end is left out.
  package static func records(in bytes: [UInt8]) -> [(data: ArraySlice<UInt8>, end: Int)] {
    var found: [(data: ArraySlice<UInt8>, end: Int)] = []
    var start = 0
    while bytes.count - start >= 16 {
      let length = bytes[start..<start + 8]
      let count = length.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard word(bytes, start + 8) == maskedCRC(length), count <= UInt64(bytes.count - start - 16)
      else { break }
      let data = bytes[start + 12..<start + 12 + Int(count)]
      guard word(bytes, data.endIndex) == maskedCRC(data) else { break }
      start = data.endIndex + 4
      found.append((data, start))
    }
    return found
  }

  /// The CRC32C of bytes.
  package static func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }

  private static func maskedCRC(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    let crc = crc(bytes)
    return (crc >> 15 | crc << 17) &+ 0xa282_ead8
  }

  /// The CRCs of single bytes: Castagnoli's polynomial, bits reversed.
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
  }

  private static func littleEndian<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
    (0..<Word.bitWidth / 8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
  }

  private static func word(_ bytes: [UInt8], _ start: Int) -> UInt32 {
    bytes[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
  }
}
