// Fresh linear weights, and normal, gamma and Dirichlet numbers. All of the latter are computed with the C library's log, sqrt, cos and
// exp; the last bit of these may differ between C libraries, so bits are equal between machines
// that run the same one.

internal import Elementary

extension RandomStream {
  /// Fills `values` as PyTorch starts the weight of a linear layer of so many inputs: Kaiming
  /// uniform with a = sqrt(5), which is uniform within 1 / sqrt(inputs). LoRA's A starts so too.
  public mutating func fillAsLinearWeight(
    _ values: UnsafeMutableBufferPointer<Float>, inputs: Int
  ) {
    let bound = 1 / Double(inputs).squareRoot()
    for index in values.indices { values[index] = Float((2 * uniform() - 1) * bound) }
  }

  /// Normal with mean 0 and variance 1, by Box and Muller (1958) from two uniform numbers.
  public mutating func normal() -> Double {
    let radius = (-2 * Elementary.log(1 - uniform())).squareRoot()
    return radius * Elementary.cos(2 * .pi * uniform())
  }

  /// Gamma of the given shape and scale 1.
  ///
  /// A shape below 0.01 often gives numbers too small for a `Double`, thus 0; see `logGamma`.
  /// - Precondition: `shape` is finite and at least 1e-300.
  public mutating func gamma(shape: Double) -> Double { Elementary.exp(logGamma(shape: shape)) }

  /// The logarithm of a gamma number of the given shape and scale 1, always finite.
  ///
  /// Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); for
  /// a shape a < 1 as G(a + 1) U^(1/a), their section 6, whose logarithm does not underflow.
  /// - Precondition: `shape` is finite and at least 1e-300.
  public mutating func logGamma(shape: Double) -> Double {
    precondition(shape >= 1e-300 && shape.isFinite, "a gamma of shape \(shape)")
    if shape < 1 {
      let boost = Elementary.log(1 - uniform()) / shape
      return logGamma(shape: shape + 1) + boost
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let root = 1 + c * x
      guard root > 0 else { continue }
      let v = root * root * root
      if Elementary.log(1 - uniform()) < 0.5 * x * x + d - d * v + d * Elementary.log(v) {
        return Elementary.log(d) + Elementary.log(v)
      }
    }
  }

  /// Proportions that sum to 1, Dirichlet of the given concentrations.
  ///
  /// Normalized gamma numbers, in logarithms so that concentrations of 0.01 and far below do not
  /// end as 0/0.
  /// - Precondition: there is a concentration, and all are finite and at least 1e-300.
  public mutating func dirichlet(concentrations: [Double]) -> [Double] {
    precondition(!concentrations.isEmpty, "a Dirichlet of no concentrations")
    let logarithms = concentrations.map { logGamma(shape: $0) }
    let weights = Elementary.relativeExponentials(logarithms)
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }
}
