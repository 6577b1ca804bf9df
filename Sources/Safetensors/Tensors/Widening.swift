// F16 and BF16 to Float, exactly. Both loops are branch-free over raw pointers, so that the
// compiler turns them into vector code for any CPU (Swift's own Float16 conversion is a function
// call per element on baseline x86-64).

#if _endian(big)
  #error("safetensors files are little-endian, and so is this code")
#endif

/// A BF16 is the upper half of a Float.
func widenBrainFloat(
  _ source: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>, count: Int
) {
  for index in 0..<count {
    let half = source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)
    out[index] = Float(bitPattern: UInt32(truncatingIfNeeded: half) &<< 16)
  }
}

/// Shifts exponent and fraction into place and multiplies by 2^(127-15), which is exact and rights
/// the exponent's bias also of subnormal numbers; infinities and NaNs get their exponent back.
func widenHalf(
  _ source: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>, count: Int
) {
  for index in 0..<count {
    let half = UInt32(
      truncatingIfNeeded: source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self))
    let magnitude = Float(bitPattern: (half & 0x7FFF) &<< 13) * 0x1p112
    let special: UInt32 = half & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
    out[index] = Float(bitPattern: magnitude.bitPattern | special | (half & 0x8000) &<< 16)
  }
}
