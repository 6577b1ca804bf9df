// Supports as bytes: what goes in comes out, in few bytes, and wrong bytes are refused.

import Sparsity
import Testing

@Suite struct EncodedSupportTests {
  @Test("a support comes back from its bytes", arguments: lengths)
  func roundTrip(length: Int) throws {
    var random = SeededGenerator(length + 1)
    for density in densities {
      let mask = random.mask(length: length, density: density)
      let encoded = EncodedSupport(mask)
      #expect(try encoded.support(length: length) == mask)
      #expect(try EncodedSupport(bytes: encoded.bytes).support(length: length) == mask)
      #expect(encoded == EncodedSupport(SupportMask(length: length, indices: mask.indices)))
      // Never longer than a bitmap with its count.
      #expect(encoded.bytes.count <= 5 + (length + 7) / 8)
    }
    #expect(EncodedSupport(.all(length: length)).bytes.count == 5)
  }

  @Test("a quarter of the coordinates takes a tenth of the bytes of 32-bit indices")
  func size() {
    var random = SeededGenerator(3)
    let mask = random.mask(length: 100_003, density: 0.25)
    let bytes = EncodedSupport(mask).bytes.count
    #expect(bytes * 9 < 4 * mask.count)
    let expected = EncodedSupport.expectedBytes(length: 100_003, count: mask.count)
    #expect(Double(bytes) >= Double(expected) && Double(bytes) < 1.05 * Double(expected))
  }

  @Test("bytes that are no support of the length are refused")
  func hostile() {
    let bytes = EncodedSupport(SupportMask(length: 100, indices: [3, 17, 99])).bytes
    #expect(throws: VectorCodecError.self) { try EncodedSupport(bytes: []).support(length: 100) }
    for length in [0, 2, 99] {
      #expect(throws: VectorCodecError.self) {
        try EncodedSupport(bytes: bytes).support(length: length)
      }
    }
    for count in bytes.indices {
      #expect(throws: VectorCodecError.self) {
        try EncodedSupport(bytes: Array(bytes[..<count])).support(length: 100)
      }
    }
    var wrong = bytes
    wrong[4] = 32
    #expect(throws: VectorCodecError.self) { try EncodedSupport(bytes: wrong).support(length: 100) }
    #expect(throws: VectorCodecError.self) {
      try EncodedSupport(bytes: bytes + [0]).support(length: 100)
    }
  }
}
