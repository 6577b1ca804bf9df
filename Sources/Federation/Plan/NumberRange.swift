// The ranges of numbers that keys of the experiment file take, with their words: the form of a key
// and the rule of the plan have the same one. Values that are computed with as Floats are in ranges
// in which no positive Double becomes 0, infinite or 1 as a Float.

/// Limits of values that become Floats, in short decimal numbers.
public enum FloatRange {
  /// The smallest positive value; half of Float's least number rounds to 0.
  public static let smallest = 1.5e-45
  /// The largest value.
  public static let largest = 3.4e38
  /// The largest share or factor that is below 1 as a Float.
  public static let largestShare = 0.9999999
  /// The smallest positive value whose square is not 0 as a Float.
  public static let smallestRoot = 1e-22
  /// The largest value whose square is finite as a Float.
  public static let largestRoot = 1e19
}

/// An interval of finite numbers, and perhaps 0 besides.
package struct NumberRange: Sendable, Equatable {
  /// Every number is greater.
  package let above: Double?
  /// The least number.
  package let atLeast: Double?
  /// Every number is less.
  package let below: Double?
  /// The greatest number.
  package let atMost: Double?
  /// Whether 0 is allowed, too.
  package let orZero: Bool

  /// The numbers within the limits that are given.
  package init(
    above: Double? = nil, atLeast: Double? = nil, below: Double? = nil, atMost: Double? = nil,
    orZero: Bool = false
  ) {
    (self.above, self.atLeast, self.below, self.atMost) = (above, atLeast, below, atMost)
    self.orZero = orZero
  }

  /// Whether a number is allowed.
  package func contains(_ value: Double) -> Bool {
    if orZero, value == 0 { return true }
    return value.isFinite && above.map { value > $0 } ?? true && atLeast.map { value >= $0 } ?? true
      && below.map { value < $0 } ?? true && atMost.map { value <= $0 } ?? true
  }

  /// Completes the sentence "give ...".
  package var text: String {
    var limits: [String] = []
    if let above { limits.append("above \(short(above))") }
    if let atLeast { limits.append("of at least \(short(atLeast))") }
    if let below { limits.append("below \(short(below))") }
    if let atMost { limits.append("of at most \(short(atMost))") }
    return (orZero ? "0 or a number " : "a number ") + limits.joined(separator: " and ")
  }
}

extension NumberRange {
  /// Above 0.
  package static let positive = NumberRange(above: 0)
  /// At least 0.
  package static let notNegative = NumberRange(atLeast: 0)
  /// A share of something, 0 and 1 included.
  package static let share = NumberRange(atLeast: 0, atMost: 1)
  /// A share of something that is not nothing.
  package static let positiveShare = NumberRange(above: 0, atMost: 1)
  /// A share of something that is not all.
  package static let partialShare = NumberRange(atLeast: 0, below: 1)
  /// A share of something that is neither nothing nor all.
  package static let innerShare = NumberRange(above: 0, below: 1)
  /// The standard deviation of a logarithm.
  package static let sigma = NumberRange(atLeast: 0, atMost: 20)
  /// A positive number that is computed with as a Float, where it must be neither 0 nor infinite.
  package static let positiveFloat = NumberRange(
    atLeast: FloatRange.smallest, atMost: FloatRange.largest)
  /// A number of at least 0 that is computed with as a Float, where only 0 is 0.
  package static let float = NumberRange(
    atLeast: FloatRange.smallest, atMost: FloatRange.largest, orZero: true)
  /// A number of at least 0 and below 1, as a Float, too.
  package static let floatShare = NumberRange(
    atLeast: FloatRange.smallest, atMost: FloatRange.largestShare, orZero: true)
  /// A positive number of which the square is computed with as a Float, too.
  package static let rootFloat = NumberRange(
    atLeast: FloatRange.smallestRoot, atMost: FloatRange.largestRoot)
}

/// The shortest decimal text that reads back as the same number, without a trailing `.0`.
package func short(_ value: Double) -> String {
  let text = value.description
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
