// Sequence classification: cross-entropy over the labels of a sequence.

package import Adapters
package import Federation
internal import Kernels
package import Transformers

/// The label of each sequence, by a head that is trained completely.
package struct Classification: SequenceTask {
  /// The head.
  package let output: SequenceHead

  /// Classification into so many labels.
  package init(labels: Int, pooling: Pooling) {
    output = SequenceHead(outputs: labels, pooling: pooling)
  }

  /// In experiment files `classification`.
  package static let kind = TaskKind(
    name: "classification", targets: .label, usesLanguageHead: false, leastTokens: 0
  ) { Classification(labels: $0.labels, pooling: $0.pooling) }

  /// A new head of the labels.
  package var head: TaskHead { output.taskHead(problemType: "single_label_classification") }

  /// Every outcome has a label and a prediction.
  package var labelCount: Int { output.outputs }

  /// The sequence itself.
  package func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int { 1 }

  /// Cross-entropy of each sequence.
  package func outcomes(
    _ batch: PackedSequences, labels targets: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    precondition(
      targets.count == batch.count, "\(targets.count) labels for \(batch.count) sequences")
    let (count, buffers) = (batch.count, pass.buffers)
    output.forward(batch, pass)
    targets.withUnsafeBufferPointer {
      crossEntropy(
        logits: buffers.logits, targets: $0.baseAddress!, losses: buffers.losses,
        predictions: buffers.predictions, rows: count, columns: output.outputs,
        gradientScale: pass.gradient == nil ? nil : pass.lossScale)
    }
    output.backward(batch, pass)
    let losses = values(at: buffers.losses, count: count)
    let predictions = integers(at: buffers.predictions, count: count)
    return (0..<count).map { index in
      let (predicted, label) = (predictions[index], targets[index])
      return ExampleOutcome(
        loss: Double(losses[index]), correct: predicted == label ? 1 : 0, count: 1,
        predicted: predicted, label: label)
    }
  }
}
