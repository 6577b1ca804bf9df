// The problems of an experiment, all of them at once.

internal import Communication
internal import Files

/// One thing that is wrong with an experiment, and where.
package struct Problem: Sendable, Equatable, CustomStringConvertible {
  /// File and line, or the `--set` argument.
  let location: String
  /// The key, where it is not part of the location.
  package let key: String?
  /// What is wrong and what would be right.
  package let text: String

  /// `experiment.yaml:12: federation.rounds: 0 is not allowed; give an integer of at least 1`
  package var description: String {
    key.map { "\(location): \($0): \(text)" } ?? "\(location): \(text)"
  }
}

/// All problems of an experiment, one line each.
package struct ExperimentProblems: Error, Sendable, CustomStringConvertible {
  /// In the order of the file.
  package let problems: [Problem]
  /// The most problems that are listed.
  private static let most = 100

  /// These problems in the order of the file, or the first of them.
  init(_ found: [ExperimentSource.Ordered], of name: String) {
    let sorted = found.enumerated().sorted {
      ($0.element.order, $0.offset) < ($1.element.order, $1.offset)
    }
    var shown = sorted.prefix(Self.most).map(\.element.problem)
    if sorted.count > shown.count {
      shown.append(
        Problem(location: name, key: nil, text: "\(sorted.count - shown.count) more problems"))
    }
    problems = shown
  }

  /// Throws where there are any.
  static func check(_ found: [ExperimentSource.Ordered], of name: String) throws {
    if !found.isEmpty { throw ExperimentProblems(found, of: name) }
  }

  /// The problems, one line each.
  package var description: String { problems.map(\.description).joined(separator: "\n") }
}

extension ExperimentProblems: ErrorWithExitCode {
  /// 64, as for the command line.
  package var exitCode: Int32 { ExitCode.usage }
}
