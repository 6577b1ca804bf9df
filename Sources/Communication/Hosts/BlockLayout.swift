// Blocks of bytes laid end to end, and windows over them. A gather whose total is too large for one MPI call
// (counts and displacements are 32-bit there), or for the memory that it may take, is cut into windows of the
// concatenation: in each, every rank sends the part of its block that lies in the window. Displacements are
// relative to the window, so they stay small, and the bytes arrive where they belong without a copy.

/// Where each rank's block lies in the concatenation of all.
public struct BlockLayout: Sendable, Equatable {
  /// The bytes of each block.
  public let counts: [Int]
  /// Where each block starts.
  public let offsets: [Int]
  /// The sum of the counts.
  public let total: Int

  /// The layout of blocks of these sizes.
  ///
  /// - Precondition: No count is negative and the sum fits in an `Int`.
  public init(counts: [Int]) {
    var offsets: [Int] = []
    offsets.reserveCapacity(counts.count)
    var total = 0
    for count in counts {
      precondition(count >= 0, "block of \(count) bytes")
      offsets.append(total)
      total += count
    }
    (self.counts, self.offsets, self.total) = (counts, offsets, total)
  }

  /// The concatenation cut into ranges of at most `limit` bytes, in order; none if it is empty.
  public func windows(ofAtMost limit: Int) -> [Range<Int>] {
    Self.slices(of: total, ofAtMost: limit)
  }

  /// `0..<count` cut into ranges of at most `limit`, in order; none if it is empty.
  ///
  /// - Precondition: `limit > 0`.
  public static func slices(of count: Int, ofAtMost limit: Int) -> [Range<Int>] {
    precondition(limit > 0, "slices of at most \(limit)")
    return stride(from: 0, to: count, by: limit).map { $0..<($0 + min(limit, count - $0)) }
  }

  /// The part of block `index` that lies in `window`, relative to the block's start (empty if none).
  public func part(ofBlock index: Int, in window: Range<Int>) -> Range<Int> {
    let block = offsets[index]..<(offsets[index] + counts[index])
    let common = block.clamped(to: window)
    return common.isEmpty
      ? 0..<0 : (common.lowerBound - block.lowerBound)..<(common.upperBound - block.lowerBound)
  }

  /// How many bytes of each block lie in `window`.
  public func counts(in window: Range<Int>) -> [Int] {
    counts.indices.map { part(ofBlock: $0, in: window).count }
  }
}
