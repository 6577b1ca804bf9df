import Sparsity
import Testing

@Suite("Hostile messages")
struct HostileMessagesTests {
  /// Decodes from a buffer of exactly the message's size, so that memory checkers see over-reads.
  func decode(_ message: [UInt8], expectedLength: Int) throws -> SparseVector {
    let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
    defer { exact.deallocate() }
    exact.copyBytes(from: message)
    return try VectorCodec.decode(UnsafeRawBufferPointer(exact), expectedLength: expectedLength)
  }

  /// Whatever is accepted must be a well-formed vector.
  func checkForm(_ vector: SparseVector, length: Int) {
    #expect(vector.length == length)
    #expect(vector.indices.count == vector.values.count)
    #expect(vector.indices.allSatisfy { $0 < length })
    #expect(zip(vector.indices, vector.indices.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test("every truncation is refused", arguments: Codec.allCases)
  func truncation(codec: Codec) {
    var random = SeededGenerator(7)
    for (length, density) in [(0, 0.0), (1, 1.0), (65, 0.5), (200, 0.1)] {
      let vector = random.sparseVector(length: length, density: density)
      let message = VectorCodec.encode(vector, codec: codec).bytes
      for count in 0..<message.count {
        #expect(throws: VectorCodecError.self) {
          try decode(Array(message[..<count]), expectedLength: length)
        }
      }
    }
  }

  @Test("bytes after the message are refused", arguments: Codec.allCases)
  func trailingBytes(codec: Codec) {
    var random = SeededGenerator(8)
    let vector = random.sparseVector(length: 100, density: 0.2)
    let message = VectorCodec.encode(vector, codec: codec).bytes
    for extra: [UInt8] in [[0], [1], [0, 0, 0, 0, 0, 0, 0, 0, 0], [255]] {
      #expect(throws: VectorCodecError.self) {
        try decode(message + extra, expectedLength: 100)
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
    for codec in Codec.allCases {
      for count: UInt32 in [1, 0x7FFF_FFFF, .max] {
        var message: [UInt8] = [0x53, 0x50, 0x56, 1, codec.rawValue, 1, 0, 0, 255, 255, 255, 255]
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
          message.append(UInt8(truncatingIfNeeded: count >> shift))
        }
        message += [0, 0]
        #expect(throws: VectorCodecError.self) {
          try decode(message, expectedLength: SupportMask.longestLength)
        }
      }
    }
  }

  @Test("mutated messages of every codec are refused or well-formed", arguments: Codec.allCases)
  func mutations(codec: Codec) {
    var random = SeededGenerator(100 + Int(codec.rawValue))
    let lengths = [1, 7, 8, 9, 63, 64, 65, 300]
    for _ in 0..<15_000 {
      let length = lengths.randomElement(using: &random)!
      let density = densities.randomElement(using: &random)!
      let vector = random.sparseVector(length: length, density: density)
      var message = VectorCodec.encode(vector, codec: codec).bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        mutate(&message, &random)
      }
      if let decoded = try? decode(message, expectedLength: length) {
        checkForm(decoded, length: length)
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

  @Test("random bytes behind a sound header are refused or well-formed", arguments: Codec.allCases)
  func randomBodies(codec: Codec) {
    var random = SeededGenerator(200 + Int(codec.rawValue))
    for _ in 0..<10_000 {
      let length = Int.random(in: 0...80, using: &random)
      let count = Int.random(in: 0...length, using: &random)
      let parameter = codec == .rice ? UInt8.random(in: 0...31, using: &random) : 0
      let values = codec == .dense ? length : count
      let sectionBytes =
        switch codec {
        case .dense: 0
        case .indices: 4 * count
        case .bitmap: (length + 7) / 8
        case .rice: Int.random(in: 0...40, using: &random)
        }
      var message: [UInt8] = [0x53, 0x50, 0x56, 1, codec.rawValue, 1, parameter, 0]
      message += [UInt8(length), 0, 0, 0, UInt8(count), 0, 0, 0]
      let sparseBytes = Bool.random(using: &random)
      for _ in 0..<(4 * values + sectionBytes) {
        let byte = UInt8.random(in: 0...255, using: &random)
        message.append(sparseBytes ? byte & UInt8.random(in: 0...255, using: &random) & 0x11 : byte)
      }
      if let decoded = try? decode(message, expectedLength: length) {
        checkForm(decoded, length: length)
        #expect(decoded.count == count)
      }
    }
  }

  @Test("a run of zero bits as long as the message is refused for every Rice parameter")
  func endlessUnary() {
    for parameter: UInt8 in 0...31 {
      for filler: UInt8 in [0, 0x80] {
        let header: [UInt8] = [0x53, 0x50, 0x56, 1, 3, 1, parameter, 0, 255, 255, 255, 255]
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
