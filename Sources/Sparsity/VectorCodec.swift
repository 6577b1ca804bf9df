// The message in which a sparse vector travels. It describes itself; all numbers are little endian:
//
//   offset  bytes  meaning
//        0      3  "SPV"
//        3      1  format version, 1
//        4      1  codec: 0 dense, 1 indices, 2 bitmap, 3 rice
//        5      1  value type: 1 = 32-bit IEEE 754
//        6      1  Rice parameter b; 0 for the other codecs
//        7      1  0
//        8      4  length n of the whole vector
//       12      4  count k of kept coordinates
//       16         values, then indices:
//                    dense    n values (absent ones as `absentBits`), no indices
//                    indices  k values, k indices of 4 bytes, strictly ascending
//                    bitmap   k values, ceil(n / 8) bytes; coordinate i is bit i % 8 of byte i / 8
//                    rice     k values, Rice-coded gaps (RiceCoding.swift)
//
// Padding bits are zero and nothing follows. At density 1/4 the indices codec costs 8 bytes a value
// and bitmap and rice 4.4 to 4.5; at 1/64 bitmap costs 12 and rice 4.9.

/// How a message says which coordinates its values belong to.
public enum Codec: UInt8, Sendable, CaseIterable {
  /// Every coordinate's value, in order.
  case dense = 0
  /// A 32-bit index for each value.
  case indices = 1
  /// A bit for each coordinate.
  case bitmap = 2
  /// Rice-coded gaps between kept coordinates.
  case rice = 3
}

/// A sparse vector as the bytes of a message.
public struct EncodedVector: Sendable {
  /// The message.
  public let bytes: [UInt8]
  /// What the bytes carry; `size.total` is `bytes.count`.
  public let size: PayloadSize
  /// How the coordinates are written.
  public let codec: Codec
}

/// Encodes sparse vectors as self-describing messages, and decodes them.
public enum VectorCodec {
  /// The bytes of a message's header.
  public static let headerBytes = 16
  static let magic: [UInt8] = [0x53, 0x50, 0x56]
  static let version: UInt8 = 1
  static let floatValues: UInt8 = 1
  /// Stands for a coordinate without a value in a dense message: a NaN that no arithmetic makes.
  static let absentBits: UInt32 = 0xFFFF_FFFF

  /// The exact size of the message that ``encode(_:codec:)`` makes, without making it.
  ///
  /// - Parameter codec: nil for the smallest.
  /// - Complexity: O(1); for rice, and for the smallest, a few passes over the indices.
  public static func size(of vector: SparseVector, codec: Codec? = nil) -> PayloadSize {
    plan(vector, codec).size
  }

  /// The message of a vector.
  ///
  /// Values keep their bits in every codec, but for one: in a dense message of a vector that is
  /// not dense, a value with all 32 bits set (a NaN) becomes the usual NaN.
  ///
  /// - Parameter codec: nil for the smallest; among equals the first of dense, bitmap, indices,
  ///   rice.
  /// - Complexity: O(n).
  public static func encode(_ vector: SparseVector, codec: Codec? = nil) -> EncodedVector {
    let plan = plan(vector, codec)
    let size = plan.size
    let slack = plan.codec == .rice ? riceWriterSlack : 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size.total + slack) { buffer, count in
      let message = UnsafeMutableRawPointer(buffer.baseAddress!)
      writeHeader(of: vector, plan, to: message)
      vector.values.withUnsafeBufferPointer { values in
        vector.indices.withUnsafeBufferPointer { indices in
          let body = message + headerBytes
          if plan.codec == .dense && !vector.isDense {
            writeScattered(values, indices, length: vector.length, to: body)
            return
          }
          writeWords(values, to: body) { $0.bitPattern }
          let positions = body + size.values
          switch plan.codec {
          case .dense: break
          case .indices: writeWords(indices, to: positions) { $0 }
          case .bitmap: writeBitmap(indices, byteCount: size.indices, to: positions)
          case .rice where plan.riceParameter == 0:
            writeBitmap(indices, byteCount: size.indices, to: positions)
          case .rice: writeRice(indices, parameter: plan.riceParameter, to: positions)
          }
        }
      }
      count = size.total
    }
    return EncodedVector(bytes: bytes, size: size, codec: plan.codec)
  }

  /// The codec of a message to be made, its Rice parameter and its size.
  private struct Plan {
    var codec: Codec
    var riceParameter = 0
    var size: PayloadSize

    init(_ codec: Codec, values: Int, indices: Int, riceParameter: Int = 0) {
      self.codec = codec
      self.riceParameter = riceParameter
      size = PayloadSize(values: 4 * values, indices: indices, header: headerBytes)
    }
  }

  private static func plan(_ vector: SparseVector, _ codec: Codec?) -> Plan {
    let (n, k) = (vector.length, vector.count)
    func rice() -> Plan {
      let best = vector.indices.withUnsafeBufferPointer { bestRiceParameter($0) }
      return Plan(
        .rice, values: k, indices: (best.bits + 7) / 8, riceParameter: best.parameter)
    }
    let dense = Plan(.dense, values: n, indices: 0)
    let bitmap = Plan(.bitmap, values: k, indices: (n + 7) / 8)
    let indices = Plan(.indices, values: k, indices: 4 * k)
    switch codec {
    case .dense: return dense
    case .bitmap: return bitmap
    case .indices: return indices
    case .rice: return rice()
    case nil:
      if k == n { return dense }
      var best = dense
      for other in [bitmap, indices, rice()] where other.size.total < best.size.total {
        best = other
      }
      return best
    }
  }

  private static func writeHeader(
    of vector: SparseVector, _ plan: Plan, to message: UnsafeMutableRawPointer
  ) {
    let header =
      magic + [version, plan.codec.rawValue, floatValues, UInt8(plan.riceParameter), 0]
    message.copyMemory(from: header, byteCount: header.count)
    message.storeBytes(of: UInt32(vector.length).littleEndian, toByteOffset: 8, as: UInt32.self)
    message.storeBytes(of: UInt32(vector.count).littleEndian, toByteOffset: 12, as: UInt32.self)
  }

  /// Writes the 32 bits of each element in order.
  @inline(__always)
  private static func writeWords<Element>(
    _ elements: UnsafeBufferPointer<Element>, to start: UnsafeMutableRawPointer,
    _ bits: (Element) -> UInt32
  ) {
    guard let from = elements.baseAddress else { return }
    for i in 0..<elements.count {
      start.storeBytes(of: bits(from[i]).littleEndian, toByteOffset: 4 &* i, as: UInt32.self)
    }
  }

  /// Writes every coordinate of a vector that keeps only some.
  private static func writeScattered(
    _ values: UnsafeBufferPointer<Float>, _ indices: UnsafeBufferPointer<UInt32>, length: Int,
    to start: UnsafeMutableRawPointer
  ) {
    // All bits set in every absent word: bytes of 0xFF, whatever the byte order.
    start.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4 * length)
    for (index, value) in zip(indices, values) {
      let bits = value.bitPattern == absentBits ? Float.nan.bitPattern : value.bitPattern
      start.storeBytes(of: bits.littleEndian, toByteOffset: 4 &* Int(index), as: UInt32.self)
    }
  }

  private static func writeBitmap(
    _ indices: UnsafeBufferPointer<UInt32>, byteCount: Int, to start: UnsafeMutableRawPointer
  ) {
    let bytes = start.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    for index in indices { bytes[Int(index &>> 3)] |= 1 &<< UInt8(index & 7) }
  }
}
