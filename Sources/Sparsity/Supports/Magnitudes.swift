// Magnitudes by bit pattern. The bits of a Float without the sign, read as an integer, order
// magnitudes exactly: zero < subnormals < normals < infinity < NaN. Integer loops over them
// run at vector width, where float reductions may not be re-associated.

/// All bits of a Float but the sign.
let magnitudeBits: UInt32 = 0x7FFF_FFFF

/// The exponent bits of a Float; a magnitude of at least this is infinite or NaN.
let infinityBits: UInt32 = 0x7F80_0000

/// The largest |x| in `vector`; 0 for an empty one, NaN if there is a NaN in it.
public func largestMagnitude(of vector: UnsafeBufferPointer<Float>) -> Float {
  guard let values = vector.baseAddress else { return 0 }
  return Float(bitPattern: UInt32(bitPattern: largestBits(values, 0..<vector.count)))
}

/// The position of the first infinite or NaN value in `vector`, if there is one.
public func firstNonFinite(in vector: UnsafeBufferPointer<Float>) -> Int? {
  guard let values = vector.baseAddress else { return nil }
  let block = 4096
  var start = 0
  while start < vector.count {
    let range = start..<min(start + block, vector.count)
    if largestBits(values, range) >= Int32(infinityBits) {
      return range.first { !values[$0].isFinite }
    }
    start = range.upperBound
  }
  return nil
}

/// The largest magnitude bits in a range; signed, because SSE2 compares only signed integers.
private func largestBits(_ values: UnsafePointer<Float>, _ range: Range<Int>) -> Int32 {
  var largest: Int32 = 0
  for i in range {
    largest = max(largest, Int32(truncatingIfNeeded: values[i].bitPattern & magnitudeBits))
  }
  return largest
}
