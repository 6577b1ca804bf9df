// Multi-label classification: each label is there or not, by the sign of its logit. The loss is the mean
// binary cross-entropy over labels and sequences, as in transformers.

package import Adapters
package import Federation
internal import Kernels
package import Transformers

/// The labels of each sequence, by a head that is trained completely.
package struct MultiLabelClassification: SequenceTask {
  /// The head.
  package let output: SequenceHead

  /// So many labels.
  package init(labels: Int, pooling: Pooling) {
    output = SequenceHead(outputs: labels, pooling: pooling)
  }

  /// In experiment files `multi_label_classification`.
  package static let kind = TaskKind(
    name: "multi_label_classification", targets: .labelSet, usesLanguageHead: false,
    leastTokens: 0
  ) { MultiLabelClassification(labels: $0.labels, pooling: $0.pooling) }

  /// A new head of the labels.
  package var head: TaskHead { output.taskHead(problemType: "multi_label_classification") }

  /// Every outcome has sets of labels.
  package var labelCount: Int { output.outputs }

  /// A decision for each label.
  package func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int { output.outputs }

  /// Binary cross-entropy of each sequence's labels, which are the batch's targets.
  package func outcomes(
    _ batch: PackedSequences, labels _: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    let (count, labels, buffers) = (batch.count, output.outputs, pass.buffers)
    precondition(
      batch.targets.count == count * labels,
      "\(batch.targets.count) targets for \(count) sequences of \(labels) labels")
    output.forward(batch, pass)
    let predicted = values(at: buffers.logits, count: count * labels).map { $0 > 0 }
    binaryCrossEntropy(
      logits: buffers.logits, targets: batch.targets, losses: buffers.losses, rows: count,
      columns: labels, gradientScale: pass.gradient == nil ? nil : pass.lossScale)
    output.backward(batch, pass)
    let losses = values(at: buffers.losses, count: count)
    return (0..<count).map { index in
      let places = index * labels..<(index + 1) * labels
      let sets = places.map {
        LabelDecision(isPredicted: predicted[$0], isActual: batch.targets[$0] > 0.5)
      }
      return ExampleOutcome(
        loss: Double(losses[index]),
        correct: sets.count { $0.isPredicted == $0.isActual }, count: labels, decisions: sets)
    }
  }
}
