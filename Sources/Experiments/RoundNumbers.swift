// The numbers of rounds in tables, curves and the manifest: from 1, as the log has them. Runs that an
// earlier version began count from 0 and go on so; manifest.json says which it is.

/// The numbering of a run's rounds.
struct RoundNumbers: Equatable {
  /// The number of the first round.
  var first = 1

  /// The number of a round that comes after `count` others.
  subscript(after count: Int) -> Int { count + first }
}

/// The place in its tables at which a run goes on.
struct RoundsKept {
  /// The rounds that stay.
  var count: Int
  var numbers: RoundNumbers

  /// The number of the first round that is played again.
  var next: Int { numbers[after: count] }
}
