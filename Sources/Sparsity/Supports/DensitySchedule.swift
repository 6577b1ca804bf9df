// How dense a download or upload is in each round: constant, or geometric as in the pruning
// baselines that FLASC compares with (arXiv 2406.05233, section 4), d(t) = d0 * gamma^(t div period).

/// The density (kept over all coordinates, 0...1) as a function of the round, from 0.
public enum DensitySchedule: Sendable, Equatable {
  /// The same density in every round.
  case constant(Double)
  /// `initial * factor^(round / period)` with whole division, at least `minimum` and at most 1.
  ///
  /// With `factor` as the minimum and a period of 1 it is one round at `initial`, then `factor`.
  case geometric(initial: Double, factor: Double, period: Int, minimum: Double = 0)

  /// The density of a round.
  ///
  /// The power is a fixed sequence of multiplications, not the C library's, so that every
  /// machine gets the same bits.
  ///
  /// - Precondition: `round` is not negative; the density (or `initial` and `minimum`) is in 0...1,
  ///   `factor` is finite and not negative, `period` is at least 1.
  public func density(round: Int) -> Double {
    precondition(round >= 0, "density schedule: round \(round) is negative")
    switch self {
    case .constant(let density):
      precondition(
        (0...1).contains(density), "density schedule: density \(density) is outside 0...1")
      return density
    case .geometric(let initial, let factor, let period, let minimum):
      precondition(
        (0...1).contains(minimum), "density schedule: minimum \(minimum) is outside 0...1")
      precondition(
        (0...1).contains(initial), "density schedule: initial density \(initial) is outside 0...1")
      precondition(
        factor >= 0 && factor.isFinite,
        "density schedule: factor \(factor) is not a finite number of at least 0")
      precondition(period >= 1, "density schedule: period \(period) is below 1")
      if initial == 0 { return minimum }
      return max(minimum, min(1, initial * power(factor, round / period)))
    }
  }

  /// The number of coordinates kept of `length` in a round: max(1, floor(`length` * density)).
  ///
  /// A product within four units in the last place below a whole number counts as it, so that 0.29
  /// * 100 (28.999... in binary) is 29. A positive density keeps at least one coordinate of a vector
  /// that has one, also where the density falls until it rounds to 0; a density of 0 keeps nothing.
  public func count(length: Int, round: Int) -> Int {
    precondition(length >= 0, "density schedule: length \(length) is negative")
    let product = Double(length) * density(round: round)
    let below = Int(product)
    let isNext = Double(below + 1) - product <= 4 * product.ulp
    return min(length, max(isPositive ? 1 : 0, isNext ? below + 1 : below))
  }

  /// Whether every round's density is above 0, apart from rounding.
  private var isPositive: Bool {
    switch self {
    case .constant(let density): density > 0
    case .geometric(let initial, let factor, _, let minimum):
      minimum > 0 || (initial > 0 && factor > 0)
    }
  }
}

/// `base` to a whole power of at least 0 by squaring: no libm, so the same bits on every machine.
public func power(_ base: Double, _ exponent: Int) -> Double {
  var result = 1.0
  var square = base
  var bits = exponent
  while bits > 0 {
    if bits & 1 == 1 { result *= square }
    square *= square
    bits >>= 1
  }
  return result
}
