// The table of tasks: one row here and one file beside this one for each.

package import Transformers

/// What a corpus has to say of its examples.
package enum TaskTargets: Sendable {
  /// Nothing: the tokens are all.
  case none
  /// One label.
  case label
  /// Any number of labels.
  case labelSet
  /// A number.
  case score
  /// The tokens of an answer.
  case answer
  /// Answers of which one is right.
  case choice
}

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
  /// What examples need.
  package let targets: TaskTargets
  /// True if the task computes with the model's own product to the vocabulary.
  package let usesLanguageHead: Bool
  /// The least tokens of an example of which something is predicted; 0 for any example.
  package let leastTokens: Int
  /// Makes the task.
  package let make: @Sendable (Request) -> any Task

  /// Every task, in the order in which help lists them.
  package static let allCases: [TaskKind] = [
    .classification, .multiLabelClassification, .regression, .languageModelling,
    .instructionTuning, .multipleChoice,
  ]
  /// The label of an example.
  package static let classification = Classification.kind
  /// Any number of labels of an example.
  package static let multiLabelClassification = MultiLabelClassification.kind
  /// A number for an example.
  package static let regression = Regression.kind
  /// The next token of each token.
  package static let languageModelling = LanguageModelling.kind
  /// The right one of several answers.
  package static let multipleChoice = MultipleChoice.kind
  /// The answer to a prompt.
  package static let instructionTuning = InstructionTuning.kind

  /// A kind of this name.
  init(
    name: String, targets: TaskTargets = .none, usesLanguageHead: Bool, leastTokens: Int,
    make: @escaping @Sendable (Request) -> any Task
  ) {
    rawValue = name
    self.targets = targets
    self.usesLanguageHead = usesLanguageHead
    self.leastTokens = leastTokens
    self.make = make
  }

  /// The kind of this name; nil if there is none.
  package init?(rawValue: String) {
    guard let found = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = found
  }

  /// True if examples need one label each.
  package var needsLabels: Bool { targets == .label }

  /// Kinds are equal if their names are.
  package static func == (a: TaskKind, b: TaskKind) -> Bool { a.rawValue == b.rawValue }
}
