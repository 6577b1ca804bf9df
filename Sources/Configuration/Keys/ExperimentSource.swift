// The places of the values of an experiment, for messages that name the file and the line.

package import Federation

/// The places of the keys that a file or `--set` arguments give.
package struct ExperimentSource: Sendable {
  /// A line of the file or a `--set` argument; ordered as the user wrote them.
  package enum Place: Sendable {
    case line(Int)
    case setting(String, order: Int)

    /// The place in the order of all.
    var order: Int {
      switch self {
      case .line(let line): line
      case .setting(_, let order): 1_000_000_000 + order
      }
    }
  }

  /// The place of a key.
  struct KeyPlace: Sendable {
    let place: Place
    /// True if the `--set` argument names this very key, so that a message need not.
    let isNamedByPlace: Bool
  }

  /// A problem with its place in the order of all.
  typealias Ordered = (order: Int, problem: Problem)

  /// The order of what is given nowhere.
  static let last = 2_000_000_000

  /// The file's name, as messages show it.
  let name: String
  /// Stands before a setting in messages: `--set `, or the file that has it.
  let settingPrefix: String
  /// The keys that are given.
  let keys: [String: KeyPlace]

  /// A problem at a place.
  func problem(at place: Place, key: String?, _ text: String) -> Ordered {
    let location: String
    switch place {
    case .line(let line): location = "\(name):\(line)"
    case .setting(let setting, _): location = settingPrefix + clipped(setting, to: 200)
    }
    return (
      place.order, Problem(location: location, key: key.map { clipped($0, to: 200) }, text: text)
    )
  }

  /// A problem of a key, where it is given; where it is not, at a key that the rule looks at
  /// besides.
  func problem(_ key: String, _ text: String, with others: [String] = []) -> Ordered {
    if let own = keys[key] {
      return problem(at: own.place, key: own.isNamedByPlace ? nil : key, text)
    }
    if let other = others.lazy.compactMap({ keys[$0] }).first {
      return problem(at: other.place, key: key, text)
    }
    return (Self.last, Problem(location: name, key: key, text: text))
  }

  /// A problem of the plan.
  func problem(_ problem: PlanProblem) -> Ordered {
    self.problem(problem.key, problem.text, with: problem.others)
  }

  /// Refuses a plan that has problems.
  ///
  /// - Throws: `ExperimentProblems` with all of them.
  package func check(_ problems: [PlanProblem]) throws {
    try ExperimentProblems.check(problems.map { problem($0) }, of: name)
  }

  /// The same error, with the places of a plan's problems where it tells some.
  package func located(_ error: any Error) -> any Error {
    guard let problems = (error as? FederationError)?.problems, !problems.isEmpty else {
      return error
    }
    return ExperimentProblems(problems.map { problem($0) }, of: name)
  }
}
