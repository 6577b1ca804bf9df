// The set of kept coordinates of a vector: what a download or upload of the method carries values
// for (FLASC, arXiv 2406.05233, section 3). Stored as ascending 32-bit indices, because every
// codec, gather and scatter walks them in that order.

/// The kept coordinates of a vector of `length` floats, as ascending indices without repetition.
public struct SupportMask: Sendable, Equatable {
  /// The number of coordinates of the whole vector, at most 2^32 - 1.
  public let length: Int
  /// The kept coordinates, strictly ascending, each below `length`; nil where that is every one,
  /// so that a whole vector needs no list.
  let list: [UInt32]?

  /// The kept coordinates, strictly ascending, each below `length`.
  ///
  /// - Complexity: O(1), or O(n) where every coordinate is kept: ask ``isAll`` before.
  public var indices: [UInt32] { list ?? everyIndex(length) }

  /// The longest vector that 32-bit indices and the message header can describe.
  package static let longestLength = Int(UInt32.max)

  /// Makes a mask of the given coordinates.
  ///
  /// - Precondition: `indices` are strictly ascending and below `length`.
  public init(length: Int, indices: [UInt32]) {
    precondition(
      (0...Self.longestLength).contains(length),
      "support mask: length \(length) is outside 0...\(Self.longestLength)")
    precondition(
      indices.withUnsafeBufferPointer { areAscending($0, below: length) },
      "support mask: \(indices.count) indices are not strictly ascending below length \(length)")
    self.init(length: length, ascending: indices)
  }

  /// Makes a mask of indices that the caller has built or checked to be strictly ascending.
  init(length: Int, ascending indices: [UInt32]) {
    self.length = length
    list = indices.count == length ? nil : indices
  }

  /// The mask that keeps every coordinate.
  public static func all(length: Int) -> SupportMask {
    precondition(
      (0...longestLength).contains(length),
      "support mask: length \(length) is outside 0...\(longestLength)")
    return SupportMask(wholeOf: length)
  }

  private init(wholeOf length: Int) {
    self.length = length
    list = nil
  }

  /// The number of kept coordinates.
  public var count: Int { list?.count ?? length }

  /// Whether every coordinate is kept.
  public var isAll: Bool { list == nil }

  /// Kept coordinates over all coordinates, 0...1 (0 for an empty vector).
  public var density: Double { length == 0 ? 0 : Double(count) / Double(length) }

  /// The kept coordinates at the positions that `chosen` keeps.
  ///
  /// - Precondition: `chosen` is of as many coordinates as this mask keeps.
  func subset(_ chosen: SupportMask) -> SupportMask {
    precondition(chosen.length == count, "a subset of \(chosen.length) of \(count) coordinates")
    if chosen.isAll { return self }
    return SupportMask(length: length, ascending: chosen.indices.map { indices[Int($0)] })
  }

  /// Sets every coordinate outside the mask to +0, in place.
  ///
  /// - Precondition: `vector` has `length` floats.
  public func apply(to vector: UnsafeMutableBufferPointer<Float>) {
    precondition(
      vector.count == length, "support mask of length \(length) applied to \(vector.count) floats")
    if isAll { return }
    // Gathering and scattering has no branch per gap, which walking the gaps would have.
    SparseVector(gathering: UnsafeBufferPointer(vector), at: self).scatter(into: vector)
  }
}

/// The indices 0, 1, ..., `length` - 1.
func everyIndex(_ length: Int) -> [UInt32] {
  [UInt32](unsafeUninitializedCapacity: length) { buffer, count in
    if let indices = buffer.baseAddress {
      for i in 0..<length { indices[i] = UInt32(truncatingIfNeeded: i) }
    }
    count = length
  }
}

/// Whether the indices are strictly ascending and below `length`.
///
/// Differences are collected without a branch, so that the loop runs at vector width.
func areAscending(_ indices: UnsafeBufferPointer<UInt32>, below length: Int) -> Bool {
  guard let first = indices.baseAddress, let last = indices.last else { return true }
  var violations: UInt32 = 0
  for i in 1..<indices.count { violations |= first[i] > first[i - 1] ? 0 : 1 }
  return violations == 0 && Int(last) < length
}
