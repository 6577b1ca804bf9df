// The message in which a sparse vector travels. It describes itself, but for what reader and writer
// both know: the length, the tensors' ends (int8, int4) and a known support (codecs 4 and 5). All
// numbers are little endian:
//
//   offset  bytes  meaning
//        0      3  "SPV"
//        3      1  format version, 2
//        4      1  codec: 0 dense, 1 indices, 2 bitmap, 3 rice, 4 known, 5 difference
//        5      1  value format: 1 fp32, 2 bf16, 3 fp16, 4 int8, 5 int4
//        6      1  Rice parameter b (rice; of the added coordinates in difference); else 0
//        7      1  checksum of the tensors' ends (int8, int4); else 0
//        8      4  length n of the whole vector
//       12      4  count k of kept coordinates
//       16      4  checksum of the known support (only known and difference)
//    16/20         values, then indices
//
// Values (ValueFormat.swift, ValueSections.swift): for int8 and int4 a 32-bit scale for each tensor,
// then a code for each of the k values. In codec dense there are n codes, and one with all bits set
// stands for a coordinate that is not kept. Two codes of int4 share a byte, the first its lower half.
//
// Indices:
//   dense, known  nothing
//   indices       k indices of 4 bytes, strictly ascending
//   bitmap        ceil(n / 8) bytes; coordinate i is bit i % 8 of byte i / 8
//   rice          Rice-coded gaps (RiceCoding.swift)
//   difference    what is removed from and added to the known support (SupportDifference.swift)
//
// Padding bits are zero and nothing follows. At density 1/4 the indices codec costs 8 bytes an fp32
// value and bitmap and rice 4.4 to 4.5; at 1/64 bitmap costs 12 and rice 4.9.

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
  /// Nothing: the support is the one that the reader knows.
  case known = 4
  /// Rice-coded differences to the support that the reader knows.
  case difference = 5

  /// Whether writer and reader need the same known support.
  package var needsKnownSupport: Bool { self == .known || self == .difference }

  /// The bytes of the header.
  var headerBytes: Int { VectorCodec.headerBytes + (needsKnownSupport ? 4 : 0) }
}

/// A sparse vector as the bytes of a message.
public struct EncodedVector: Sendable {
  /// The message.
  public let bytes: [UInt8]
  /// What the bytes carry; `size.total` is `bytes.count`.
  public let size: PayloadSize
  /// How the coordinates are written.
  public let codec: Codec
  /// How the values are written.
  public let format: ValueFormat
}

/// Encodes sparse vectors as self-describing messages, and decodes them.
public enum VectorCodec {
  /// The bytes of a message's header; four more where the codec needs a known support.
  public static let headerBytes = 16
  static let magic: [UInt8] = [0x53, 0x50, 0x56]
  static let version: UInt8 = 2

  /// The exact size of the message that `encode` makes, without making it.
  ///
  /// - Parameter codec: nil for the smallest.
  /// - Parameter known: the support that the reader knows, if any.
  /// - Parameter tensorCount: the number of scales of int8 and int4.
  /// - Complexity: O(1); for rice, difference and the smallest, a few passes over the indices.
  public static func size(
    of vector: SparseVector, format: ValueFormat = .fp32, codec: Codec? = nil,
    known: SupportMask? = nil, tensorCount: Int = 1
  ) -> PayloadSize {
    MessagePlan(vector.mask, format, codec, known, tensorCount).size
  }

  /// The message of a vector, in a format whose rounding is deterministic.
  ///
  /// In fp32 values keep their bits in every codec, but for one: in a dense message of a vector that
  /// is not dense, a value with all 32 bits set (a NaN) becomes the usual NaN.
  ///
  /// - Parameter codec: nil for the smallest; among equals the first of dense, bitmap, indices,
  ///   known, rice, difference.
  /// - Parameter known: the support that the reader knows, if any; decoding takes the same.
  /// - Precondition: `format` is not stochastic; a codec that needs a known support has one; the
  ///   known support has the vector's length, and codec `known` its very coordinates.
  /// - Complexity: O(n).
  public static func encode(
    _ vector: SparseVector, format: ValueFormat = .fp32, codec: Codec? = nil,
    known: SupportMask? = nil
  ) -> EncodedVector {
    precondition(!format.isStochastic, "values in \(format.rawValue) need random bits")
    return encode(vector, format, codec, known, tensorEnds: nil) { _ in }
  }

  /// The message of a vector in any format.
  ///
  /// Where the format is stochastic, value i of the message (from 0) takes 16 bits of draw i / 4, the
  /// lowest first; else nothing is drawn.
  ///
  /// - Parameter tensorEnds: where each tensor of the flat vector ends, for its scale; nil for a
  ///   single one. Decoding takes the same.
  /// - Precondition: the ends ascend, the last is the vector's length; otherwise as without them.
  public static func encode(
    _ vector: SparseVector, format: ValueFormat, codec: Codec? = nil, known: SupportMask? = nil,
    tensorEnds: [Int]? = nil, rounding random: inout some RandomNumberGenerator
  ) -> EncodedVector {
    encode(vector, format, codec, known, tensorEnds: tensorEnds) { words in
      for i in 0..<words.count { words[i] = random.next().littleEndian }
    }
  }

  private static func encode(
    _ vector: SparseVector, _ format: ValueFormat, _ codec: Codec?, _ known: SupportMask?,
    tensorEnds: [Int]?, fill: (UnsafeMutableBufferPointer<UInt64>) -> Void
  ) -> EncodedVector {
    let mask = vector.mask
    let ends = mask.keptEnds(tensorEnds)
    let plan = MessagePlan(mask, format, codec, known, ends.count)
    let size = plan.size
    let tensors = format.isStochastic ? tensorsChecksum(tensorEnds ?? [mask.length]) : 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size.total + riceWriterSlack) {
      buffer, count in
      let message = UnsafeMutableRawPointer(buffer.baseAddress!)
      let header =
        magic + [version, plan.codec.rawValue, format.number, UInt8(plan.parameter), tensors]
      message.copyMemory(from: header, byteCount: header.count)
      func write(_ number: UInt32, _ offset: Int) {
        message.storeBytes(of: number.littleEndian, toByteOffset: offset, as: UInt32.self)
      }
      write(UInt32(mask.length), 8)
      write(UInt32(mask.count), 12)
      if plan.codec.needsKnownSupport, let known { write(known.checksum, 16) }

      let values = message + size.header
      let slots = plan.codec == .dense ? mask.list : nil
      if slots != nil {
        let codes = format.codeBytes(mask.length)
        let start = values + (size.values - codes)
        start.initializeMemory(as: UInt8.self, repeating: 0xFF, count: codes)
        if format == .int4 && mask.length % 2 == 1 {
          start.storeBytes(of: 0x0F, toByteOffset: codes - 1, as: UInt8.self)
        }
      }
      vector.values.withUnsafeBufferPointer {
        writeValues($0, as: format, ends: ends, slots: slots, to: values, fill: fill)
      }
      plan.writeIndices(of: mask, to: values + size.values)
      count = size.total
    }
    return EncodedVector(bytes: bytes, size: size, codec: plan.codec, format: format)
  }
}

/// The codec of a message to be made, what it takes and its size.
struct MessagePlan {
  let codec: Codec
  let size: PayloadSize
  /// The Rice parameter in the header.
  var parameter: Int { difference?.added.parameter ?? rice?.parameter ?? 0 }
  private var rice: RiceStream?
  private var difference: SupportDifference?

  init(
    _ mask: SupportMask, _ format: ValueFormat, _ wanted: Codec?, _ known: SupportMask?,
    _ tensorCount: Int
  ) {
    let (n, k) = (mask.length, mask.count)
    precondition(
      known == nil || known?.length == n,
      "a known support of length \(known?.length ?? 0) for a vector of length \(n)")
    precondition(
      wanted?.needsKnownSupport != true || known != nil,
      "no known support for a codec that needs it")
    func plan(_ codec: Codec, _ slots: Int, _ indexBytes: Int) -> MessagePlan {
      MessagePlan(
        codec: codec,
        size: PayloadSize(
          values: format.bytes(count: slots, tensorCount: tensorCount), indices: indexBytes,
          header: codec.headerBytes))
    }
    func make(_ codec: Codec) -> MessagePlan {
      switch codec {
      case .dense: return plan(.dense, n, 0)
      case .indices: return plan(.indices, k, 4 * k)
      case .bitmap: return plan(.bitmap, k, (n + 7) / 8)
      case .rice:
        let stream = RiceStream(best: mask.indices)
        var plan = plan(.rice, k, stream.bytes)
        plan.rice = stream
        return plan
      case .known: return plan(.known, k, 0)
      case .difference:
        let difference = SupportDifference(of: mask, to: known ?? mask)
        var plan = plan(.difference, k, difference.bytes)
        plan.difference = difference
        return plan
      }
    }
    if let wanted {
      self = make(wanted)
      precondition(wanted != .known || mask == known, "the support is not the known one")
      return
    }
    var best = make(.dense)
    func consider(_ codec: Codec) {
      let other = make(codec)
      if other.size.total < best.size.total { best = other }
    }
    if k < n {
      consider(.bitmap)
      consider(.indices)
      let isKnown = mask == known
      if isKnown { consider(.known) }
      // Codes of at least a bit each cannot be shorter than the known support's checksum.
      if !isKnown || k < 64 { consider(.rice) }
      if let known, !isKnown, known.count > 0 { consider(.difference) }
    }
    self = best
  }

  private init(codec: Codec, size: PayloadSize) {
    self.codec = codec
    self.size = size
  }

  /// Writes the indices section; it may touch ``riceWriterSlack`` bytes after it.
  func writeIndices(of mask: SupportMask, to section: UnsafeMutableRawPointer) {
    switch codec {
    case .dense, .known: break
    case .indices:
      mask.indices.withUnsafeBufferPointer { indices in
        guard let from = indices.baseAddress else { return }
        for i in 0..<indices.count {
          section.storeBytes(of: from[i].littleEndian, toByteOffset: 4 &* i, as: UInt32.self)
        }
      }
    case .bitmap:
      mask.indices.withUnsafeBufferPointer {
        writeBitmap($0, byteCount: size.indices, to: section)
      }
    case .rice: rice?.write(mask.indices, to: section)
    case .difference: difference?.write(to: section)
    }
  }
}

/// Sets the bit of each index in `byteCount` bytes.
func writeBitmap(
  _ indices: UnsafeBufferPointer<UInt32>, byteCount: Int, to start: UnsafeMutableRawPointer
) {
  let bytes = start.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  for index in indices { bytes[Int(index &>> 3)] |= 1 &<< UInt8(index & 7) }
}
