import Sparsity
import Testing

@Suite("Hostile messages")
struct HostileMessagesTests {
  /// Decodes from a buffer of exactly the message's size, so that memory checkers see over-reads.
  func decode(
    _ message: [UInt8], expectedLength: Int, tensorEnds: [Int]? = nil, known: SupportMask? = nil
  ) throws -> SparseVector {
    let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
    defer { exact.deallocate() }
    exact.copyBytes(from: message)
    return try VectorCodec.decode(
      UnsafeRawBufferPointer(exact), expectedLength: expectedLength, tensorEnds: tensorEnds,
      known: known)
  }

  /// The same into a whole vector of exactly the length.
  func decodeWhole(
    _ message: [UInt8], length: Int, tensorEnds: [Int]?, known: SupportMask?
  ) throws -> SupportMask {
    let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
    defer { exact.deallocate() }
    exact.copyBytes(from: message)
    let whole = UnsafeMutableBufferPointer<Float>.allocate(capacity: length)
    defer { whole.deallocate() }
    return try VectorCodec.decode(
      UnsafeRawBufferPointer(exact), tensorEnds: tensorEnds, known: known, into: whole)
  }

  /// A message of a random vector, and what a reader of it knows.
  struct Material {
    var message: [UInt8]
    let length: Int
    let tensorEnds: [Int]
    let known: SupportMask

    init(
      _ codec: Codec, _ format: ValueFormat, length: Int, density: Double,
      _ random: inout SeededGenerator
    ) {
      let vector = random.sparseVector(length: length, density: density)
      self.length = length
      tensorEnds = [length / 3, length / 2, length]
      known = codec == .known ? vector.mask : random.mask(length: length, density: density)
      message =
        VectorCodec.encode(
          vector, format: format, codec: codec, known: known, tensorEnds: tensorEnds,
          rounding: &random
        ).bytes
    }
  }

  /// Random messages of each kind; fewer in the sanitizers' build, which is slow.
  #if SANITIZED
    static let trials = 300
  #else
    static let trials = 4_000
  #endif

  /// Every codec with every format.
  static let kinds = Codec.allCases.flatMap { codec in
    ValueFormat.allCases.map { (codec, $0) }
  }

  /// Accepted by neither way of decoding, or by both as the same well-formed vector.
  func checkRefusedOrFormed(_ material: Material) {
    let (length, ends, known) = (material.length, material.tensorEnds, material.known)
    let decoded = try? decode(
      material.message, expectedLength: length, tensorEnds: ends, known: known)
    let whole = try? decodeWhole(
      material.message, length: length, tensorEnds: ends, known: known)
    #expect(decoded?.mask == whole)
    if let decoded { checkForm(decoded, length: length) }
  }

  /// Whatever is accepted must be a well-formed vector.
  func checkForm(_ vector: SparseVector, length: Int) {
    #expect(vector.length == length)
    #expect(vector.indices.count == vector.values.count)
    #expect(vector.indices.allSatisfy { $0 < length })
    #expect(zip(vector.indices, vector.indices.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test("every truncation is refused", arguments: kinds)
  func truncation(codec: Codec, format: ValueFormat) {
    var random = SeededGenerator(7)
    for (length, density) in [(0, 0.0), (1, 1.0), (65, 0.5), (200, 0.1)] {
      let whole = Material(codec, format, length: length, density: density, &random)
      for count in 0..<whole.message.count {
        let part = Array(whole.message[..<count])
        #expect(throws: VectorCodecError.self) {
          try decode(
            part, expectedLength: length, tensorEnds: whole.tensorEnds, known: whole.known)
        }
      }
    }
  }

  @Test("bytes after the message are refused", arguments: kinds)
  func trailingBytes(codec: Codec, format: ValueFormat) {
    var random = SeededGenerator(8)
    let whole = Material(codec, format, length: 100, density: 0.2, &random)
    for extra: [UInt8] in [[0], [1], [0, 0, 0, 0, 0, 0, 0, 0, 0], [255]] {
      #expect(throws: VectorCodecError.self) {
        try decode(
          whole.message + extra, expectedLength: 100, tensorEnds: whole.tensorEnds,
          known: whole.known)
      }
    }
  }

  @Test("another length than the expected one is refused, with both in the text")
  func otherLength() {
    let message = VectorCodec.encode(SparseVector(length: 9, indices: [1], values: [1])).bytes
    #expect {
      try decode(message, expectedLength: 10)
    } throws: { error in
      "\(error)" == "sparse vector message: length 9 where 10 was expected"
    }
  }

  @Test("a message that announces more than it holds is refused before memory is taken")
  func announcedTooMuch() {
    let length = SupportMask.longestLength
    let known = SupportMask(length: length, indices: [5, 1000])
    // A difference names its known support: the checksum is that of a real message.
    let sound = VectorCodec.encode(
      SparseVector(length: length, indices: [5], values: [1]), codec: .difference, known: known)
    for codec in Codec.allCases {
      for format in ValueFormat.allCases {
        for count: UInt32 in [1, 3, 0x7FFF_FFFF, .max] {
          let announced = (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
          let checksum = codec.needsKnownSupport ? Array(sound.bytes[16..<20]) : []
          for tensors: UInt8 in format.isStochastic ? 0...255 : 0...0 {
            let message: [UInt8] =
              [0x53, 0x50, 0x56, 2, codec.rawValue, formatNumber(format), 0, tensors]
              + [255, 255, 255, 255] + announced + checksum + [0, 0]
            #expect(throws: VectorCodecError.self) {
              try decode(message, expectedLength: length, known: known)
            }
          }
        }
      }
    }
    // The counts within the difference itself.
    for offset in 24..<33 {
      for byte: UInt8 in [3, 31, 32, 127, 128, 255] {
        var message = sound.bytes
        message[offset] = byte
        if let decoded = try? decode(message, expectedLength: length, known: known) {
          checkForm(decoded, length: length)
        }
      }
    }
  }

  /// The number of a format in the header.
  func formatNumber(_ format: ValueFormat) -> UInt8 {
    switch format {
    case .fp32: 1
    case .bf16: 2
    case .fp16: 3
    case .int8: 4
    case .int4: 5
    }
  }

  @Test("mutated messages of every codec and format are refused or well-formed", arguments: kinds)
  func mutations(codec: Codec, format: ValueFormat) {
    var random = SeededGenerator(100 + 10 * Int(codec.rawValue) + Int(formatNumber(format)))
    let lengths = [1, 7, 8, 9, 63, 64, 65, 300]
    for _ in 0..<Self.trials {
      var material = Material(
        codec, format, length: lengths.randomElement(using: &random)!,
        density: densities.randomElement(using: &random)!, &random)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        mutate(&material.message, &random)
      }
      checkRefusedOrFormed(material)
    }
  }

  @Test("every single bit that is flipped gives an error or a well-formed vector", arguments: kinds)
  func bitFlips(codec: Codec, format: ValueFormat) {
    var random = SeededGenerator(9)
    for (length, density) in [(9, 0.5), (70, 0.3), (70, 1)] {
      let material = Material(codec, format, length: length, density: density, &random)
      for bit in 0..<8 * material.message.count {
        var flipped = material
        flipped.message[bit / 8] ^= 1 << UInt8(bit % 8)
        checkRefusedOrFormed(flipped)
      }
    }
  }

  func mutate(_ message: inout [UInt8], _ random: inout SeededGenerator) {
    guard !message.isEmpty else { return }
    let at = Int.random(in: 0..<message.count, using: &random)
    switch Int.random(in: 0..<7, using: &random) {
    case 0, 1: message[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 2: message[at] = UInt8.random(in: 0...255, using: &random)
    // The header decides most, so it is hit more often than its share.
    case 3: message[min(at, 4 + at % 12)] = [0, 1, 3, 31, 32, 255].randomElement(using: &random)!
    case 4: message.removeSubrange(at...)
    case 5: message.append(UInt8.random(in: 0...255, using: &random))
    default: message.remove(at: at)
    }
  }

  @Test("random bytes behind a sound header are refused or well-formed", arguments: kinds)
  func randomBodies(codec: Codec, format: ValueFormat) {
    var random = SeededGenerator(200 + 10 * Int(codec.rawValue) + Int(formatNumber(format)))
    for _ in 0..<Self.trials {
      let length = Int.random(in: 0...80, using: &random)
      let density = Double.random(in: 0...1, using: &random)
      var material = Material(codec, format, length: length, density: density, &random)
      let headerBytes = codec.needsKnownSupport ? 20 : 16
      let valueBytes =
        format.bytes(
          count: codec == .dense ? length : Int(material.message[12]), tensorCount: 3)
      if codec == .rice { material.message[6] = UInt8.random(in: 0...31, using: &random) }
      // Values of stochastic formats are mostly refused for their scales, so they stay as they are.
      let first = headerBytes + (format.isStochastic ? valueBytes : 0)
      let thin = Bool.random(using: &random)
      for i in first..<max(first, material.message.count) {
        let byte = UInt8.random(in: 0...255, using: &random)
        material.message[i] = thin ? byte & UInt8.random(in: 0...255, using: &random) & 0x11 : byte
      }
      if codec == .rice || codec == .difference {
        for _ in 0..<Int.random(in: 0...20, using: &random) {
          material.message.append(UInt8.random(in: 0...255, using: &random))
        }
      }
      checkRefusedOrFormed(material)
    }
  }

  @Test("random bytes alone are refused")
  func noise() {
    var random = SeededGenerator(10)
    for _ in 0..<20_000 {
      let message = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      #expect(throws: VectorCodecError.self) { try decode(message, expectedLength: 10) }
    }
  }

  @Test("a run of zero bits as long as the message is refused for every Rice parameter")
  func endlessUnary() {
    for parameter: UInt8 in 0...31 {
      for filler: UInt8 in [0, 0x80] {
        let header: [UInt8] = [0x53, 0x50, 0x56, 2, 3, 1, parameter, 0, 255, 255, 255, 255]
        let message =
          header + [1, 0, 0, 0] + [0, 0, 0, 0] + [UInt8](repeating: 0, count: 5000) + [filler]
        if let decoded = try? decode(message, expectedLength: SupportMask.longestLength) {
          checkForm(decoded, length: SupportMask.longestLength)
          #expect(filler != 0)
        }
      }
    }
  }
}
