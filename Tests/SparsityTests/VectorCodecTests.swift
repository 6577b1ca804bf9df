import Foundation
import Sparsity
import Testing

@Suite("Messages of sparse vectors")
struct VectorCodecTests {
  @Test("decoding gives back every vector in every codec", arguments: lengths)
  func roundTrip(length: Int) throws {
    var random = SeededGenerator(length + 2)
    for density in densities {
      let vector = random.sparseVector(length: length, density: density)
      var sizes: [Int] = []
      for codec in standaloneCodecs {
        let message = VectorCodec.encode(vector, codec: codec)
        #expect(message.codec == codec)
        #expect(message.size == VectorCodec.size(of: vector, codec: codec))
        #expect(message.size.total == message.bytes.count)
        #expect(message.size.values == 4 * (codec == .dense ? length : vector.count))
        #expect(message.size.header == VectorCodec.headerBytes)
        #expect(try VectorCodec.decode(message.bytes, expectedLength: length) == vector)
        sizes.append(message.bytes.count)
      }
      let smallest = VectorCodec.encode(vector)
      #expect(smallest.bytes.count == sizes.min())
      #expect(smallest.size == VectorCodec.size(of: vector))
      #expect(try VectorCodec.decode(smallest.bytes, expectedLength: length) == vector)
    }
  }

  @Test("decoding works at any address")
  func unaligned() throws {
    var random = SeededGenerator(3)
    let known = random.mask(length: 1000, density: 0.3)
    for codec in Codec.allCases {
      for format in ValueFormat.allCases {
        let mask = codec == .known ? known : random.mask(length: 1000, density: 0.3)
        let vector = SparseVector(mask: mask, values: mask.indices.map { _ in random.value() })
        let message = VectorCodec.encode(
          vector, format: format, codec: codec, known: known, rounding: &random
        ).bytes
        let aligned = try VectorCodec.decode(message, expectedLength: 1000, known: known)
        #expect(aligned.mask == mask)
        for offset in 0..<8 {
          let shifted = [UInt8](repeating: 0xAA, count: offset) + message
          try shifted.withUnsafeBytes { bytes in
            let part = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let decoded = try VectorCodec.decode(part, expectedLength: 1000, known: known)
            #expect(decoded == aligned)
          }
        }
      }
    }
  }

  @Test("a message has the documented bytes")
  func documentedBytes() {
    let vector = SparseVector(length: 20, indices: [2, 3, 17], values: [1, -2, 0.5])
    let values: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F]
    func header(_ codec: UInt8, _ parameter: UInt8) -> [UInt8] {
      [0x53, 0x50, 0x56, 2, codec, 1, parameter, 0, 20, 0, 0, 0, 3, 0, 0, 0]
    }
    let indices: [UInt8] = [2, 0, 0, 0, 3, 0, 0, 0, 17, 0, 0, 0]
    #expect(VectorCodec.encode(vector, codec: .indices).bytes == header(1, 0) + values + indices)
    #expect(
      VectorCodec.encode(vector, codec: .bitmap).bytes
        == header(2, 0) + values + [0b1100, 0, 0b10])
    // Gaps 2, 0, 13 with b = 2. In the order of the bits: "1 01", "1 00" and "0001 10"
    // (the two low bits, lowest first, after the unary part).
    #expect(
      VectorCodec.encode(vector, codec: .rice).bytes
        == header(3, 2) + values + [0b0000_1101, 0b0000_0110])
    let dense = VectorCodec.encode(vector, codec: .dense).bytes
    #expect(Array(dense[..<16]) == header(0, 0))
    #expect(Array(dense[16..<28]) == [UInt8](repeating: 0xFF, count: 8) + values[0..<4])
  }

  @Test("the smallest codec follows the density")
  func smallest() {
    var random = SeededGenerator(4)
    func codec(_ density: Double) -> Codec {
      VectorCodec.encode(random.sparseVector(length: 100_000, density: density)).codec
    }
    #expect(codec(1) == .dense)
    #expect(codec(0.25) == .rice)
    #expect(codec(1.0 / 64) == .rice)
    let nearlyAll = SparseVector(
      length: 1000, indices: (1..<1000).map { UInt32($0) },
      values: [Float](repeating: 1, count: 999))
    #expect(VectorCodec.encode(nearlyAll).codec == .dense)
    let ends = SparseVector(length: 1000, indices: [0, 999], values: [1, 2])
    #expect(VectorCodec.encode(ends).size.indices == 3)
  }

  @Test("explicit zeros and a NaN with all bits set survive a dense message")
  func denseMarker() throws {
    let all = Float(bitPattern: .max)
    let full = SparseVector(length: 2, indices: [0, 1], values: [all, 0])
    #expect(
      try VectorCodec.decode(VectorCodec.encode(full, codec: .dense).bytes, expectedLength: 2)
        == full)
    let partial = SparseVector(length: 3, indices: [0, 1], values: [all, 0])
    #expect(
      try VectorCodec.decode(VectorCodec.encode(partial, codec: .dense).bytes, expectedLength: 3)
        == SparseVector(length: 3, indices: [0, 1], values: [.nan, 0]))
  }

  @Test("the Rice parameter found is the best of all 32, for any kind of gaps")
  func bestParameter() {
    var random = SeededGenerator(6)
    func bytes(_ indices: [UInt32], _ parameter: Int) -> Int {
      var bits = 0
      var next = 0
      for index in indices {
        bits += 1 + parameter + (Int(index) - next) >> parameter
        next = Int(index) + 1
      }
      return (bits + 7) / 8
    }
    for trial in 0..<200 {
      // Clusters, long gaps and even spacing.
      var indices: [UInt32] = []
      var next = 0
      let widest = 1 << Int.random(in: 0...20, using: &random)
      for _ in 0..<Int.random(in: 1...300, using: &random) {
        next +=
          trial % 3 == 0 && Int.random(in: 0..<10, using: &random) > 0
          ? 0 : Int.random(in: 0..<widest, using: &random)
        indices.append(UInt32(next))
        next += 1
      }
      let vector = SparseVector(
        length: next + Int.random(in: 0...9, using: &random), indices: indices,
        values: [Float](repeating: 1, count: indices.count))
      let size = VectorCodec.size(of: vector, codec: .rice)
      #expect(size.indices == (0..<32).map { bytes(indices, $0) }.min())
      let message = VectorCodec.encode(vector, codec: .rice).bytes
      #expect(message.count == size.total)
      #expect((try? VectorCodec.decode(message, expectedLength: vector.length)) == vector)
    }
  }

  @Test("far indices of the longest vector survive")
  func longestVector() throws {
    let length = SupportMask.longestLength
    for indices: [UInt32] in [[.max - 1], [0, .max - 1], [0, 1, 2, 3, 4, 5, 6, 7, .max - 1]] {
      let vector = SparseVector(
        length: length, indices: indices, values: indices.map { Float($0) })
      for codec in [Codec.rice, .indices] {
        let message = VectorCodec.encode(vector, codec: codec)
        #expect(try VectorCodec.decode(message.bytes, expectedLength: length) == vector)
      }
    }
  }

  @Test("payload sizes add part by part")
  func payloadSize() {
    var size = PayloadSize(values: 1, indices: 2, header: 3) + .zero
    size += PayloadSize(values: 10, indices: 20, header: 30)
    #expect(size == PayloadSize(values: 11, indices: 22, header: 33))
    #expect(size.total == 66)
  }
}
