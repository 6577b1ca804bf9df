// The weighted sum of a cohort's vectors, exact in the sense that matters for the same bits
// everywhere: integers add associatively, so any order, any grouping by rank or node and any
// reduction tree give the same words.
//
// With M the largest |x| of all vectors, M < 2^e, and W <= 2^w the sum of all weights, each x
// becomes round(x * 2^s) with s = 62 - w - e, at most 2^(62-w) in magnitude. The weighted sum of all
// of them, and every partial sum, is at most 2^62: nothing can overflow an Int64.

/// A sum of weighted sparse vectors in 64-bit fixed point, the same bits in any order.
///
/// All parts of one sum (on all ranks) are made with the same `length`, `largestMagnitude` and
/// `totalWeight`; the largest magnitude over a cohort is itself an exact maximum.
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
  /// The weights that ``add(_:weight:)`` and `merge` have brought into this part.
  public private(set) var addedWeight = 0
  /// The sum, in units.
  public private(set) var words: [Int64]
  /// What turns values into words.
  public let scale: FixedPointScale

  /// The largest `totalWeight`: beyond it the largest values themselves would lose bits.
  public static let largestTotalWeight = FixedPointScale.largestTotalWeight

  /// Makes a sum of nothing.
  ///
  /// - Parameter largestMagnitude: at least the largest |x| of all vectors; 0 if all are zero.
  /// - Parameter totalWeight: the weights of all vectors, added; their number when each weighs 1.
  /// - Precondition: `largestMagnitude` is finite and not negative; `totalWeight` is in
  ///   1...``largestTotalWeight``.
  public init(length: Int, largestMagnitude: Float, totalWeight: Int) {
    precondition(length >= 0, "fixed-point sum: length \(length) is negative")
    self.length = length
    scale = FixedPointScale(largestMagnitude: largestMagnitude, totalWeight: totalWeight)
    words = [Int64](repeating: 0, count: length)
  }

  /// Makes the whole sum of words in which all vectors were added (``FixedPointScale``).
  public init(words: [Int64], scale: FixedPointScale) {
    length = words.count
    self.scale = scale
    self.words = words
    addedWeight = scale.totalWeight
  }

  /// The value of one unit of ``words``, a power of two.
  public var unit: Double { scale.unit }

  /// Adds `weight` times a vector.
  ///
  /// - Precondition: the vector has this sum's length and no value (infinite and NaN included)
  ///   above ``largestMagnitude``; `weight` is not negative and the weights added stay within
  ///   ``totalWeight``.
  /// - Complexity: O(k) for k kept coordinates.
  public mutating func add(_ vector: SparseVector, weight: Int = 1) {
    precondition(
      vector.length == length,
      "fixed-point sum of length \(length): a vector of length \(vector.length) is added")
    count(weight)
    words.withUnsafeMutableBufferPointer { scale.add(vector, weight: weight, to: $0) }
  }

  /// Adds another part of the same sum.
  ///
  /// - Precondition: both have the same length, largest magnitude and total weight; the weights
  ///   added stay within the total.
  public mutating func merge(_ other: FixedPointSum) {
    precondition(
      other.length == length && other.largestMagnitude == largestMagnitude
        && other.totalWeight == totalWeight,
      "fixed-point sum (length \(length), up to \(largestMagnitude), weight \(totalWeight)): merged "
        + "with (\(other.length), \(other.largestMagnitude), \(other.totalWeight))")
    other.words.withUnsafeBufferPointer { merge(words: $0, weight: other.addedWeight) }
  }

  /// Adds the words of another part of the same sum, in which vectors of `weight` were added.
  ///
  /// - Precondition: as many words as ``length``; the weights added stay within the total.
  public mutating func merge(words other: UnsafeBufferPointer<Int64>, weight: Int) {
    precondition(
      other.count == length, "fixed-point sum of length \(length): \(other.count) words are merged")
    count(weight)
    words.withUnsafeMutableBufferPointer { words in
      guard let sum = words.baseAddress, let addend = other.baseAddress else { return }
      for i in 0..<length { sum[i] &+= addend[i] }
    }
  }

  /// Lets `body` change the words in place, as a sum over ranks does; `addedWeight` is not changed.
  public mutating func withMutableWords<Result>(
    _ body: (UnsafeMutableBufferPointer<Int64>) throws -> Result
  ) rethrows -> Result {
    try words.withUnsafeMutableBufferPointer { try body($0) }
  }

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

  private mutating func count(_ weight: Int) {
    precondition(
      weight >= 0 && weight <= totalWeight - addedWeight,
      "fixed-point sum: weight \(weight) after \(addedWeight) of \(totalWeight)")
    addedWeight += weight
  }
}
