// Sums of label decisions and of scores: F1 and Pearson's correlation against the definitions.

import Federation
import Testing

@Suite("Evaluation of label sets and scores")
struct EvaluationScoreTests {
  @Test("decisions are counted by label, and the order of examples does not matter")
  func decisions() throws {
    // Predicted and actual sets of three labels.
    let examples: [([Bool], [Bool])] = [
      ([true, false, true], [true, true, false]), ([false, false, true], [false, false, true]),
      ([true, true, false], [true, false, false]),
    ]
    func sums(_ examples: [([Bool], [Bool])]) -> EvaluationSums {
      var sums = EvaluationSums(labels: 3)
      for (predicted, actual) in examples {
        let decisions = zip(predicted, actual).map {
          LabelDecision(isPredicted: $0, isActual: $1)
        }
        let isAdded = sums.add(
          ExampleOutcome(loss: 0.5, correct: 0, count: 3, decisions: decisions))
        #expect(isAdded)
      }
      return sums
    }
    let found = sums(examples)
    #expect(found == sums(examples.reversed()))
    let counts = try #require(found.labelCounts)
    #expect(
      counts == [
        LabelCount(actual: 2, predicted: 2, both: 2), LabelCount(actual: 1, predicted: 1, both: 0),
        LabelCount(actual: 1, predicted: 2, both: 1),
      ])
    let scores = F1Scores(counts)
    // sklearn.metrics.f1_score of these sets: macro (1 + 0 + 2/3) / 3, micro 2 * 3 / (5 + 4).
    #expect(abs(scores.macro - 5.0 / 9) < 1e-12 && abs(scores.micro - 2.0 / 3) < 1e-12)
    #expect(found.confusion.isEmpty)
  }

  @Test("Pearson's correlation is that of the definition; without variation there is none")
  func pearson() throws {
    let predicted: [Float] = [0.5, -1.25, 3, 2.5, -0.75]
    let actual: [Float] = [1, -2, 2.5, 4, 0]
    func sums(_ x: [Float], _ y: [Float]) -> EvaluationSums {
      var sums = EvaluationSums()
      for (x, y) in zip(x, y) {
        let outcome = ExampleOutcome(
          loss: 1, correct: 0, count: 1, score: ScoreOutcome(predicted: x, actual: y))
        let isAdded = sums.add(outcome)
        #expect(isAdded)
      }
      return sums
    }
    let (x, y) = (predicted.map(Double.init), actual.map(Double.init))
    let (meanX, meanY) = (x.reduce(0, +) / 5, y.reduce(0, +) / 5)
    let products = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
    let squares = (
      x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) },
      y.reduce(0) { $0 + ($1 - meanY) * ($1 - meanY) }
    )
    let expected = products / (squares.0 * squares.1).squareRoot()
    let found = try #require(sums(predicted, actual).pearson)
    #expect(abs(found - expected) < 1e-9)
    #expect(sums(predicted, [1, 1, 1, 1, 1]).pearson == nil)
    #expect(EvaluationSums().pearson == nil)
    var large = EvaluationSums()
    let outcome = ExampleOutcome(
      loss: 1, correct: 0, count: 1, score: ScoreOutcome(predicted: 1e30, actual: 0))
    let isAdded = large.add(outcome)
    #expect(!isAdded)
  }
}
