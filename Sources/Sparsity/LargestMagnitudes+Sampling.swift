// Top-k of a long vector in one pass over it. The k-th largest magnitude of a sample of s lies among
// the sample's ranks k s / n +- 6 sqrt(s p (1 - p)), p = k / n, but for chances that do not matter
// (a normal law has 2e-9 beyond six standard deviations). One pass collects all coordinates from the
// lower end of that band up; those within the band, a few percent, are ranked exactly.
//
// The guess is verified: where the k-th largest is not in the band, or too much is, as with many
// equal magnitudes, nil is returned and the general way taken. The mask never depends on the sample.

/// Sampled coordinates.
private let samples = 1 << 15

/// The chosen coordinates as ``largestMagnitudes(of:count:)`` has them, or nil if the guess fails.
///
/// - Precondition: 0 < `count` < `length`.
func largestBySampling(
  _ values: UnsafePointer<Float>, _ length: Int, _ count: Int
) -> [UInt32]? {
  guard length >= 8 * samples else { return nil }
  let density = Double(count) / Double(length)
  let expected = density * Double(samples)
  let margin = 6 * (expected * (1 - density)).squareRoot() + 8
  let (upperRank, lowerRank) = (Int(expected - margin), Int(expected + margin) + 1)
  guard lowerRank <= samples else { return nil }

  let sample = UnsafeMutablePointer<UInt32>.allocate(capacity: 2 * samples)
  defer { sample.deallocate() }
  draw(values, length, into: sample)
  (sample + samples).update(from: sample, count: samples)
  let floor = largest(lowerRank, of: sample, count: samples).bits
  let ceiling =
    upperRank < 1 ? UInt32.max : largest(upperRank, of: sample + samples, count: samples).bits
  // As many as the sample makes likely once more; at most all.
  let likely = (expected + 2 * margin) / Double(samples) * Double(length)
  let capacity = min(length, Int(likely)) + collectBlock

  var isRight = false
  let chosen = [UInt32](unsafeUninitializedCapacity: capacity) { buffer, kept in
    let chosen = buffer.baseAddress!
    guard
      let candidates = collectBounded(
        values, length, from: floor, capacity: capacity, sparse: expected * 24 < Double(samples),
        into: chosen),
      candidates >= count,
      dropSmallest(candidates - count, of: chosen, candidates, values, below: ceiling)
    else { return }
    isRight = true
    kept = count
  }
  return isRight ? chosen : nil
}

/// Coordinates between two looks at the room that is left.
private let collectBlock = 4096

/// Writes magnitudes from all parts of the vector, one from each of ``samples`` parts, at a place
/// in it that changes, so that no period of the vector's matrices is met.
private func draw(
  _ values: UnsafePointer<Float>, _ length: Int, into sample: UnsafeMutablePointer<UInt32>
) {
  let part = length / samples
  for i in 0..<samples {
    let hash = UInt32(truncatingIfNeeded: i) &* 0x9E37_79B9
    let place = Int((UInt64(hash) &* UInt64(part)) &>> 32)
    sample[i] = values[i &* part &+ place].bitPattern & magnitudeBits
  }
}

/// Writes the indices with a magnitude of at least `floor`, ascending, while there is room for a
/// block more; returns how many, or nil.
private func collectBounded(
  _ values: UnsafePointer<Float>, _ length: Int, from floor: UInt32, capacity: Int, sparse: Bool,
  into chosen: UnsafeMutablePointer<UInt32>
) -> Int? {
  var next = 0
  var start = 0
  while start < length {
    let end = min(start + collectBlock, length)
    guard next + collectBlock <= capacity else { return nil }
    next =
      sparse
      ? collectFew(values, start..<end, from: floor, next, into: chosen)
      : collect(values, start..<end, from: floor, next, into: chosen)
    start = end
  }
  return next
}

/// As ``collect``, for few: looks at 16 coordinates at a time and passes by if none is large.
private func collectFew(
  _ values: UnsafePointer<Float>, _ range: Range<Int>, from floor: UInt32, _ next: Int,
  into chosen: UnsafeMutablePointer<UInt32>
) -> Int {
  var next = next
  let bytes = UnsafeRawPointer(values)
  let below = SIMD4(repeating: Int32(truncatingIfNeeded: floor) &- 1)
  let bits = SIMD4(repeating: Int32(truncatingIfNeeded: magnitudeBits))
  @inline(__always) func large(_ i: Int) -> SIMDMask<SIMD4<Int32>> {
    (bytes.loadUnaligned(fromByteOffset: 4 &* i, as: SIMD4<Int32>.self) & bits) .> below
  }
  var i = range.lowerBound
  while i &+ 16 <= range.upperBound {
    let found = large(i) .| large(i &+ 4) .| large(i &+ 8) .| large(i &+ 12)
    let halves = unsafeBitCast(found, to: SIMD2<UInt64>.self)
    if halves[0] | halves[1] != 0 {
      next = collect(values, i..<(i &+ 16), from: floor, next, into: chosen)
    }
    i &+= 16
  }
  return collect(values, i..<range.upperBound, from: floor, next, into: chosen)
}

/// Takes the `surplus` smallest magnitudes out of the ascending candidates, of equal ones the
/// highest indices; false if not all of them are below `ceiling`.
private func dropSmallest(
  _ surplus: Int, of chosen: UnsafeMutablePointer<UInt32>, _ candidates: Int,
  _ values: UnsafePointer<Float>, below ceiling: UInt32
) -> Bool {
  if surplus == 0 { return true }
  func magnitude(_ slot: Int) -> UInt32 {
    values[Int(chosen[slot])].bitPattern & magnitudeBits
  }
  // Slots of the band, and a copy of its magnitudes.
  let band = UnsafeMutablePointer<UInt32>.allocate(capacity: candidates + 1)
  defer { band.deallocate() }
  var inBand = 0
  var slot = 0
  while slot < candidates {
    band[inBand] = UInt32(truncatingIfNeeded: slot)
    inBand &+= magnitude(slot) < ceiling ? 1 : 0
    slot &+= 1
  }
  guard inBand > surplus else { return false }
  let magnitudes = UnsafeMutablePointer<UInt32>.allocate(capacity: inBand)
  defer { magnitudes.deallocate() }
  for i in 0..<inBand { magnitudes[i] = magnitude(Int(band[i])) }
  let (smallest, equals) = largest(inBand - surplus, of: magnitudes, count: inBand)

  var wanted = equals
  var next = 0
  var copied = 0
  for i in 0..<inBand {
    let slot = Int(band[i])
    let magnitude = magnitude(slot)
    if magnitude > smallest { continue }
    if magnitude == smallest && wanted > 0 {
      wanted -= 1
      continue
    }
    // What lies between two dropped slots moves up. (A slot that is read later is not yet moved.)
    (chosen + next).update(from: chosen + copied, count: slot - copied)
    next += slot - copied
    copied = slot + 1
  }
  (chosen + next).update(from: chosen + copied, count: candidates - copied)
  return true
}
