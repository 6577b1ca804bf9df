// Regression of a score: the mean squared error, as in transformers.

package import Adapters
package import Federation
internal import Kernels
package import Transformers

/// The score of each sequence, by a head that is trained completely.
package struct Regression: SequenceTask {
  /// The head.
  package let output: SequenceHead

  /// One score.
  package init(pooling: Pooling) {
    output = SequenceHead(outputs: 1, pooling: pooling)
  }

  /// In experiment files `regression`.
  package static let kind = TaskKind(
    name: "regression", targets: .score, usesLanguageHead: false, leastTokens: 0
  ) { Regression(pooling: $0.pooling) }

  /// A new head of one output.
  package var head: TaskHead { output.taskHead(problemType: "regression") }

  /// No classes.
  package var labelCount: Int { 0 }

  /// The sequence itself.
  package func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int { 1 }

  /// The squared error of each sequence's score, which is the batch's target.
  package func outcomes(
    _ batch: PackedSequences, labels _: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    let count = batch.count
    precondition(
      batch.targets.count == count, "\(batch.targets.count) scores for \(count) sequences")
    output.forward(batch, pass)
    var scores = values(at: pass.buffers.logits, count: count)
    let outcomes = (0..<count).map { index in
      let error = Double(scores[index]) - Double(batch.targets[index])
      return ExampleOutcome(
        loss: error * error, correct: 0, count: 1,
        score: ScoreOutcome(predicted: scores[index], actual: batch.targets[index]))
    }
    guard pass.gradient != nil else { return outcomes }
    for index in 0..<count {
      scores[index] = 2 * (scores[index] - batch.targets[index]) * pass.lossScale
    }
    scores.withUnsafeBufferPointer { write($0, to: pass.buffers.logits) }
    output.backward(batch, pass)
    return outcomes
  }
}
