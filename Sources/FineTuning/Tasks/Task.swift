// A task turns hidden states into losses. It says everything about itself in one file: the hidden
// states that it needs, its head, its loss and gradient, the counts of an outcome, and its names in
// PEFT and in experiment files. `TaskKind.allCases` lists the tasks.

package import Adapters
package import Federation
package import Transformers

/// A task that a model is trained for.
package protocol Task: Sendable {
  /// The kind of task, by which experiment files name it.
  static var kind: TaskKind { get }

  /// The task as the trainable vector and written files see it.
  var head: TaskHead { get }

  /// The tokens whose hidden states the task needs.
  var rows: OutputRows { get }

  /// The number of classes of an outcome's label and prediction; 0 without classes.
  var labelCount: Int { get }

  /// Checks that a model can do the task.
  /// - Throws: `ModelError` if the model lacks a part that the task needs.
  func check(_ model: PretrainedModel) throws

  /// The items of an example of so many tokens: the loss is a mean over items.
  ///
  /// - Parameter isAnswer: the marks of its tokens, for tasks with answers.
  func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int

  /// Floats of the buffer for logits, for micro-batches of at most `capacity` tokens.
  func logitCount(configuration: ModelConfiguration, capacity: Int) -> Int

  /// The outcome of each sequence. If the pass has a gradient, also adds the gradients of the
  /// parameters after the blocks, and writes the hidden states' gradient to `buffers.dHidden`.
  ///
  /// - Parameter labels: one for each sequence; empty for a task without classes.
  func outcomes(_ batch: PackedSequences, labels: [Int32], _ pass: HeadPass) -> [ExampleOutcome]

  /// The logits of a micro-batch, row-major.
  func logits(_ batch: PackedSequences, _ pass: HeadPass) -> [Float]
}

extension TrainableLayout {
  /// The layout of a task for a model.
  /// - Throws: `ModelError` if a target names no layer, or the model cannot do the task.
  package init(model: PretrainedModel, adaptation: Adaptation, task: any Task) throws {
    try self.init(model: model, adaptation: adaptation, head: task.head)
    try task.check(model)
  }
}
