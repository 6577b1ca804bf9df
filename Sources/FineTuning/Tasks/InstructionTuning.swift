// Instruction tuning: language modelling of a prompt and its answer, in which the loss counts the tokens
// of the answer alone.
//
// An answer is exact if each of its tokens, the end token included, is the most probable one after the
// prompt and the tokens of the answer before it. Then, and only then, greedy decoding gives the answer
// token by token: as long as it has given the right tokens, it sees what this one pass sees. So exact
// match needs no decoding.

package import Federation
package import Transformers

/// The answer to a prompt, by the model's own head.
package struct InstructionTuning: AnswerTask {
  /// What the loss is computed by.
  package let language = LanguageModelling()

  /// Instruction tuning, which has no values.
  package init() {}

  /// In experiment files `instruction_tuning`.
  package static let kind = TaskKind(
    name: "instruction_tuning", targets: .answer, usesLanguageHead: true, leastTokens: 2
  ) { _ in InstructionTuning() }

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
