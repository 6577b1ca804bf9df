// What privacy does to uploads, their sum and the clip; the order of events and the papers are in
// Privacy.swift. All in a fixed order with a stream named by the round: the same bits on any number
// of ranks.
internal import RandomStreams
public import Sparsity

extension SparseVector {
  /// The L2 norm of the kept values: squares, exact in Double, summed in ascending order.
  package var euclideanNorm: Double { norm(values) }

  /// The vector, scaled down where its norm is larger than `bound`, so that it is not.
  ///
  /// Values are scaled in Double and rounded to Float towards zero; the norm that is compared is
  /// ``euclideanNorm``, so the result's is at most `bound` as computed, and a vector within it stays
  /// as it is, bit for bit.
  ///
  /// - Precondition: `bound` is greater than 0; all values are finite.
  ///
  /// - Parameter bound: nil for no bound.
  public func clipped(toNorm bound: Double?) -> SparseVector {
    guard let bound else { return self }
    precondition(bound > 0, "a vector clipped to norm \(bound)")
    let before = euclideanNorm
    guard before > bound else { return self }
    var factor = bound / before
    var scaled = values.map { towardsZero(Double($0) * factor) }
    while norm(scaled) > bound {
      // Few values that round to nothing: the quotient's own rounding is left.
      factor *= 1 - 0x1p-50
      scaled = values.map { towardsZero(Double($0) * factor) }
    }
    return SparseVector(length: length, indices: indices, values: scaled)
  }
}

private func norm(_ values: [Float]) -> Double {
  values.withUnsafeBufferPointer { values in
    var sum = 0.0
    for value in values { sum += Double(value) * Double(value) }
    return sum.squareRoot()
  }
}

/// `x` as a Float that is not larger in magnitude.
@inline(__always)
private func towardsZero(_ x: Double) -> Float {
  let nearest = Float(x)
  guard Double(nearest).magnitude > x.magnitude else { return nearest }
  return Float(bitPattern: nearest.bitPattern - 1)
}

extension Privacy {
  /// The streams of a round's noise: steps of the purpose `noise`.
  private enum Stream: Int {
    case vector
    case count
  }

  private func normals(_ stream: Stream, seed: UInt64, round: Int) -> RandomStream {
    RandomStream(seed: seed, purpose: .noise, round: round, step: stream.rawValue)
  }

  /// The cohort's mean with noise: (sum + noise in every coordinate) / cohort.
  ///
  /// Without noise it is the sum's mean, bit for bit.
  ///
  /// - Parameter clip: The clip of this round's uploads.
  package func noisyMean(of sum: FixedPointSum, clip: Double, seed: UInt64, round: Int) -> [Float] {
    let deviation = noiseDeviation(clip: clip, cohort: sum.totalWeight)
    guard deviation > 0 else { return sum.mean() }
    var stream = normals(.vector, seed: seed, round: round)
    return sum.mean(dividedBy: sum.totalWeight) { deviation * stream.normal() }
  }

  /// The clip of the next round; nil where it does not change.
  ///
  /// - Parameters:
  ///   - clip: The clip of this round.
  ///   - within: The clients of the cohort whose norm was at most the clip.
  func nextClip(
    _ clip: Double, within: Int, cohort: Int, seed: UInt64, round: Int
  ) -> Double? {
    guard case .adaptive(let adaptive) = clipping else { return nil }
    let simulated = simulatedCohort(cohort)
    var stream = normals(.count, seed: seed, round: round)
    let deviation =
      adaptive.countDeviation(cohort: simulated) * Double(cohort) / Double(simulated)
    let share = (Double(within) + deviation * stream.normal()) / Double(cohort)
    return clip * exponential(-adaptive.learningRate * (share - adaptive.quantile))
  }
}

/// e^x, without libm: Taylor's series after the powers of two are taken out, in a fixed order, so
/// that every machine gets the same bits. Within 4 units in the last place for |x| up to 700, beyond
/// which it stays at its value there.
func exponential(_ x: Double) -> Double {
  let x = min(700, max(-700, x))
  let powers = (x * 1.442_695_040_888_963_4).rounded()
  // ln 2 in two parts, the first with zeros in its last 21 bits: its multiples here are exact.
  let rest = (x - powers * 0x1.62e42fee00000p-1) - powers * 0x1.a39ef35793c76p-33
  var series = 1.0
  for term in stride(from: 14, through: 1, by: -1) {
    series = 1 + rest / Double(term) * series
  }
  return Double(sign: .plus, exponent: Int(powers), significand: series)
}
