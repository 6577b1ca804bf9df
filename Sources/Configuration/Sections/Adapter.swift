// The section `adapter`, the value that it makes, and the values of other sections that it does not allow: some
// need LoRA's factors or frozen weights.

package import Adapters
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
      "adapter.alpha", \.adapter.alpha, .numerator, only: isLoRA,
      "the product of the two factors is scaled by alpha / lora_rank"),
    ExperimentKey(
      "adapter.targets", \.adapter.targets, .either("all_linear", or: .names), only: isLoRA,
      "the adapted matrices, by the last part of their names"),
    ExperimentKey(
      "adapter.dropout", \.adapter.dropout, .floatShare, only: isLoRA,
      "dropout probability of an adapter's input during training"),
    ExperimentKey(
      "adapter.initial", optional: \.adapter.initial, only: isLoRA,
      "PEFT adapter to start from, with the same rank, alpha and targets"),
    ExperimentKey(
      "adapter.frozen", \.adapter.frozen, .choice, only: isLoRA,
      "factors that are not trained, not sent and not counted; lora_a: FFA-LoRA; both: only the"
        + " task's head is trained"),
  ]

  private static let isLoRA = when("adapter.kind", \.adapter.kind, is: .lora)
}

extension Experiment {
  /// Problems of values that the adapter does not allow, with the key to be named.
  var adapterProblems: [(key: String, text: String)] {
    var found: [(key: String, text: String)] = []
    if compute.precision.packing != nil {
      if adapter.kind == .full {
        found.append(
          (
            "compute.precision",
            "\(compute.precision.rawValue) is not allowed with adapter.kind: full; give fp32, for only frozen weights are"
              + " packed"
          ))
      } else if method.aggregation.kind.factors == .asStack {
        found.append(
          (
            "compute.precision",
            "\(compute.precision.rawValue) is not allowed with method.aggregation:"
              + " \(method.aggregation.name); give fp32, for factors are merged into base weights"
              + " that are not packed"
          ))
      }
    }
    guard let reason = reasonWithoutFactors else { return found + tierRankProblems }
    if method.aggregation.kind.needsFactors {
      found.append(
        (
          "method.aggregation",
          "\(method.aggregation.name) is not allowed with \(reason); give mean, for there"
            + " are no factors"
        ))
    }
    if method.tiers.contains(where: { $0.loraRank != nil }) {
      found.append(
        (
          "method.tiers",
          "lora_rank is not allowed with \(reason); give densities, for there are no factors"
        ))
    }
    if method.rankPruning.factor < 1 {
      found.append(
        (
          "method.rank_pruning.factor",
          "\(short(method.rankPruning.factor)) is not allowed with \(reason); give 1, for there are"
            + " no factors"
        ))
    }
    return found
  }

  /// The key and value because of which the trained vector does not have both factors; nil where it has.
  private var reasonWithoutFactors: String? {
    if adapter.kind == .full { return "adapter.kind: full" }
    return adapter.frozen == .none ? nil : "adapter.frozen: \(adapter.frozen.rawValue)"
  }

  /// Ranks of tiers that the adapter does not have.
  private var tierRankProblems: [(key: String, text: String)] {
    let largest = method.tiers.compactMap(\.loraRank).max() ?? 0
    guard largest > adapter.loraRank else { return [] }
    return [
      (
        "method.tiers",
        "lora_rank: \(largest) is not allowed; give at most \(adapter.loraRank), as"
          + " adapter.lora_rank is \(adapter.loraRank)"
      )
    ]
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
