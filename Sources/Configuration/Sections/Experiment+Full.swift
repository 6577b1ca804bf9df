// The values that an experiment's adapter allows: some need LoRA's factors or frozen weights, which
// it may not have; and the adapter as a value. `plan` and `run` refuse the same, as both read the
// experiment.

package import Adapters
internal import Kernels

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
