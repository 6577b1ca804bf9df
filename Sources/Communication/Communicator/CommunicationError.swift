// What can go wrong between ranks, each error one clear line, and how an error on one rank is told to the
// others together with the exit code that the program should end with.

/// An error that knows the exit code (sysexits.h) with which the program should end.
///
/// A failure that is told to other ranks carries its code along, so whichever rank ends the job first, the
/// job ends with the code of the cause.
public protocol ErrorWithExitCode: Error {
  /// The exit code, 1 to 255.
  var exitCode: Int32 { get }
}

/// A fault between ranks.
public enum CommunicationError: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// Two ranks called different collectives, or the same with different counts or roots.
  case mismatch(rank: Int, call: String, otherRank: Int, otherCall: String)
  /// A rank ended while others still waited for it in a collective.
  case rankLeft(rank: Int, reason: String)
  /// A value that must be the same on all ranks is not.
  case disagreement(what: String, rank: Int, value: String, expected: String)
  /// A received message that cannot be what was sent.
  case malformed(String)

  /// One line: what, on which rank, found and expected.
  public var description: String {
    switch self {
    case .mismatch(let rank, let call, let otherRank, let otherCall):
      "ranks called different collectives: rank \(rank) \(call), rank \(otherRank) \(otherCall)"
    case .rankLeft(let rank, let reason): "rank \(rank) left the others: \(reason)"
    case .disagreement(let what, let rank, let value, let expected):
      "\(what) is not the same on all ranks: rank \(rank) has \(value), rank 0 has \(expected)"
    case .malformed(let text): text
    }
  }

  /// 70: a fault of the program itself.
  public var exitCode: Int32 { 70 }
}

/// What the other ranks throw when one of them failed in something that they do together.
public struct RankFailure: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// The lowest rank that failed; it throws its own error.
  public let rank: Int
  /// The text of that rank's error.
  public let reason: String
  /// The exit code of that rank's error, 70 if it names none.
  public let exitCode: Int32

  /// A failure of `rank`.
  public init(rank: Int, reason: String, exitCode: Int32) {
    (self.rank, self.reason, self.exitCode) = (rank, reason, exitCode)
  }

  /// One line naming the rank and its error.
  public var description: String { "rank \(rank) failed: \(reason)" }
}
