import Digests
import Testing

@Suite struct XXHash64Tests {
  /// The buffer of xxHash's own check (cli/xsum_sanity_check.c).
  private let buffer: [UInt8] = {
    var word: UInt64 = 2_654_435_761
    return (0..<222).map { _ in
      defer { word = word &* 11_400_714_785_074_694_797 }
      return UInt8(word >> 56)
    }
  }()

  private func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    var hash = XXHash64(seed: seed)
    hash.update(bytes)
    return hash.value
  }

  @Test("the published vectors of xxHash come out, with and without a seed")
  func vectors() {
    let expected: [(length: Int, plain: UInt64, seeded: UInt64)] = [
      (0, 0xEF46_DB37_51D8_E999, 0xAC75_FDA2_929B_17EF),
      (1, 0xE934_A84A_DB05_2768, 0x5014_6076_43A9_B4C3),
      (14, 0x8282_DCC4_994E_35C8, 0xC3BD_6BF6_3DEB_6DF0),
      (222, 0xB641_AE8C_B691_C174, 0x20CB_8AB7_AE10_C14A),
    ]
    for vector in expected {
      #expect(hash(Array(buffer.prefix(vector.length))) == vector.plain)
      #expect(hash(Array(buffer.prefix(vector.length)), seed: 2_654_435_761) == vector.seeded)
    }
    #expect(hash(Array(buffer.prefix(4))) == 0x9136_A0DC_A574_57EE)
    #expect(hash(Array("a".utf8)) == 0xD24E_C4F1_A98C_6E5B)
    #expect(hash(Array("abc".utf8)) == 0x44BC_2CF5_AD77_0999)
  }

  @Test("the pieces in which bytes arrive do not matter")
  func pieces() {
    for size in [1, 3, 31, 32, 33, 100, 221] {
      var hash = XXHash64()
      for start in stride(from: 0, to: buffer.count, by: size) {
        hash.update(Array(buffer[start..<min(start + size, buffer.count)]))
      }
      #expect(hash.value == 0xB641_AE8C_B691_C174, "pieces of \(size)")
    }
  }

  @Test("a digest always has 16 hex digits")
  func digits() {
    #expect(XXHash64().hexDigits == "ef46db3751d8e999")
    for seed in 0..<200 {
      #expect(XXHash64(seed: UInt64(seed)).hexDigits.count == 16)
    }
  }
}
