// The part of a task that decides the trainable vector and the files that are written, as a value:
// adapters do not know what a task computes (target FineTuning does).

package import Transformers

/// The parts of the model after the blocks that a task uses, and the task's names in PEFT.
package struct TaskHead: Sendable, Equatable {
  /// The hidden state that the task reads; nil if it reads those of all tokens.
  package var pooling: Pooling?
  /// True if the task computes with the model's own product to the vocabulary.
  package var usesLanguageHead: Bool
  /// The labels of a new head that is trained; nil for no new head.
  package var labels: Int?
  /// PEFT's `task_type`.
  package var peftTask: String
  /// PEFT's `modules_to_save`, the modules that may be the new head; nil for no new head.
  package var peftModules: [String]?
  /// transformers' `problem_type`; nil for tasks that have none.
  package var problemType: String?

  /// A head of these parts.
  package init(
    pooling: Pooling?, usesLanguageHead: Bool, labels: Int?, peftTask: String,
    peftModules: [String]?, problemType: String? = nil
  ) {
    self.pooling = pooling
    self.usesLanguageHead = usesLanguageHead
    self.labels = labels
    self.peftTask = peftTask
    self.peftModules = peftModules
    self.problemType = problemType
  }

  /// True if the task computes with the pooler of such a model, where there is one.
  package func usesPooler(of configuration: ModelConfiguration) -> Bool {
    pooling.map { configuration.hasPooler(after: $0) } ?? false
  }
}
