// The section `evaluation`.

package import Corpora
package import Federation

extension Experiment {
  /// When and on what the trained vector is evaluated.
  package struct EvaluationSection: Sendable, Equatable {
    /// Rounds from one evaluation to the next.
    package var every = 10
    /// The splits.
    package var splits = [Split.test]
    /// Examples of a split that are looked at; nil means all.
    package var maximumExamples: Int?
    /// Whether the vector is evaluated as a client receives it.
    package var masked = Masked.yes
    /// Whether the vector is evaluated as the clients of each tier receive it, too.
    package var tiers = false
    /// Clients of each group that are evaluated one by one.
    package var clients = 0
    /// Share of the examples that is held out of training for the evaluation of clients.
    package var holdout = 0.0

    /// Whether the vector is evaluated under the round's download mask, as a whole, or both.
    package enum Masked: String, Sendable, CaseIterable {
      case yes = "true"
      case no = "false"
      case both
    }
  }
}

extension ExperimentKey {
  static let evaluationKeys: [ExperimentKey] = [
    ExperimentKey(
      "evaluation.every", \.evaluation.every, .integer(atLeast: 1, atMost: 1 << 31),
      "rounds between two evaluations; the last round is always evaluated"),
    ExperimentKey(
      "evaluation.splits", \.evaluation.splits, .list(), "the splits that are evaluated"),
    ExperimentKey(
      "evaluation.maximum_examples", \.evaluation.maximumExamples,
      .either("all", or: .integer(atLeast: 1)),
      "number of examples of a split that are evaluated: the same random ones each time"),
    ExperimentKey(
      "evaluation.masked", \.evaluation.masked, .choice,
      "evaluate the vector that clients receive (true: with the download mask), the whole vector"
        + " (false), or both"),
    ExperimentKey(
      "evaluation.tiers", \.evaluation.tiers, .boolean,
      only: Condition(
        path: "method.tiers", values: ["a list of tiers"],
        current: { $0.method.tiers.isEmpty ? "[]" : "a list of tiers" }),
      "whether the splits are also evaluated with the vector that each tier receives"),
    ExperimentKey(
      "evaluation.clients", \.evaluation.clients, .integer(atLeast: 0, atMost: 1 << 20),
      "evaluate this many clients that took part so far, and as many that did not, each on its"
        + " own examples; 0: none"),
    ExperimentKey(
      "evaluation.holdout", \.evaluation.holdout, .number(.partialShare),
      only: Condition(
        path: "evaluation.clients", values: ["1 or more"],
        current: { $0.evaluation.clients > 0 ? "1 or more" : "0" }),
      "share of the training examples that is held out for the evaluation of clients; 0: clients"
        + " are evaluated on their training examples"),
  ]
}

extension Experiment.EvaluationSection.Masked {
  package var vectors: [EvaluatedVector] {
    switch self {
    case .yes: [.masked]
    case .no: [.whole]
    case .both: [.masked, .whole]
    }
  }
}
