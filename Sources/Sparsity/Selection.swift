// Which coordinates of a vector travel. A method of the paper is a pair of these values, one for
// the download and one for the upload.

/// A rule that chooses the coordinates of a vector that are sent in a round.
public enum Selection: Sendable, Equatable {
  /// Every coordinate.
  case all
  /// The floor(n * density) coordinates of largest magnitude over the whole vector.
  case topMagnitude(DensitySchedule)

  /// The density of a round, as configured; what was really kept is the mask's `density`.
  public func density(round: Int) -> Double {
    switch self {
    case .all: 1
    case .topMagnitude(let schedule): schedule.density(round: round)
    }
  }

  /// The number of coordinates of `length` that are kept in a round.
  public func count(length: Int, round: Int) -> Int {
    switch self {
    case .all: length
    case .topMagnitude(let schedule): schedule.count(length: length, round: round)
    }
  }

  /// The coordinates of `vector` that are kept in a round.
  ///
  /// - Precondition: no NaN in `vector` (see ``largestMagnitudes(of:count:)``).
  /// - Complexity: O(n).
  public func mask(of vector: UnsafeBufferPointer<Float>, round: Int) -> SupportMask {
    largestMagnitudes(of: vector, count: count(length: vector.count, round: round))
  }
}
