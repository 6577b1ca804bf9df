// Reductions of single values. Integers and extremes only: a sum of floating-point numbers would depend on
// the number of ranks and the order; exact sums go through integers (FixedPointSum, `allReduce` over Int64).

extension Communicator {
  /// The sum of all ranks' values, wrapping around at 64 bits.
  public func sum(_ value: Int) throws -> Int { try reduced(Int64(value), .sum) }

  /// The largest of all ranks' values.
  public func maximum(_ value: Int) throws -> Int { try reduced(Int64(value), .maximum) }

  /// The smallest of all ranks' values.
  public func minimum(_ value: Int) throws -> Int { try reduced(Int64(value), .minimum) }

  /// The largest of all ranks' values, in IEEE 754's total order (-0 below +0); NaN if any is NaN.
  public func maximum(_ value: Double) throws -> Double {
    Self.value(ofKey: Int64(try reduced(Self.key(value.isNaN ? .nan : value), .maximum)))
  }

  /// The smallest of all ranks' values, in IEEE 754's total order (-0 below +0); NaN if any is NaN.
  public func minimum(_ value: Double) throws -> Double {
    Self.value(ofKey: Int64(try reduced(Self.key(value.isNaN ? -.nan : value), .minimum)))
  }

  /// The sum of all ranks' arrays, element by element, wrapping around at 64 bits.
  public func sum(_ values: inout [Int64]) throws {
    try values.withUnsafeMutableBufferPointer { try allReduce($0, .sum) }
  }

  private func reduced(_ value: Int64, _ operation: Reduction) throws -> Int {
    var value = value
    try withUnsafeMutablePointer(to: &value) {
      try allReduce(UnsafeMutableBufferPointer(start: $0, count: 1), operation)
    }
    return Int(value)
  }

  /// Integers in the order of the numbers: the bits as they are for positive ones, and for negative ones,
  /// which IEEE 754 stores as sign and magnitude, the magnitude inverted. The mapping is its own inverse.
  private static func key(_ value: Double) -> Int64 {
    let bits = Int64(bitPattern: value.bitPattern)
    return bits ^ ((bits >> 63) & Int64.max)
  }

  private static func value(ofKey key: Int64) -> Double {
    Double(bitPattern: UInt64(bitPattern: key ^ ((key >> 63) & Int64.max)))
  }
}
