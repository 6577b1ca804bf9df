// The part of a task that decides the trainable vector and the files that are written, as a value:
// adapters do not know what a task computes (target FineTuning does).

/// The parts of the model after the blocks that a task uses, and the task's names in PEFT.
package struct TaskHead: Sendable, Equatable {
  /// True if the task computes with the model's pooler, where the model has one.
  package var usesPooler: Bool
  /// True if the task computes with the model's own product to the vocabulary.
  package var usesLanguageHead: Bool
  /// The labels of a new head that is trained; nil for no new head.
  package var labels: Int?
  /// PEFT's `task_type`.
  package var peftTask: String
  /// PEFT's `modules_to_save`, the modules that may be the new head; nil for no new head.
  package var peftModules: [String]?

  /// A head of these parts.
  package init(
    usesPooler: Bool, usesLanguageHead: Bool, labels: Int?, peftTask: String,
    peftModules: [String]?
  ) {
    self.usesPooler = usesPooler
    self.usesLanguageHead = usesLanguageHead
    self.labels = labels
    self.peftTask = peftTask
    self.peftModules = peftModules
  }
}
