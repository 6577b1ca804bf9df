// What tasks share whose loss is that of language modelling on the marked tokens alone.

package import Adapters
package import Transformers

/// A task that predicts the marked tokens of its sequences by the model's own head.
package protocol AnswerTask: Task {
  /// What the loss is computed by.
  var language: LanguageModelling { get }
}

extension AnswerTask {
  /// The model's own head, as in language modelling.
  package var head: TaskHead { language.head }

  /// Every token.
  package var rows: OutputRows { language.rows }

  /// No classes.
  package var labelCount: Int { 0 }

  /// Checks that the model is causal and has a head.
  package func check(_ model: PretrainedModel) throws { try language.check(model) }

  /// The marked tokens; the first token of an example has nothing to be predicted from.
  package func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int {
    isAnswer().dropFirst().count { $0 }
  }

  /// A chunk of rows.
  package func logitCount(configuration: ModelConfiguration, capacity: Int) -> Int {
    language.logitCount(configuration: configuration, capacity: capacity)
  }

  /// All logits, (tokens, V): for tests and tools on short texts only.
  package func logits(_ batch: PackedSequences, _ pass: HeadPass) -> [Float] {
    language.logits(batch, pass)
  }
}
