// An objective that reads its outcomes from a table: the numbers of an evaluation are then known.
import Corpora
import Federation
import RandomStreams

final class TableObjective: CoordinateObjective {
  let parameterCount = 1
  let labelCount: Int
  /// The outcome of each example, whatever the vector; a split that is not there has no example.
  let outcomes: [Split: [ExampleOutcome]]
  /// The examples that were trained on.
  private(set) var trained: Set<Int> = []
  /// The vectors at which was evaluated, in order.
  private(set) var evaluatedAt: [Float] = []

  init(labelCount: Int = 0, outcomes: [Split: [ExampleOutcome]]) {
    self.labelCount = labelCount
    self.outcomes = outcomes
  }

  func exampleCount(_ split: Split) -> Int { outcomes[split]?.count ?? 0 }
  func tokenCount(ofTrainingExample example: Int) -> Int { 1 }

  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    trained.formUnion(examples)
    gradient[0] = 1
    return LossSums(loss: 1, correct: 0, count: examples.count, tokens: examples.count)
  }

  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    evaluatedAt.append(parameters[0])
    for example in examples { try each(example, outcomes[split]![example]) }
  }
}

/// The outcome of a classified example.
func classified(_ label: Int32, as predicted: Int32, loss: Double = 1) -> ExampleOutcome {
  ExampleOutcome(
    loss: loss, correct: label == predicted ? 1 : 0, count: 1, predicted: predicted, label: label)
}
