// Exact top-k by magnitude over a whole vector, in linear time: a radix select on the bits of |x|
// (sign cleared), 11 + 10 + 10 bits from the top. Two passes read the whole vector, the first to
// count the leading bits, the second to collect the coordinates that can still be chosen; what
// remains looks only at those. A long vector is first tried with a sample in place of the first
// pass (LargestMagnitudes+Sampling.swift), which gives the same mask or none.

/// The `count` coordinates of largest |x|; among equal magnitudes the lowest indices.
///
/// +0 and -0 are equal. Zeros are chosen when there are fewer nonzeros than `count`, so the mask
/// has exactly `count` coordinates. A NaN would rank above infinity: callers that must not
/// send one check with ``firstNonFinite(in:)`` before.
///
/// - Precondition: `count` is in 0...`vector.count`, and the vector has less than 2^32 floats.
/// - Complexity: O(n) time whatever the values; additional memory of four bytes for each
///   coordinate whose leading 11 magnitude bits reach those of the smallest chosen one.
public func largestMagnitudes(of vector: UnsafeBufferPointer<Float>, count: Int) -> SupportMask {
  let length = vector.count
  precondition(
    (0...length).contains(count), "top-k: count \(count) is outside 0...\(length)")
  precondition(
    length <= SupportMask.longestLength,
    "top-k: length \(length) is above \(SupportMask.longestLength)")
  guard count < length else { return .all(length: length) }
  guard count > 0, let values = vector.baseAddress else {
    return SupportMask(length: length, ascending: [])
  }

  if let sampled = largestBySampling(values, length, count) {
    return SupportMask(length: length, ascending: sampled)
  }
  let leading = leadingBucket(values, length, count)
  // One slot more: the collecting loops store before they know whether the slot is kept.
  let indices = [UInt32](unsafeUninitializedCapacity: leading.reached + 1) { buffer, kept in
    let chosen = buffer.baseAddress!
    let collected = collect(
      values, 0..<length, from: leading.prefix << leadingShift, 0, into: chosen)
    assert(collected == leading.reached)
    kept =
      collected == count
      ? count : narrow(chosen, collected, values, smallestChosen(chosen, values, leading))
    assert(kept == count)
  }
  return SupportMask(length: length, ascending: indices)
}

/// The leading 11 of the 31 magnitude bits: the exponent and three bits of the fraction.
private let leadingShift: UInt32 = 20
private let leadingBuckets = 2048
/// The width of each of the two later digits.
private let digitBits: UInt32 = 10

/// Where a descending count over a histogram passes the wanted number.
private struct Cut {
  /// The bucket in which the smallest chosen magnitude lies.
  var prefix: UInt32
  /// How many are to be taken from that bucket (at least 1).
  var wanted: Int
  /// How many lie in that bucket.
  var inBucket: Int
  /// How many lie in that bucket or above.
  var reached: Int

  init(_ histogram: UnsafeMutablePointer<UInt32>, buckets: Int, wanted count: Int) {
    var bucket = buckets - 1
    var above = 0
    while above + Int(histogram[bucket]) < count {
      above += Int(histogram[bucket])
      bucket -= 1
    }
    prefix = UInt32(bucket)
    wanted = count - above
    inBucket = Int(histogram[bucket])
    reached = above + inBucket
  }
}

/// Finds the bucket of leading bits in which the smallest chosen magnitude lies.
private func leadingBucket(_ values: UnsafePointer<Float>, _ length: Int, _ count: Int) -> Cut {
  let counters = histograms * tableStride(leadingBuckets)
  return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: counters) { counts in
    let histogram = counts.baseAddress!
    tally(length, buckets: leadingBuckets, into: histogram) {
      (values[$0].bitPattern & magnitudeBits) &>> leadingShift
    }
    return Cut(histogram, buckets: leadingBuckets, wanted: count)
  }
}

/// The tables of one histogram: equal neighbours would wait for each other's counter in one.
private let histograms = 4

/// From a table's start to the next one's. With a page between two counters a processor takes a
/// load of one for a load of the other, just stored, so a cache line more.
private func tableStride(_ buckets: Int) -> Int { buckets + 16 }

/// Counts how often each bucket occurs among `count` elements.
///
/// - Precondition: `histogram` has room for ``histograms`` tables; the first is the result.
@inline(__always)
private func tally(
  _ count: Int, buckets: Int, into histogram: UnsafeMutablePointer<UInt32>,
  _ bucket: (Int) -> UInt32
) {
  let stride = tableStride(buckets)
  histogram.initialize(repeating: 0, count: histograms * stride)
  var i = 0
  while i &+ histograms <= count {
    for table in 0..<histograms {
      histogram[table &* stride &+ Int(bucket(i &+ table))] &+= 1
    }
    i &+= histograms
  }
  while i < count {
    histogram[Int(bucket(i))] &+= 1
    i &+= 1
  }
  for table in 1..<histograms {
    for b in 0..<buckets { histogram[b] &+= histogram[table &* stride &+ b] }
  }
}

/// Writes the indices in `range` with a magnitude of at least `floor`, ascending, from slot `next` on;
/// returns the slot after the last.
///
/// Stores always and advances by the comparison: no branch to mispredict at any density.
@inline(__always)
func collect(
  _ values: UnsafePointer<Float>, _ range: Range<Int>, from floor: UInt32, _ next: Int,
  into chosen: UnsafeMutablePointer<UInt32>
) -> Int {
  var next = next
  // As a `while`: the optimizer turns the comparison back into a branch in a loop over a range.
  var i = range.lowerBound
  while i < range.upperBound {
    chosen[next] = UInt32(truncatingIfNeeded: i)
    next &+= values[i].bitPattern & magnitudeBits >= floor ? 1 : 0
    i &+= 1
  }
  return next
}

/// Reduces ascending candidates, all that reach the smallest chosen magnitude among them, to those
/// chosen, in place; returns how many.
func narrow(
  _ chosen: UnsafeMutablePointer<UInt32>, _ candidates: Int, _ values: UnsafePointer<Float>,
  _ smallest: SmallestChosen
) -> Int {
  // Candidates equal to the smallest chosen magnitude are kept until `equals` of them are.
  let bits = smallest.bits
  var wanted = smallest.equals
  var kept = 0
  var i = 0
  while wanted > 0 {
    let index = chosen[i]
    let magnitude = values[Int(index)].bitPattern & magnitudeBits
    chosen[kept] = index
    kept &+= magnitude >= bits ? 1 : 0
    wanted &-= magnitude == bits ? 1 : 0
    i &+= 1
  }
  while i < candidates {
    let index = chosen[i]
    chosen[kept] = index
    kept &+= values[Int(index)].bitPattern & magnitudeBits > bits ? 1 : 0
    i &+= 1
  }
  return kept
}

/// The smallest chosen magnitude among candidates: those in the bucket of `leading` decide.
private func smallestChosen(
  _ candidates: UnsafeMutablePointer<UInt32>, _ values: UnsafePointer<Float>, _ leading: Cut
) -> SmallestChosen {
  let buckets = 1 << Int(digitBits)
  let counters = histograms * tableStride(buckets)
  let scratch = UnsafeMutablePointer<UInt32>.allocate(capacity: counters + leading.inBucket + 1)
  defer { scratch.deallocate() }
  let histogram = scratch
  let magnitudes = scratch + counters
  var remaining = 0
  var candidate = 0
  while candidate < leading.reached {
    let magnitude = values[Int(candidates[candidate])].bitPattern & magnitudeBits
    magnitudes[remaining] = magnitude
    remaining &+= magnitude &>> leadingShift == leading.prefix ? 1 : 0
    candidate &+= 1
  }

  return descend(magnitudes, remaining, leading.prefix, leading.wanted, histogram)
}

/// The smallest magnitude that is chosen.
struct SmallestChosen {
  var bits: UInt32
  /// How many of that magnitude are chosen.
  var equals: Int
  /// How many of that magnitude there are.
  var available: Int
}

/// The `wanted`th largest of `count` magnitudes, which are overwritten.
///
/// - Precondition: `wanted` is in 1...`count`.
func largest(
  _ wanted: Int, of magnitudes: UnsafeMutablePointer<UInt32>, count: Int
) -> SmallestChosen {
  let counters = histograms * tableStride(leadingBuckets)
  return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: counters) { counts in
    let histogram = counts.baseAddress!
    tally(count, buckets: leadingBuckets, into: histogram) { magnitudes[$0] &>> leadingShift }
    let cut = Cut(histogram, buckets: leadingBuckets, wanted: wanted)
    let remaining = keep(magnitudes, count, cut.prefix, leadingShift)
    return descend(magnitudes, remaining, cut.prefix, cut.wanted, histogram)
  }
}

/// Selects by the two later digits among magnitudes that share the leading one, `prefix`.
private func descend(
  _ magnitudes: UnsafeMutablePointer<UInt32>, _ count: Int, _ prefix: UInt32, _ wanted: Int,
  _ histogram: UnsafeMutablePointer<UInt32>
) -> SmallestChosen {
  let buckets = 1 << Int(digitBits)
  var (prefix, wanted, remaining, shift) = (prefix, wanted, count, leadingShift)
  while true {
    shift -= digitBits
    tally(remaining, buckets: buckets, into: histogram) {
      (magnitudes[$0] &>> shift) & UInt32(truncatingIfNeeded: buckets - 1)
    }
    let cut = Cut(histogram, buckets: buckets, wanted: wanted)
    prefix = prefix << digitBits | cut.prefix
    wanted = cut.wanted
    if shift == 0 {
      return SmallestChosen(bits: prefix, equals: wanted, available: cut.inBucket)
    }
    remaining = keep(magnitudes, remaining, prefix, shift)
  }
}

/// Moves the magnitudes with the given leading bits to the front; returns how many there are.
private func keep(
  _ magnitudes: UnsafeMutablePointer<UInt32>, _ count: Int, _ prefix: UInt32, _ shift: UInt32
) -> Int {
  var next = 0
  var i = 0
  while i < count {
    let magnitude = magnitudes[i]
    magnitudes[next] = magnitude
    next &+= magnitude &>> shift == prefix ? 1 : 0
    i &+= 1
  }
  return next
}
