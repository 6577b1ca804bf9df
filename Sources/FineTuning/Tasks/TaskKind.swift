// The table of tasks: one row here and one file beside this one for each.

package import Transformers

/// A kind of task, as an experiment file names it.
package struct TaskKind: RawRepresentable, CaseIterable, Equatable, Sendable {
  /// The values of a task, from the corpus and the experiment file.
  package struct Request {
    /// Labels of the corpus.
    package var labels: Int
    /// The hidden state that stands for a sequence.
    package var pooling: Pooling

    /// A request for so many labels.
    package init(labels: Int, pooling: Pooling) {
      self.labels = labels
      self.pooling = pooling
    }
  }

  /// The name in experiment files.
  package let rawValue: String
  /// True if examples need labels.
  package let needsLabels: Bool
  /// True if the task computes with the model's own product to the vocabulary.
  package let usesLanguageHead: Bool
  /// True if examples need marks of the tokens of answers.
  package let needsAnswers: Bool
  /// The least tokens of an example of which something is predicted; 0 for any example.
  package let leastTokens: Int
  /// Makes the task.
  package let make: @Sendable (Request) -> any Task

  /// Every task, in the order in which help lists them.
  package static let allCases: [TaskKind] = [
    .classification, .languageModelling, .instructionTuning,
  ]
  /// The label of an example.
  package static let classification = Classification.kind
  /// The next token of each token.
  package static let languageModelling = LanguageModelling.kind
  /// The answer to a prompt.
  package static let instructionTuning = InstructionTuning.kind

  /// A kind of this name.
  init(
    name: String, needsLabels: Bool = false, needsAnswers: Bool = false, usesLanguageHead: Bool,
    leastTokens: Int,
    make: @escaping @Sendable (Request) -> any Task
  ) {
    rawValue = name
    self.needsLabels = needsLabels
    self.needsAnswers = needsAnswers
    self.usesLanguageHead = usesLanguageHead
    self.leastTokens = leastTokens
    self.make = make
  }

  /// The kind of this name; nil if there is none.
  package init?(rawValue: String) {
    guard let found = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = found
  }

  /// Kinds are equal if their names are.
  package static func == (a: TaskKind, b: TaskKind) -> Bool { a.rawValue == b.rawValue }
}
