// What is wrong with a plan, by the keys of the experiment file: whoever made the plan of a file
// says besides in which line. Each rule of a plan is written beside the value that it is for.

/// One thing that is wrong with a plan.
public struct PlanProblem: Sendable, Equatable, CustomStringConvertible {
  /// The key of the experiment file whose value is not allowed, as `method.aggregation`.
  public let key: String
  /// What is wrong and what would be right; it stands after the key.
  public let text: String
  /// The other keys that the rule looks at.
  package let others: [String]

  /// The keys that say how many clients there are to draw cohorts from.
  static let populationKeys = ["partition.clients", "partition.kind", "federation.cohort.kind"]

  /// A problem of a key's value, by itself or together with the values of others.
  init(_ key: String, _ text: String, with others: [String] = []) {
    self.key = key
    self.text = text
    self.others = others
  }

  /// A value that is outside of what is allowed.
  init(
    _ key: String, _ value: some CustomStringConvertible, give allowed: String,
    with others: [String] = []
  ) {
    self.init(key, "\(value) is not allowed; give \(allowed)", with: others)
  }

  /// For example `federation.rounds: 0 is not allowed; give an integer of at least 1`.
  public var description: String { "\(key): \(text)" }
}

/// Collects the problems of the values of one section.
struct ValueChecks {
  /// The section of the keys, as `federation.server`.
  let section: String
  private(set) var problems: [PlanProblem] = []

  init(_ section: String) { self.section = section }

  /// A value is as described.
  mutating func require(
    _ condition: Bool, _ name: String, _ value: some CustomStringConvertible, give allowed: String,
    with others: [String] = []
  ) {
    if !condition { refuse(name, "\(value) is not allowed; give \(allowed)", with: others) }
  }

  /// A number is in a range.
  mutating func require(_ name: String, _ value: Double, in range: NumberRange) {
    require(range.contains(value), name, short(value), give: range.text)
  }

  /// An integer is large enough.
  mutating func require(_ name: String, _ value: Int, atLeast low: Int) {
    require(value >= low, name, value, give: "an integer of at least \(low)")
  }

  /// A key has a problem.
  mutating func refuse(_ name: String, _ text: String, with others: [String] = []) {
    problems.append(PlanProblem("\(section).\(name)", text, with: others))
  }
}
