// Values to codes and back, in loops without branches and without fused multiply-add: the same
// codes on every machine.

extension ValueFormat {
  /// Writes the codes of `count` values.
  ///
  /// - Precondition: the format is not stochastic.
  func writeCodes(
    _ values: UnsafePointer<Float>, _ count: Int, to codes: UnsafeMutableRawPointer
  ) {
    switch self {
    case .fp32: write(count, to: codes) { values[$0].bitPattern.littleEndian }
    case .bf16: write(count, to: codes) { brainFloatBits(values[$0]).littleEndian }
    case .fp16: write(count, to: codes) { halfBits(values[$0]).littleEndian }
    case .int8, .int4: preconditionFailure("\(rawValue) takes random bits")
    }
  }

  /// Reads `count` values of a format that is not stochastic.
  func readCodes(
    _ codes: UnsafeRawPointer, _ count: Int, into values: UnsafeMutablePointer<Float>
  ) {
    switch self {
    case .fp32: read(codes, count, into: values) { Float(bitPattern: UInt32(littleEndian: $0)) }
    case .bf16:
      read(codes, count, into: values) {
        Float(bitPattern: UInt32(UInt16(littleEndian: $0)) &<< 16)
      }
    case .fp16: read(codes, count, into: values) { halfValue(UInt16(littleEndian: $0)) }
    case .int8, .int4: preconditionFailure("\(rawValue) has scales")
    }
  }

  /// Rounds `count` values of one tensor to levels; a code, one in a byte, is the level plus L.
  ///
  /// 16 random bits decide, as the middle of one of 2^16 equal parts of 0...1: a level's expectation
  /// is off by at most 2^-17, and by the rounding of t, at most 2^-23 of it. In int8 this is 2^-24
  /// of the scale, what the values of an fp32 message of that size are off by.
  func round(
    _ values: UnsafePointer<Float>, _ count: Int, scale: Float,
    random: UnsafePointer<UInt16>, to codes: UnsafeMutablePointer<UInt8>
  ) {
    let largest = Float(largestLevel)
    guard scale > 0 else {
      // Only zeros, or a NaN for all.
      codes.update(repeating: UInt8(largestLevel), count: count)
      return
    }
    // Adding it rounds a Float below 2^22 to a whole number, which then stands in the lowest bits.
    let whole: Float = 0x1p23
    for i in 0..<count {
      let value = values[i]
      let t = value.magnitude / scale * largest
      let nearest = (t + whole) - whole
      let floor = nearest > t ? nearest - 1 : nearest
      let draw = (Float(Int32(UInt16(littleEndian: random[i]))) + 0.5) * 0x1p-16
      let level = draw < t - floor ? floor + 1 : floor
      let code = value < 0 ? largest - level : largest + level
      codes[i] = UInt8(truncatingIfNeeded: (code + whole).bitPattern)
    }
  }

  /// The values of `count` codes, one in a byte, of one tensor.
  func scale(
    _ codes: UnsafePointer<UInt8>, _ count: Int, by scale: Float,
    into values: UnsafeMutablePointer<Float>
  ) {
    let largest = Int32(largestLevel)
    let divisor = Float(largest)
    for i in 0..<count {
      values[i] = Float(Int32(codes[i]) &- largest) / divisor * scale
    }
  }
}

@inline(__always)
private func write<Code>(
  _ count: Int, to codes: UnsafeMutableRawPointer, _ code: (Int) -> Code
) {
  for i in 0..<count {
    codes.storeBytes(of: code(i), toByteOffset: MemoryLayout<Code>.size &* i, as: Code.self)
  }
}

@inline(__always)
private func read<Code: BitwiseCopyable>(
  _ codes: UnsafeRawPointer, _ count: Int, into values: UnsafeMutablePointer<Float>,
  _ value: (Code) -> Float
) {
  for i in 0..<count {
    values[i] = value(
      codes.loadUnaligned(fromByteOffset: MemoryLayout<Code>.size &* i, as: Code.self))
  }
}

/// The bits of infinity, as the vector unit of baseline x86-64 compares them.
private let signedInfinityBits = Int32(truncatingIfNeeded: infinityBits)

/// The bf16 nearest to a value.
@inline(__always)
private func brainFloatBits(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let magnitude = Int32(truncatingIfNeeded: bits & magnitudeBits)
  let odd = (magnitude &>> 16) & 1
  let nearest = min((magnitude &+ 0x7FFF &+ odd) &>> 16, 0x7F7F)
  let special: Int32 = magnitude > signedInfinityBits ? 0x7FC0 : 0x7F80
  let rounded = magnitude >= signedInfinityBits ? special : nearest
  return UInt16(truncatingIfNeeded: (bits &>> 16) & 0x8000 | UInt32(truncatingIfNeeded: rounded))
}

/// The fp16 nearest to a value.
@inline(__always)
private func halfBits(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let magnitude = Int32(truncatingIfNeeded: bits & magnitudeBits)
  let odd = (magnitude &>> 13) & 1
  let normal = min((magnitude &- 0x3800_0000 &+ 0xFFF &+ odd) &>> 13, 0x7BFF)
  // Half has the unit of fp16's subnormals in its last place: the sum rounds to it.
  let sum = Float(bitPattern: bits & magnitudeBits) + 0.5
  let subnormal = Int32(truncatingIfNeeded: sum.bitPattern) &- 0x3F00_0000
  let nearest = magnitude < 0x3880_0000 ? subnormal : normal
  let special: Int32 = magnitude > signedInfinityBits ? 0x7E00 : 0x7C00
  let rounded = magnitude >= signedInfinityBits ? special : nearest
  return UInt16(truncatingIfNeeded: (bits &>> 16) & 0x8000 | UInt32(truncatingIfNeeded: rounded))
}

/// The value of an fp16, exactly.
@inline(__always)
private func halfValue(_ half: UInt16) -> Float {
  let bits = UInt32(half)
  let magnitude = (bits & 0x7FFF) &<< 13
  let exponent = Int32(truncatingIfNeeded: magnitude & 0x0F80_0000)
  let normal = magnitude &+ 0x3800_0000
  let special = magnitude &+ 0x7000_0000
  let subnormal =
    (Float(bitPattern: magnitude &+ 0x3880_0000) - Float(bitPattern: 0x3880_0000)).bitPattern
  let finite = exponent == 0 ? subnormal : normal
  let result = exponent == 0x0F80_0000 ? special : finite
  return Float(bitPattern: result | (bits & 0x8000) &<< 16)
}
