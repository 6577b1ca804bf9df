// The trained parts of an experiment: LoRA's values in single precision, and full fine-tuning with
// the keys that exclude it.

internal import Adapters
internal import Safetensors

extension Experiment {
  /// What is wrong with values that need LoRA's factors or frozen weights, where there are none.
  var fullFineTuningProblems: [(key: String, text: String)] {
    guard adapter.kind == .full else { return [] }
    var found: [(key: String, text: String)] = []
    if compute.precision == .bf16 {
      found.append(
        (
          "compute.precision",
          "bf16 is not allowed with adapter.kind: full; give fp32, for only frozen weights are packed"
        ))
    }
    if method.aggregation != .mean {
      found.append(
        (
          "method.aggregation",
          "\(method.aggregation.rawValue) is not allowed with adapter.kind: full; give mean, for there"
            + " are no factors"
        ))
    }
    if method.tiers.contains(where: { $0.loraRank != nil }) {
      found.append(
        (
          "method.tiers",
          "lora_rank is not allowed with adapter.kind: full; give densities, for there are no factors"
        ))
    }
    return found
  }
}

extension Experiment {
  /// Values of the adapter that single precision, in which it is computed, cannot hold.
  var singlePrecisionProblems: [(key: String, text: String)] {
    guard adapter.kind == .lora else { return [] }
    var found: [(key: String, text: String)] = []
    if Float(holding: adapter.alpha) == nil {
      found.append(
        (
          "adapter.alpha",
          "\(adapter.alpha) would become \(Float(adapter.alpha)) in single precision"
        ))
    }
    if Float(holding: adapter.dropout).map({ $0 >= 1 }) ?? true {
      found.append(
        (
          "adapter.dropout",
          "\(adapter.dropout) would become \(Float(adapter.dropout)) in single precision; give a number"
            + " from 0 to below 1"
        ))
    }
    return found
  }
}

extension Experiment.AdapterSection {
  /// What is trained beside the head.
  var adaptation: Adaptation {
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
