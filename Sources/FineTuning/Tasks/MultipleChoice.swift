// Multiple choice by the likelihood of each choice after the question, as lm-evaluation-harness counts it:
// acc takes the choice of the largest log-likelihood, acc_norm that of the largest log-likelihood for each
// character of the choice's text. Training is language modelling of the right choice's tokens.
//
// Each choice is a sequence of the batch; its targets are (characters, 1 if it is right, 1 if it is the
// last one of its example). In training a batch has the right choices alone.

package import Federation
package import Transformers

/// The right one of several answers, by the model's own head.
package struct MultipleChoice: AnswerTask {
  /// What the loss is computed by.
  package let language = LanguageModelling()

  /// Multiple choice, which has no values.
  package init() {}

  /// In experiment files `multiple_choice`.
  package static let kind = TaskKind(
    name: "multiple_choice", targets: .choice, usesLanguageHead: true, leastTokens: 2
  ) { _ in MultipleChoice() }

  /// The numbers that a choice has in a batch.
  package static func targets(characters: Int, isRight: Bool, isLast: Bool) -> [Float] {
    [Float(characters), isRight ? 1 : 0, isLast ? 1 : 0]
  }

  /// The outcome of each example: the loss of its right choice, and the choice by both rules. The first
  /// of equal choices is taken, as numpy's argmax does.
  package func outcomes(
    _ batch: PackedSequences, labels: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    precondition(
      batch.targets.count == 3 * batch.count,
      "\(batch.targets.count) targets for \(batch.count) choices")
    var examples: [ExampleOutcome] = []
    var choices: [ScoredChoice] = []
    for (index, outcome) in language.outcomes(batch, labels: labels, pass).enumerated() {
      choices.append(
        ScoredChoice(
          outcome: outcome, characters: Double(batch.targets[3 * index]),
          isRight: batch.targets[3 * index + 1] == 1))
      guard batch.targets[3 * index + 2] == 1 else { continue }
      examples.append(Self.outcome(of: choices))
      choices = []
    }
    return examples
  }

  private struct ScoredChoice {
    let outcome: ExampleOutcome
    let characters: Double
    let isRight: Bool
  }

  private static func outcome(of choices: [ScoredChoice]) -> ExampleOutcome {
    guard let right = choices.firstIndex(where: \.isRight) else {
      preconditionFailure("an example without a right choice")
    }
    var outcome = choices[right].outcome
    guard choices.count > 1 else { return outcome }
    func isBest(_ loss: (ScoredChoice) -> Double) -> Bool {
      choices.firstIndex { loss($0) == choices.map(loss).min() } == right
    }
    outcome.choice = ChoiceOutcome(
      isRight: isBest(\.outcome.loss), isRightNormalized: isBest { $0.outcome.loss / $0.characters }
    )
    return outcome
  }
}
