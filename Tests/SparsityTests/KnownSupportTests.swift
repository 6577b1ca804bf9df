import Sparsity
import Testing

@Suite("Messages to a reader who knows a support")
struct KnownSupportTests {
  /// Ones at the coordinates of a mask.
  func ones(_ mask: SupportMask) -> SparseVector {
    SparseVector(mask: mask, values: [Float](repeating: 1, count: mask.count))
  }

  /// A mask that differs from another one in about that part of its coordinates.
  func changed(
    _ mask: SupportMask, by part: Double, _ random: inout SeededGenerator
  ) -> SupportMask {
    let density = mask.density
    let kept = Set(mask.indices)
    let indices = (0..<UInt32(mask.length)).filter { index in
      let change = Double.random(in: 0..<1, using: &random) < part
      if !change { return kept.contains(index) }
      return Double.random(in: 0..<1, using: &random) < density
    }
    return SupportMask(length: mask.length, indices: indices)
  }

  @Test("the known support itself takes no byte of indices", arguments: lengths)
  func same(length: Int) throws {
    var random = SeededGenerator(21)
    for density in densities {
      let mask = random.mask(length: length, density: density)
      let vector = ones(mask)
      for format in ValueFormat.allCases {
        let message = VectorCodec.encode(vector, format: format, known: mask, rounding: &random)
        let forced = VectorCodec.encode(
          vector, format: format, codec: .known, known: mask, rounding: &random)
        #expect(forced.size.indices == 0)
        #expect(message.size.total <= forced.size.total)
        #expect(message.size.indices == 0 || message.size.total < forced.size.total)
        #expect(
          try VectorCodec.decode(message.bytes, expectedLength: length, known: mask) == vector)
      }
    }
  }

  @Test("a changed support is the smallest of all codecs and comes back", arguments: lengths)
  func difference(length: Int) throws {
    var random = SeededGenerator(22)
    for density in densities {
      let known = random.mask(length: length, density: density)
      for part in [0.001, 0.05, 0.3, 0.9, 1] {
        let vector = ones(changed(known, by: part, &random))
        let smallest = VectorCodec.encode(vector, known: known)
        var codecs = standaloneCodecs + [.difference]
        if vector.mask == known { codecs.append(.known) }
        let sizes = codecs.map { VectorCodec.size(of: vector, codec: $0, known: known).total }
        #expect(smallest.size.total == sizes.min())
        #expect(smallest.size == VectorCodec.size(of: vector, known: known))
        for message in [smallest, VectorCodec.encode(vector, codec: .difference, known: known)] {
          #expect(message.bytes.count == message.size.total)
          let decoded = try VectorCodec.decode(
            message.bytes, expectedLength: length, known: known)
          #expect(decoded == vector)
        }
      }
    }
  }

  @Test("extreme pairs of supports come back")
  func extremes() throws {
    let n = 77
    let none = SupportMask(length: n, indices: [])
    let first = SupportMask(length: n, indices: [0])
    let last = SupportMask(length: n, indices: [UInt32(n - 1)])
    let most = SupportMask(length: n, indices: (1..<UInt32(n)).map { $0 })
    let all = SupportMask.all(length: n)
    for known in [none, first, last, most, all] {
      for mask in [none, first, last, most, all] {
        let message = VectorCodec.encode(ones(mask), codec: .difference, known: known).bytes
        #expect(try VectorCodec.decode(message, expectedLength: n, known: known).mask == mask)
      }
    }
    let longest = SupportMask.longestLength
    let known = SupportMask(length: longest, indices: [3, .max - 2])
    for indices: [UInt32] in [[3, .max - 1], [.max - 2], [0, 1, 2, 3, .max - 1]] {
      let vector = ones(SupportMask(length: longest, indices: indices))
      let message = VectorCodec.encode(vector, codec: .difference, known: known).bytes
      #expect(try VectorCodec.decode(message, expectedLength: longest, known: known) == vector)
    }
  }

  @Test("few changes cost what the two choices' entropies cost, within three percent")
  func economy() {
    var random = SeededGenerator(23)
    let known = random.mask(length: 1_000_000, density: 0.25)
    for part in [0.01, 0.1] {
      let mask = changed(known, by: part, &random)
      let size = VectorCodec.size(of: ones(mask), known: known)
      let kept = Set(known.indices).intersection(mask.indices).count
      let bound =
        VectorCodec.entropyBoundOfIndices(length: known.count, count: kept)
        + VectorCodec.entropyBoundOfIndices(
          length: known.length - known.count, count: mask.count - kept)
      #expect(Double(size.indices) <= bound * 1.03 + 9)
      #expect(size.indices < VectorCodec.size(of: ones(mask)).indices)
    }
    // A sparse part of the known support: the ones that stay are listed.
    let part = SupportMask(
      length: known.length,
      indices: known.indices.filter { _ in Int.random(in: 0..<16, using: &random) == 0 })
    let size = VectorCodec.size(of: ones(part), known: known)
    let bound = VectorCodec.entropyBoundOfIndices(length: known.count, count: part.count)
    #expect(Double(size.indices) <= bound * 1.03 + 9)
  }

  @Test("a message says which support it needs: none or another one is refused")
  func wrongSupport() {
    var random = SeededGenerator(24)
    let known = random.mask(length: 500, density: 0.3)
    let near = SupportMask(length: 500, indices: Array(known.indices.dropLast()))
    let vector = ones(changed(known, by: 0.1, &random))
    let messages = [
      VectorCodec.encode(ones(known), codec: .known, known: known).bytes,
      VectorCodec.encode(vector, codec: .difference, known: known).bytes,
    ]
    let others = [
      nil, near, vector.mask, .all(length: 500), SupportMask(length: 500, indices: []),
      SupportMask(length: 501, indices: known.indices),
    ]
    for message in messages {
      for other in others {
        #expect(throws: VectorCodecError.self) {
          try VectorCodec.decode(message, expectedLength: 500, known: other)
        }
      }
    }
    // Which needs none is read with any.
    let plain = VectorCodec.encode(vector).bytes
    #expect((try? VectorCodec.decode(plain, expectedLength: 500, known: near)) == vector)
  }

  @Test("a difference has the documented bytes")
  func documentedBytes() {
    let known = SupportMask(length: 12, indices: [1, 3, 4, 10])
    // 3 goes (position 1 of the known list); 5 and 11 come (0 2 5 6 7 8 9 11: positions 2 and 7).
    let vector = SparseVector(length: 12, indices: [1, 4, 5, 10, 11], values: [1, 2, 3, 4, 5])
    let message = VectorCodec.encode(vector, codec: .difference, known: known).bytes
    #expect(Array(message[..<6]) == [0x53, 0x50, 0x56, 2, 5, 1])
    #expect(Array(message[40..<49]) == [1, 0, 0, 0, 1, 0, 0, 0, 0])
    #expect(message[49] == 0b10)
    // Gaps 2 and 4 with b = 1, in the order of the bits: "01 0" and "001 0".
    #expect(message[6] == 1)
    #expect(Array(message[50...]) == [0b010_0010])
  }
}
