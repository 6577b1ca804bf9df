// Seeded random material of the tests: the same vectors in every run.
import Sparsity

/// SplitMix64 (Steele, Lea and Flood 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: Int) { state = UInt64(seed) }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A roughly normal value.
  mutating func value() -> Float {
    (0..<4).reduce(0) { sum, _ in sum + Float.random(in: -1...1, using: &self) }
  }

  /// Any finite value: the exponent is uniform too.
  mutating func anyFinite() -> Float {
    while true {
      let x = Float(bitPattern: UInt32.random(in: 0 ... .max, using: &self))
      if x.isFinite { return x }
    }
  }

  /// A mask that keeps each coordinate with the given probability.
  mutating func mask(length: Int, density: Double) -> SupportMask {
    let kept = (0..<length).filter { _ in Double.random(in: 0..<1, using: &self) < density }
    return SupportMask(length: length, indices: kept.map { UInt32($0) })
  }

  /// A vector whose values are any bit patterns but that of a missing value.
  mutating func sparseVector(length: Int, density: Double) -> SparseVector {
    let mask = mask(length: length, density: density)
    let values = mask.indices.map { _ in
      Float(bitPattern: UInt32.random(in: 0 ..< .max, using: &self))
    }
    return SparseVector(mask: mask, values: values)
  }
}

/// The codecs that need no known support.
let standaloneCodecs = Codec.allCases.filter { !$0.needsKnownSupport }

/// Lengths around bytes, words and nothing.
let lengths = [0, 1, 7, 8, 9, 63, 64, 65, 1000, 100_003]

/// Densities from nothing to everything.
let densities = [0, 1.0 / 256, 1.0 / 64, 0.1, 0.25, 0.5, 0.9, 0.99, 1]
