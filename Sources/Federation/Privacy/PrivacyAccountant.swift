// How much privacy rounds cost: Renyi differential privacy (RDP) of the Gaussian mechanism on a
// Poisson sample with rate q, over orders alpha, added up over rounds and turned into (epsilon,
// delta). The numbers are those of Google's dp-accounting 0.6 (RdpAccountant).
//
//   integer alpha     Mironov, Talwar & Zhang 2019, "Renyi differential privacy of the sampled
//                     Gaussian mechanism" (arXiv 1908.10530), equation 6:
//     A = sum_i binom(alpha, i) (1-q)^(alpha-i) q^i exp((i^2 - i) / (2 z^2))
//   fractional alpha  the same, section 3.3: two series over erfc. Their terms alternate in sign
//                     beyond alpha; like dp-accounting, all are added, which bounds A from above and
//                     cannot lose digits to cancellation.
//   much noise        log A near 0 loses its digits in both; there, for integer alpha,
//     log A = log1p(sum_i binom(alpha, i) (1-q)^(alpha-i) q^i expm1((i^2 - i) / (2 z^2)))
//                     and for fractional alpha the line between its neighbours, above log A, which is convex
//   RDP               log A / (alpha - 1)
//   epsilon           min over alpha of rounds RDP + log(1 - 1/alpha) - log(delta alpha) / (alpha-1)
//                     Canonne, Kamath & Steinke 2020 (arXiv 2004.00010), Proposition 12
//
// Cohorts here have a fixed size and are drawn without replacement; like the literature this takes
// the rate cohort / population and the Poisson formula, with neighbours that differ by one client.
import Glibc

/// The privacy cost of rounds that are all alike.
public struct PrivacyAccountant: Sendable, Equatable {
  /// The share q of the population that takes part in a round.
  public let samplingRate: Double
  /// The noise multiplier z of a round.
  public let noiseMultiplier: Double
  /// One round's RDP at each of ``orders``.
  private let divergences: [Double]

  /// The orders alpha that are tried: 1.1 to 10.9 by tenths, 11 to 63, and powers of two to 1024.
  public static let orders: [Double] =
    (1..<100).map { 1 + Double($0) / 10 } + (11..<64).map { Double($0) } + [128, 256, 512, 1024]

  /// An accountant for rounds of such a rate and noise.
  ///
  /// - Precondition: the rate is above 0 and at most 1, the noise multiplier not negative.
  public init(samplingRate: Double, noiseMultiplier: Double) {
    self.samplingRate = samplingRate
    self.noiseMultiplier = noiseMultiplier
    divergences = Self.orders.map {
      Self.divergence(order: $0, samplingRate: samplingRate, noiseMultiplier: noiseMultiplier)
    }
  }

  /// The epsilon of so many rounds together at `delta`, and the order that shows it.
  ///
  /// - Returns: Infinity where there is no noise; 0 for no rounds.
  /// - Precondition: `delta` is between 0 and 1.
  public func epsilon(rounds: Int, delta: Double) -> (epsilon: Double, order: Double) {
    precondition(rounds >= 0 && delta > 0 && delta < 1, "\(rounds) rounds at delta \(delta)")
    var best = (epsilon: Double.infinity, order: Self.orders[0])
    for (order, divergence) in zip(Self.orders, divergences) {
      let total = rounds == 0 ? 0 : Double(rounds) * divergence
      // delta <= sqrt(1 - exp(-KL)), and RDP bounds KL: then epsilon is 0.
      let isNothing = delta * delta + expm1(-total) > 0
      let epsilon =
        isNothing ? 0 : total + log1p(-1 / order) - log(delta * order) / (order - 1)
      if epsilon < best.epsilon { best = (epsilon, order) }
    }
    return (max(0, best.epsilon), best.order)
  }

  /// The largest noise multiplier that is looked at for a target.
  static let largestSearchedMultiplier = 1e9

  /// The smallest noise multiplier, in steps of 0.0001, that keeps `rounds` rounds within `epsilon`;
  /// nil where ``largestSearchedMultiplier`` is not enough.
  public static func noiseMultiplier(
    targetEpsilon epsilon: Double, delta: Double, samplingRate: Double, rounds: Int
  ) -> Double? {
    let step = 10_000.0
    func isEnough(_ steps: Int) -> Bool {
      PrivacyAccountant(samplingRate: samplingRate, noiseMultiplier: Double(steps) / step)
        .epsilon(rounds: rounds, delta: delta).epsilon <= epsilon
    }
    let most = Int(largestSearchedMultiplier * step)
    var high = 10_000
    while !isEnough(high) {
      guard high < most else { return nil }
      high = min(most, 2 * high)
    }
    // epsilon falls with the noise: too little, enough.
    var low = 0
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if isEnough(middle) { high = middle } else { low = middle }
    }
    return Double(high) / step
  }

  /// The RDP of order alpha of one round; infinite without noise.
  ///
  /// - Precondition: the order is above 1, the rate above 0 and at most 1.
  public static func divergence(
    order: Double, samplingRate q: Double, noiseMultiplier z: Double
  ) -> Double {
    precondition(order > 1 && q > 0 && q <= 1 && z >= 0, "order \(order), rate \(q), noise \(z)")
    if z == 0 { return .infinity }
    if q == 1 { return order / (2 * z * z) }
    let (below, part) = (Int(order), order - order.rounded(.down))
    let logMoment =
      part == 0 ? logMoment(wholeOrder: below, q, z) : logMoment(fractionalOrder: order, q, z)
    // Below these log A, a sum of terms near 1, has lost too many digits.
    guard logMoment < (part == 0 ? 1e-6 : 1e-12) else { return logMoment / (order - 1) }
    let small = smallLogMoment(wholeOrder: below, q, z)
    return
      (part == 0 ? small : small + part * (smallLogMoment(wholeOrder: below + 1, q, z) - small))
      / (order - 1)
  }

  /// log A where it is small; 0 for order 1.
  private static func smallLogMoment(wholeOrder order: Int, _ q: Double, _ z: Double) -> Double {
    var sum = 0.0
    for i in stride(from: 2, through: order, by: 1) {
      let k = Double(i)
      let weight = logBinomial(Double(order), k) + k * log(q) + Double(order - i) * log1p(-q)
      sum += exp(weight) * expm1((k * k - k) / (2 * z * z))
    }
    return log1p(sum)
  }

  private static func logMoment(wholeOrder order: Int, _ q: Double, _ z: Double) -> Double {
    var sum = -Double.infinity
    for i in 0...order {
      let k = Double(i)
      let term = logBinomial(Double(order), k) + k * log(q) + Double(order - i) * log1p(-q)
      sum = logAdd(sum, term + (k * k - k) / (2 * z * z))
    }
    return sum
  }

  private static func logMoment(fractionalOrder order: Double, _ q: Double, _ z: Double) -> Double {
    let middle = z * z * log(1 / q - 1) + 0.5
    let (logRate, logRest) = (log(q), log1p(-q))
    var (below, above) = (-Double.infinity, -Double.infinity)
    var (lastBelow, lastAbove) = (below, above)
    for i in 0..<1000 {
      let k = Double(i)
      let j = order - k
      let binomial = logBinomial(order, k)
      let termBelow =
        binomial + k * logRate + j * logRest + (k * k - k) / (2 * z * z)
        + logHalfErfc((k - middle) / (2.0.squareRoot() * z))
      let termAbove =
        binomial + j * logRate + k * logRest + (j * j - j) / (2 * z * z)
        + logHalfErfc((middle - j) / (2.0.squareRoot() * z))
      below = logAdd(below, termBelow)
      above = logAdd(above, termAbove)
      let sum = logAdd(below, above)
      if termBelow < lastBelow, termAbove < lastAbove, max(termBelow, termAbove) < sum - 30 {
        return sum
      }
      (lastBelow, lastAbove) = (termBelow, termAbove)
    }
    // Slow at small orders, which then show nothing.
    return .infinity
  }
}

/// log(exp(a) + exp(b)).
private func logAdd(_ a: Double, _ b: Double) -> Double {
  let (low, high) = (min(a, b), max(a, b))
  return low == -.infinity ? high : high + log1p(exp(low - high))
}

/// log |binom(n, k)| for real n.
private func logBinomial(_ n: Double, _ k: Double) -> Double {
  logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1)
}

/// log |Gamma(x)|.
private func logGamma(_ x: Double) -> Double {
  var sign: Int32 = 0
  return lgamma_r(x, &sign)
}

/// log(erfc(x) / 2), by the asymptotic series where erfc itself would underflow.
private func logHalfErfc(_ x: Double) -> Double {
  if x < 25 { return log(erfc(x) / 2) }
  let s = 1 / (x * x)
  let series = s * (-0.5 + s * (0.625 + s * (-37.0 / 24 + s * 353 / 64)))
  return -x * x - log(2 * x) - 0.5 * log(.pi) + series
}
