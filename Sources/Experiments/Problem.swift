// What is wrong with an experiment, all of it at once, and where a misspelt name was meant to go.

/// One thing that is wrong with an experiment, and where.
public struct Problem: Sendable, Equatable, CustomStringConvertible {
  /// File and line, or the `--set` argument.
  public let location: String
  /// The key, where it is not part of the location.
  public let key: String?
  /// What is wrong and what would be right.
  public let text: String

  /// `experiment.yaml:12: federation.rounds: 0 is not allowed; give an integer of at least 1`
  public var description: String {
    key.map { "\(location): \($0): \(text)" } ?? "\(location): \(text)"
  }
}

/// All problems of an experiment, one line each.
public struct ExperimentProblems: Error, Sendable, CustomStringConvertible {
  /// In the order of the file.
  public let problems: [Problem]
  /// The problems, one line each.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Number of insertions, deletions, replacements and swaps of neighbours between two words.
func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first.utf8)
  let b = Array(second.utf8)
  var rows = [Array(0...b.count)]
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, rows[i - 1][j - 1] + 1)
      }
      row.append(cost)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
