// How values become the words of an exact sum, apart from where the words are: in a FixedPointSum of
// one process, or in memory to which all ranks of a host add at once.
internal import Synchronization

/// The scale of a sum of weighted vectors (the text of FixedPointSum.swift has the bounds).
public struct FixedPointScale: Sendable, Equatable {
  /// No added value is larger in magnitude.
  public let largestMagnitude: Float
  /// The weights of the whole sum.
  public let totalWeight: Int
  /// A unit of a word is 2^-s with this s.
  let exponent: Int

  /// The largest `totalWeight`: beyond it the largest values themselves would lose bits.
  public static let largestTotalWeight = 1 << 38

  /// Makes the scale of a sum.
  ///
  /// - Parameter largestMagnitude: at least the largest |x| of all vectors; 0 if all are zero.
  /// - Parameter totalWeight: the weights of all vectors, added; their number when each weighs 1.
  /// - Precondition: `largestMagnitude` is finite and not negative; `totalWeight` is in
  ///   1...``largestTotalWeight``.
  public init(largestMagnitude: Float, totalWeight: Int) {
    precondition(
      largestMagnitude.isFinite && largestMagnitude >= 0,
      "fixed-point sum: largest magnitude \(largestMagnitude) is not a finite number from 0")
    precondition(
      (1...Self.largestTotalWeight).contains(totalWeight),
      "fixed-point sum: total weight \(totalWeight) is outside 1...\(Self.largestTotalWeight)")
    self.largestMagnitude = largestMagnitude
    self.totalWeight = totalWeight
    let weightBits = Int.bitWidth - (totalWeight - 1).leadingZeroBitCount
    // `exponent` is that of the number itself for subnormals too; of zero there is none.
    let magnitudeExponent = largestMagnitude == 0 ? 0 : Int(largestMagnitude.exponent) + 1
    exponent = 62 - weightBits - magnitudeExponent
  }

  /// The value of one unit of a word, a power of two.
  public var unit: Double { Double(sign: .plus, exponent: -exponent, significand: 1) }

  /// Adds `weight` times a vector to words of which nobody else knows.
  ///
  /// - Precondition: as many words as the vector has coordinates; no value (infinite and NaN
  ///   included) above ``largestMagnitude``; over all vectors the weights stay within the total.
  /// - Complexity: O(k) for k kept coordinates.
  public func add(
    _ vector: SparseVector, weight: Int = 1, to words: UnsafeMutableBufferPointer<Int64>
  ) {
    forEachWord(of: vector, weight, words, from: 0) { word, addend in word.pointee &+= addend }
  }

  /// Adds `weight` times a vector to words to which other threads and processes add at the same time.
  ///
  /// - Parameter share: Where to begin, 0..<1 of the vector: others that begin elsewhere are not in the
  ///   way, which several in step on the same words would be.
  /// - Precondition: as for the addition without others.
  /// - Complexity: O(k), at the price of an atomic addition each.
  public func addAtomically(
    _ vector: SparseVector, weight: Int = 1, to words: UnsafeMutableBufferPointer<Int64>,
    from share: Double = 0
  ) {
    forEachWord(of: vector, weight, words, from: share) { word, addend in
      word.withMemoryRebound(to: Atomic<Int64>.self, capacity: 1) {
        _ = $0.pointee.wrappingAdd(addend, ordering: .relaxed)
      }
    }
  }

  @inline(__always)
  private func forEachWord(
    of vector: SparseVector, _ weight: Int, _ words: UnsafeMutableBufferPointer<Int64>,
    from share: Double, _ add: (UnsafeMutablePointer<Int64>, Int64) -> Void
  ) {
    precondition(
      vector.length == words.count,
      "fixed-point sum of length \(words.count): a vector of length \(vector.length) is added")
    let largest = vector.largestMagnitude
    precondition(
      largest <= largestMagnitude,
      "fixed-point sum up to \(largestMagnitude): a value of magnitude \(largest) is added")
    guard let sum = words.baseAddress else { return }
    // Exact: 24 significant bits times a power of two, far from Double's limits.
    let scale = Double(sign: .plus, exponent: exponent, significand: 1)
    let weight = Int64(weight)
    precondition((0..<1).contains(share), "an addition that begins at \(share)")
    let first = Int(share * Double(vector.count))
    vector.values.withUnsafeBufferPointer { values in
      for range in [first..<values.count, 0..<first] {
        guard let list = vector.mask.list else {
          for i in range { add(sum + i, nearestInteger(Double(values[i]) * scale) &* weight) }
          continue
        }
        list.withUnsafeBufferPointer { indices in
          guard let at = indices.baseAddress else { return }
          for i in range {
            add(sum + Int(at[i]), nearestInteger(Double(values[i]) * scale) &* weight)
          }
        }
      }
    }
  }
}

/// The nearest integer, ties to even, of a number with at most 24 significant bits.
///
/// Such a number can have a fraction only below 2^23, where adding and subtracting 1.5 * 2^52
/// rounds it; `rounded()` would call the C library on processors without SSE4.1.
@inline(__always)
private func nearestInteger(_ x: Double) -> Int64 {
  let shifter = 0x1.8p52
  return Int64(x.magnitude < 0x1p51 ? (x + shifter) - shifter : x)
}
