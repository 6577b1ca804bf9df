// Instruction tuning: language modelling of a prompt and its answer, in which the loss counts the tokens
// of the answer alone.
//
// An answer is exact if each of its tokens, the end token included, is the most probable one after the
// prompt and the tokens of the answer before it. Then, and only then, greedy decoding gives the answer
// token by token: as long as it has given the right tokens, it sees what this one pass sees. So exact
// match needs no decoding.

package import Adapters
package import Federation
package import Transformers

/// The answer to a prompt, by the model's own head.
package struct InstructionTuning: Task {
  private let language = LanguageModelling()

  /// Instruction tuning, which has no values.
  package init() {}

  /// In experiment files `instruction_tuning`.
  package static let kind = TaskKind(
    name: "instruction_tuning", targets: .answer, usesLanguageHead: true, leastTokens: 2
  ) { _ in InstructionTuning() }

  /// The model's own head, as in language modelling.
  package var head: TaskHead { language.head }

  /// Every token.
  package var rows: OutputRows { language.rows }

  /// No classes.
  package var labelCount: Int { 0 }

  /// Checks that the model is causal and has a head.
  package func check(_ model: PretrainedModel) throws { try language.check(model) }

  /// The tokens of the answer; the first token of an example has nothing to be predicted from.
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

  /// Cross-entropy of the answers' tokens; `labels` are not read.
  package func outcomes(
    _ batch: PackedSequences, labels: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    language.outcomes(batch, labels: labels, pass).map { outcome in
      var outcome = outcome
      outcome.isExact = outcome.count == 0 ? nil : outcome.correct == outcome.count
      return outcome
    }
  }
}
