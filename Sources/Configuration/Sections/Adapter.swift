// The section `adapter`, the value that it makes, and what the rules of other sections ask of it:
// some need LoRA's factors or frozen weights.

package import Adapters
internal import Federation
internal import Kernels

extension Experiment {
  /// The trained adapter.
  package struct AdapterSection: Sendable, Equatable {
    /// What is trained.
    package var kind = Kind.lora
    /// Rank of the two factors.
    package var loraRank = 16
    /// The product of the factors is scaled by alpha / lora_rank.
    package var alpha = 16.0
    /// The adapted matrices; nil means all linear ones.
    package var targets: [String]?
    /// Probability with which an input of an adapter is dropped in training.
    package var dropout = 0.0
    /// PEFT directory to start from.
    package var initial: String?
    /// The factors that stay as they start.
    package var frozen = Frozen.none

    /// What can be trained beside the head: factors that are added to frozen matrices, or all weights.
    package enum Kind: String, Sendable, CaseIterable { case lora, full }

    /// The parts of an adapter that can be frozen.
    package enum Frozen: String, Sendable, CaseIterable {
      case none
      case loraA = "lora_a"
      case both
    }
  }
}

extension ExperimentKey {
  static let adapterKeys: [ExperimentKey] = [
    ExperimentKey(
      "adapter.kind", \.adapter.kind, .choice,
      "what is trained and sent, besides the task's head: LoRA's factors, or all weights as"
        + " differences from the pretrained ones (full fine-tuning)"),
    ExperimentKey(
      "adapter.lora_rank", \.adapter.loraRank, .integer(atLeast: 1, atMost: 4096), only: isLoRA,
      "rank of the two factors that are added to each adapted matrix"),
    ExperimentKey(
      "adapter.alpha", \.adapter.alpha, .number(alphas), only: isLoRA,
      "the product of the two factors is scaled by alpha / lora_rank"),
    ExperimentKey(
      "adapter.targets", \.adapter.targets, .either("all_linear", or: .names), only: isLoRA,
      "the adapted matrices, by the last part of their names"),
    ExperimentKey(
      "adapter.dropout", \.adapter.dropout, .number(.floatShare), only: isLoRA,
      "dropout probability of an adapter's input during training"),
    ExperimentKey(
      "adapter.initial", optional: \.adapter.initial, only: isLoRA,
      "PEFT adapter to start from, with the same rank, alpha and targets"),
    ExperimentKey(
      "adapter.frozen", \.adapter.frozen, .choice, only: isLoRA,
      "factors that are not trained, not sent and not counted; lora_a: FFA-LoRA; both: only the"
        + " task's head is trained"),
  ]

  /// Positive numbers that are divided by an adapter's rank as Floats.
  private static let alphas = NumberRange(atLeast: 1e-40, atMost: FloatRange.largest)

  private static let isLoRA = when("adapter.kind", \.adapter.kind, is: .lora)
}

extension Experiment {
  /// What the adapter has, for the rules of the method.
  var adapterTraits: AdapterTraits {
    let key: String? =
      adapter.kind == .full ? "adapter.kind" : adapter.frozen == .none ? nil : "adapter.frozen"
    let factors =
      key.map { key -> AdapterTraits.Factors in
        let value = key == "adapter.kind" ? adapter.kind.rawValue : adapter.frozen.rawValue
        return .missing(reason: "\(key): \(value)", keys: [key])
      } ?? .both(loraRank: adapter.loraRank)
    return AdapterTraits(
      factors: factors,
      packing: compute.precision.packing == nil ? nil : compute.precision.rawValue)
  }

  /// What is wrong with weights that are packed and trained.
  var packingProblem: (key: String, text: String)? {
    guard compute.precision.packing != nil, adapter.kind == .full else { return nil }
    return (
      "compute.precision",
      "\(compute.precision.rawValue) is not allowed with adapter.kind: full; give fp32, for only frozen weights are"
        + " packed"
    )
  }
}

extension Experiment.AdapterSection {
  /// What is trained beside the head.
  package var adaptation: Adaptation {
    switch kind {
    case .lora:
      .lora(
        LoRAConfiguration(
          loraRank: loraRank, alpha: Float(alpha),
          targets: targets.map { .named($0) } ?? .allLinear, dropout: Float(dropout)))
    case .full: .full
    }
  }
}
