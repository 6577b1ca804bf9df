// The weighted sum of a cohort's vectors, exact in the sense that matters for the same bits
// everywhere: integers add associatively, so any order, any grouping by rank or node and any
// reduction tree give the same words.
//
// With M the largest |x| of all vectors, M < 2^e, and W <= 2^w the sum of all weights, each x
// becomes round(x * 2^s) with s = 62 - w - e, at most 2^(62-w) in magnitude. The weighted sum of all
// of them, and every partial sum, is at most 2^62: nothing can overflow an Int64.

/// A sum of weighted sparse vectors in 64-bit fixed point, the same bits in any order.
///
/// Vectors are added to words by a ``FixedPointScale``, of one scale for all parts of the sum (on all
/// ranks); the largest magnitude over a cohort is itself an exact maximum.
///
/// **Error.** A coordinate x is exact if it is a multiple of ``unit``, as every x is with
/// |x| >= M * 2^(w-38). Any other is off by at most `unit` / 2. So a word differs from the exact
/// weighted sum by at most W / 2 units, and the mean over W, before its last rounding, by at
/// most `unit` / 2 < W * M * 2^-61. The mean is then rounded in Double twice and once to Float.
public struct FixedPointSum: Sendable, Equatable {
  /// The number of coordinates.
  public let length: Int
  /// No added value is larger in magnitude.
  public var largestMagnitude: Float { scale.largestMagnitude }
  /// The weights of the whole sum, over all of its parts.
  public var totalWeight: Int { scale.totalWeight }
  /// The sum, in units.
  public let words: [Int64]
  /// What turns values into words.
  public let scale: FixedPointScale

  /// Makes the whole sum of words in which all vectors were added (``FixedPointScale``).
  public init(words: [Int64], scale: FixedPointScale) {
    length = words.count
    self.scale = scale
    self.words = words
  }

  /// The value of one unit of ``words``, a power of two.
  public var unit: Double { scale.unit }

  /// The sum over `divisor`: divided in Double, then rounded to Float.
  ///
  /// - Parameter divisor: ``totalWeight`` for the weighted mean.
  /// - Precondition: `divisor` is at least 1.
  public func mean(dividedBy divisor: Int) -> [Float] {
    precondition(divisor >= 1, "fixed-point sum: divisor \(divisor) is below 1")
    let unit = unit
    let divisor = Double(divisor)
    return [Float](unsafeUninitializedCapacity: length) { buffer, initialized in
      words.withUnsafeBufferPointer { words in
        if let from = words.baseAddress, let to = buffer.baseAddress {
          for i in 0..<length { to[i] = Float(Double(from[i]) * unit / divisor) }
        }
      }
      initialized = length
    }
  }

  /// The weighted mean: ``mean(dividedBy:)`` the total weight.
  public func mean() -> [Float] { mean(dividedBy: totalWeight) }

  /// The sum with noise over `divisor`: both added and divided in Double, then rounded to Float.
  ///
  /// - Parameter noise: Called once for each coordinate, in ascending order.
  /// - Precondition: `divisor` is at least 1.
  public func mean(dividedBy divisor: Int, adding noise: () -> Double) -> [Float] {
    precondition(divisor >= 1, "fixed-point sum: divisor \(divisor) is below 1")
    let unit = unit
    return words.map { Float((Double($0) * unit + noise()) / Double(divisor)) }
  }
}
