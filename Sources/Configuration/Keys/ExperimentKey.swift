// A key of the experiment file: its path, its property, the form of its value and when it counts.

internal import Foundation
package import Yams

/// One key of the experiment file. `ExperimentKey.all` lists them.
package struct ExperimentKey: Sendable {
  /// Where the key stands, such as `federation.server.tau`.
  package let path: String
  /// What it does, in a sentence without a full stop.
  package let meaning: String
  /// What can be given.
  package let allowed: String
  /// Whether it has to be given, as it has no default.
  let isRequired: Bool

  /// Sets the property, or leaves it and says false where the node holds nothing allowed.
  package let read: @Sendable (Node, ReadingContext, inout Experiment) -> Bool
  /// The property as YAML text in flow style, or nil where nothing is set.
  package let write: @Sendable (Experiment) -> String?
  /// The conditions under which the key has an effect, all of them.
  let conditions: [Condition]

  /// A key counts only where another one has certain values.
  package struct Condition: Sendable {
    /// The other key.
    package let path: String
    /// Its values with which this one counts.
    package let values: [String]
    /// The other key's value.
    package let current: @Sendable (Experiment) -> String

    package func holds(in experiment: Experiment) -> Bool { values.contains(current(experiment)) }
  }

  package init<Value: Sendable>(
    _ path: String, _ property: any WritableKeyPath<Experiment, Value> & Sendable,
    _ form: ValueForm<Value>, required: Bool = false, only first: Condition? = nil,
    and second: Condition? = nil, _ meaning: String
  ) {
    self.path = path
    self.meaning = meaning
    allowed = form.allowed
    isRequired = required
    conditions = [first, second].compactMap { $0 }
    read = { node, context, experiment in
      guard let value = form.read(node, context) else { return false }
      experiment[keyPath: property] = value
      return true
    }
    write = { form.write($0[keyPath: property]) }
  }

  /// A key without a default that has to be given where it counts, or that can be left out.
  package init(
    _ path: String, optional property: any WritableKeyPath<Experiment, String?> & Sendable,
    required: Bool = false, only first: Condition? = nil, and second: Condition? = nil,
    _ meaning: String
  ) {
    let form = ValueForm<String>.path
    self.path = path
    self.meaning = meaning
    allowed = form.allowed
    isRequired = required
    conditions = [first, second].compactMap { $0 }
    read = { node, context, experiment in
      guard let value = form.read(node, context) else { return false }
      experiment[keyPath: property] = value
      return true
    }
    write = { $0[keyPath: property].map(form.write) }
  }

  /// Whether the key has an effect, given the others.
  package func counts(in experiment: Experiment) -> Bool {
    conditions.allSatisfy { $0.holds(in: experiment) }
  }

  /// The default as YAML text, or nil where there is none.
  package var defaultText: String? { isRequired ? nil : write(Experiment()) }
}

/// The condition that another property has one of some values.
package func when<Value: RawRepresentable & Sendable>(
  _ path: String, _ property: any KeyPath<Experiment, Value> & Sendable, is values: Value...
) -> ExperimentKey.Condition where Value.RawValue == String {
  ExperimentKey.Condition(
    path: path, values: values.map(\.rawValue),
    current: { $0[keyPath: property].rawValue })
}
