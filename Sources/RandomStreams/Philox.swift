// Philox4x32-10: a keyed bijection of 128-bit counters that looks random. Salmon, Moraes, Dror,
// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3; the constants and the
// known answers that the tests check are those of the authors' Random123 library.

/// The counter-based generator: four 32-bit words from a 128-bit counter and a 64-bit key.
public enum Philox {
  /// Ten rounds of Philox4x32; words are in Random123's order, the least significant first.
  public static func block(
    counter: SIMD4<UInt32>, key: SIMD2<UInt32>
  ) -> SIMD4<UInt32> {
    var words = counter
    var key = key
    for round in 0..<10 {
      if round > 0 { key &+= SIMD2(0x9E37_79B9, 0xBB67_AE85) }
      let first = UInt64(words[0]) &* 0xD251_1F53
      let second = UInt64(words[2]) &* 0xCD9E_8D57
      words = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ words[1] ^ key[0],
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ words[3] ^ key[1],
        UInt32(truncatingIfNeeded: first))
    }
    return words
  }
}
