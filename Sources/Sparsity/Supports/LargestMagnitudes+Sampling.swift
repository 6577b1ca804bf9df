// Top-k of a long vector without counting all of its magnitudes. The k-th largest magnitude of n is
// in a band between two ranks of a sample of s: k s / n -+ 4 sqrt(s p (1 - p)), p = k / n, but for one
// vector of 16000 (a normal law has 6e-5 beyond four standard deviations). One pass counts what is
// above the band and collects the magnitudes in it, a few percent, which are ranked exactly; then the
// smallest chosen magnitude is known, and a second pass collects the coordinates that reach it.
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
  let margin = 4 * (expected * (1 - density)).squareRoot() + 4
  let (upperRank, lowerRank) = (Int(expected - margin), Int(expected + margin) + 1)
  guard lowerRank <= samples else { return nil }

  let sample = UnsafeMutablePointer<UInt32>.allocate(capacity: 2 * samples)
  defer { sample.deallocate() }
  draw(values, length, into: sample)
  (sample + samples).update(from: sample, count: samples)
  let floor = largest(lowerRank, of: sample, count: samples).bits
  let ceiling =
    upperRank < 1
    ? infinityBits : largest(upperRank, of: sample + samples, count: samples).bits
  guard floor < ceiling else { return nil }

  // Twice as many as the sample makes likely.
  let likely = 4 * margin / Double(samples) * Double(length)
  let capacity = Int(likely) + bandBlock
  let band = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
  defer { band.deallocate() }
  guard
    let (above, inBand) = splitByBand(values, length, floor, ceiling, into: band, capacity),
    above < count, above + inBand >= count
  else { return nil }
  let smallest = largest(count - above, of: band, count: inBand)

  let candidates = count + smallest.available - smallest.equals
  // One slot more: the collecting loops store before they know whether the slot is kept.
  return [UInt32](unsafeUninitializedCapacity: candidates + 1) { buffer, kept in
    let chosen = buffer.baseAddress!
    let collected =
      density < 1 / 24.0
      ? collectFew(values, length, from: smallest.bits, into: chosen)
      : collect(values, 0..<length, from: smallest.bits, 0, into: chosen)
    assert(collected == candidates)
    kept = candidates == count ? count : narrow(chosen, candidates, values, smallest)
    assert(kept == count)
  }
}

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

/// Coordinates between two looks at the room that is left.
private let bandBlock = 4096

private typealias Lanes = SIMD4<Int32>

/// Four magnitudes' bits.
@inline(__always)
private func magnitudes(_ values: UnsafePointer<Float>, _ i: Int) -> Lanes {
  let bits = UnsafeRawPointer(values).loadUnaligned(fromByteOffset: 4 &* i, as: Lanes.self)
  return bits & Lanes(repeating: Int32(truncatingIfNeeded: magnitudeBits))
}

/// All bits set in each lane where a is greater than b.
@inline(__always)
private func isGreater(_ a: Lanes, _ b: Lanes) -> Lanes {
  unsafeBitCast(a .> b, to: Lanes.self)
}

/// Whether any bit is set.
@inline(__always)
private func isAny(_ lanes: Lanes) -> Bool {
  let halves = unsafeBitCast(lanes, to: SIMD2<UInt64>.self)
  return halves[0] | halves[1] != 0
}

/// Counts the magnitudes from `ceiling` up, and collects those from `floor` up below it, while there
/// is room for a block more; nil when there is not.
private func splitByBand(
  _ values: UnsafePointer<Float>, _ length: Int, _ floor: UInt32, _ ceiling: UInt32,
  into band: UnsafeMutablePointer<UInt32>, _ capacity: Int
) -> (above: Int, inBand: Int)? {
  let belowFloor = Lanes(repeating: Int32(truncatingIfNeeded: floor) &- 1)
  let belowCeiling = Lanes(repeating: Int32(truncatingIfNeeded: ceiling) &- 1)
  let width = ceiling - floor
  var (above, next) = (0, 0)
  func collectBand(_ range: Range<Int>) {
    var i = range.lowerBound
    while i < range.upperBound {
      let magnitude = values[i].bitPattern & magnitudeBits
      band[next] = magnitude
      next &+= magnitude &- floor < width ? 1 : 0
      i &+= 1
    }
  }
  var start = 0
  while start < length {
    let end = min(start + bandBlock, length)
    guard next + bandBlock <= capacity else { return nil }
    var counts = Lanes.zero
    var i = start
    while i &+ 16 <= end {
      var found = Lanes.zero
      for lane in 0..<4 {
        let bits = magnitudes(values, i &+ 4 &* lane)
        let isAbove = isGreater(bits, belowCeiling)
        counts &-= isAbove
        found |= isGreater(bits, belowFloor) & ~isAbove
      }
      if isAny(found) { collectBand(i..<(i &+ 16)) }
      i &+= 16
    }
    collectBand(i..<end)
    while i < end {
      above &+= values[i].bitPattern & magnitudeBits >= ceiling ? 1 : 0
      i &+= 1
    }
    above &+= Int(counts.wrappedSum())
    start = end
  }
  return (above, next)
}

/// As ``collect(_:_:from:_:into:)`` over all, for few: looks at 16 coordinates at a time and passes by
/// if none is large.
private func collectFew(
  _ values: UnsafePointer<Float>, _ length: Int, from floor: UInt32,
  into chosen: UnsafeMutablePointer<UInt32>
) -> Int {
  let below = Lanes(repeating: Int32(truncatingIfNeeded: floor) &- 1)
  var next = 0
  var i = 0
  while i &+ 16 <= length {
    var found = Lanes.zero
    for lane in 0..<4 { found |= isGreater(magnitudes(values, i &+ 4 &* lane), below) }
    if isAny(found) { next = collect(values, i..<(i &+ 16), from: floor, next, into: chosen) }
    i &+= 16
  }
  return collect(values, i..<length, from: floor, next, into: chosen)
}
