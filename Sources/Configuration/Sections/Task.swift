// The section `task`.

package import FineTuning

extension Experiment {
  /// What the model is trained to do.
  package struct TaskSection: Sendable, Equatable {
    /// The task.
    package var kind = TaskKind.classification
    /// The hidden state that stands for a sequence.
    package var pooling = Pooling.auto

    /// The hidden states that can stand for a sequence; `auto` is the model family's own choice.
    package enum Pooling: String, Sendable, CaseIterable { case auto, first, last, mean }
  }
}

extension ExperimentKey {
  static let taskKeys: [ExperimentKey] = [
    ExperimentKey(
      "task.kind", \.task.kind, .choice,
      "the training task: predict the label of an example, its labels, a score, its next tokens, the"
        + " answer to a prompt, or the right one of several answers"
    ),
    ExperimentKey(
      "task.pooling", \.task.pooling, .choice,
      only: when(
        "task.kind", \.task.kind, is: .classification, .multiLabelClassification, .regression),
      "the token whose hidden state represents an example; auto: the model family's own, which is"
        + " the first for encoders (with BERT's pooler), or what config.json says (ModernBERT), and the"
        + " last for decoders"),
  ]
}
