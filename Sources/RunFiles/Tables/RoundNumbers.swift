// The numbers of rounds in tables, curves and the manifest: from 1, as the log has them. Runs that an
// earlier version began count from 0 and go on so; manifest.json says which it is.

/// The numbering of a run's rounds.
package struct RoundNumbers: Equatable {
  /// The number of the first round.
  package var first = 1

  /// The number of a round that comes after `count` others.
  package subscript(after count: Int) -> Int { count + first }

  package init(first: Int = 1) {
    self.first = first
  }
}

/// The place in its tables at which a run goes on.
package struct RoundsKept {
  /// The rounds that stay.
  package var count: Int
  package var numbers: RoundNumbers

  /// The number of the first round that is played again.
  package var next: Int { numbers[after: count] }

  package init(count: Int, numbers: RoundNumbers) {
    self.count = count
    self.numbers = numbers
  }
}
