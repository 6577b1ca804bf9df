// How some numbers are spread: least, deciles, most and mean.

/// The least, the deciles, the largest and the mean of some numbers.
public struct Spread: Sendable, Equatable {
  /// The smallest.
  public let minimum: Double
  /// The quantiles of 10 %, 20 %, ..., 90 %, linear between neighbours as NumPy's default.
  public let deciles: [Double]
  /// The largest.
  public let maximum: Double
  /// Their sum, from the smallest up, by their number.
  public let mean: Double

  /// The middle one, or the mean of the two in the middle.
  public var median: Double { deciles[4] }

  /// The spread of `values`.
  /// - Precondition: `values` is not empty and has no NaN.
  public init(_ values: [Double]) {
    precondition(!values.isEmpty, "a spread of no numbers")
    let sorted = values.sorted()
    minimum = sorted[0]
    maximum = sorted[sorted.count - 1]
    mean = sorted.reduce(0, +) / Double(sorted.count)
    deciles = (1...9).map { tenths in
      let place = tenths * (sorted.count - 1)
      let low = sorted[place / 10]
      guard place % 10 > 0 else { return low }
      return low + (sorted[place / 10 + 1] - low) * Double(place % 10) / 10
    }
  }

  /// The spread of counts.
  public init(_ counts: [Int]) { self.init(counts.map { Double($0) }) }
}
