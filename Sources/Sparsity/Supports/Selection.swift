// Which coordinates of a vector travel. A method of the paper is a pair of these values, one for
// the download and one for the upload.

/// A rule that chooses the coordinates of a vector that are sent in a round.
public enum Selection: Sendable, Equatable {
  /// Every coordinate.
  case all
  /// The max(1, floor(n * density)) coordinates of largest magnitude over the whole vector.
  case topMagnitude(DensitySchedule)
  /// max(1, floor(n * density)) coordinates, each set of them equally likely (random-k; Stich et al. 2018,
  /// arXiv 1809.07599). The values are sent as they are, not scaled by 1 / density.
  case random(DensitySchedule)
  /// The coordinates that the client received; for uploads.
  case downloaded

  /// The number of coordinates of `length` that are kept in a round; `downloaded` of them were
  /// received.
  public func count(length: Int, round: Int, downloaded: Int? = nil) -> Int {
    switch self {
    case .all: length
    case .topMagnitude(let schedule), .random(let schedule):
      schedule.count(length: length, round: round)
    case .downloaded: downloaded ?? length
    }
  }

  /// Whether every vector of `length` coordinates gives the same mask in a round, so that a reader who
  /// knows the candidates, the seed and the round knows the mask.
  ///
  /// - Parameters:
  ///   - candidates: The number of coordinates that the density is of.
  ///   - limit: The number of coordinates that can be kept.
  public func isFixed(round: Int, candidates: Int, limit: Int) -> Bool {
    switch self {
    case .all, .downloaded, .random: true
    case .topMagnitude(let schedule): schedule.count(length: candidates, round: round) >= limit
    }
  }

  /// The coordinates that are kept in a round if no value decides; nil if the values decide.
  ///
  /// A reader who knows the arguments knows this mask before the message comes.
  ///
  /// - Parameters:
  ///   - length: The number of coordinates of the vector.
  ///   - candidates: Only these can be kept, and the density is of their number; nil for all.
  ///   - limit: The part of the candidates that can be kept; nil for all of them.
  ///   - downloaded: The coordinates that `downloaded` stands for.
  ///   - generator: Decides the random coordinates; other selections draw nothing.
  /// - Complexity: O(length) for random coordinates, otherwise O(1).
  package func fixedMask(
    length: Int, round: Int, among candidates: SupportMask? = nil, limit: SupportMask? = nil,
    downloaded: SupportMask? = nil, using generator: inout some RandomNumberGenerator
  ) -> SupportMask? {
    let within = limit ?? candidates ?? .all(length: length)
    let candidateCount = candidates?.count ?? length
    guard isFixed(round: round, candidates: candidateCount, limit: within.count) else { return nil }
    switch self {
    case .all, .topMagnitude: return within
    case .downloaded:
      guard let downloaded else { preconditionFailure("nothing was downloaded") }
      return downloaded
    case .random:
      let count = min(count(length: candidateCount, round: round), within.count)
      return within.subset(randomCoordinates(of: within.count, count: count, using: &generator))
    }
  }

  /// The coordinates of `vector` that are kept in a round; the arguments are those of `fixedMask`.
  ///
  /// - Precondition: no NaN in `vector` (see ``largestMagnitudes(of:count:)``).
  /// - Complexity: O(n).
  public func mask(
    of vector: UnsafeBufferPointer<Float>, round: Int, among candidates: SupportMask? = nil,
    limit: SupportMask? = nil, downloaded: SupportMask? = nil,
    using generator: inout some RandomNumberGenerator
  ) -> SupportMask {
    if let fixed = fixedMask(
      length: vector.count, round: round, among: candidates, limit: limit, downloaded: downloaded,
      using: &generator)
    {
      return fixed
    }
    let count = count(length: candidates?.count ?? vector.count, round: round)
    guard let within = limit ?? candidates, !within.isAll else {
      return largestMagnitudes(of: vector, count: count)
    }
    let values = SparseVector(gathering: vector, at: within).values
    let chosen = values.withUnsafeBufferPointer { largestMagnitudes(of: $0, count: count) }
    return within.subset(chosen)
  }
}

/// `count` of `length` coordinates, each set equally likely: selection sampling (Knuth, The Art of
/// Computer Programming, volume 2, 3.4.2, algorithm S).
///
/// - Complexity: O(length), a random number for each coordinate.
package func randomCoordinates(
  of length: Int, count: Int, using generator: inout some RandomNumberGenerator
) -> SupportMask {
  precondition((0...length).contains(count), "\(count) of \(length) coordinates")
  guard count < length else { return .all(length: length) }
  let indices = [UInt32](unsafeUninitializedCapacity: count) { buffer, found in
    var index = 0
    while found < count {
      let (left, wanted) = (UInt64(length - index), UInt64(count - found))
      // Uniform in 0 ..< left, to within 2^-32 of a draw.
      let drawn = ((generator.next() >> 32) * left) >> 32
      if drawn < wanted {
        buffer[found] = UInt32(index)
        found += 1
      }
      index += 1
    }
  }
  return SupportMask(length: length, indices: indices)
}
