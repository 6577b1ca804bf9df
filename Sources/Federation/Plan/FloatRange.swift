// The values of keys that are computed with as Floats, in short decimal numbers: between them no positive
// Double becomes 0, infinite or 1 as a Float.

/// Limits of values that become Floats.
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
