// What is wrong with a method's values, by themselves and together.
internal import Sparsity

extension Method {
  /// What is wrong with its values, one line each; empty when nothing is.
  public var problems: [String] {
    var found = Self.problems(of: download, "download") + Self.problems(of: upload, "upload")
    if download == .downloaded {
      found.append("download select is downloaded; only an upload can follow the download")
    }
    if persistence == .nested, !tiers.isEmpty {
      found.append("a nested download has one support for all clients; it allows no tiers")
    }
    if residual == .kept, trained == .downloaded, persistence == .anew {
      found.append(
        "a kept residual lies outside of what the next download lets a client train; "
          + "train all coordinates, or drop it")
    }
    found += aggregation.aggregator.problems(of: self)
    found += rankPruning?.problems(of: self) ?? []
    for (index, tier) in tiers.enumerated() {
      func density(_ value: Double?, _ name: String) {
        if let value, !(value > 0 && value <= 1) {
          found.append(
            "tier \(index) has \(name) density \(value); it must be greater than 0 and at most 1")
        }
      }
      density(tier.downloadDensity, "download")
      density(tier.uploadDensity, "upload")
      if let rank = tier.loraRank, rank < 1 {
        found.append("tier \(index) has lora_rank \(rank); it must be at least 1")
      }
      if !(tier.share > 0 && tier.share.isFinite) {
        found.append("tier \(index) has share \(tier.share); it must be greater than 0")
      }
    }
    return found
  }

  /// What does not fit the trainable vector, one line each.
  func problems(factors: FactorLayout?) -> [String] {
    var found: [String] = []
    if rankPruning != nil, factors == nil {
      found.append("rank_pruning needs both factors of the adapter in the trained vector")
    }
    if aggregation.kind.needsFactors, factors == nil {
      found.append(
        "aggregation \(aggregation.name) needs both factors of the adapter in the trained vector"
      )
    }
    for (index, tier) in tiers.enumerated() {
      guard let rank = tier.loraRank else { continue }
      if let factors, rank > factors.loraRank {
        found.append(
          "tier \(index) has lora_rank \(rank); it must be at most the adapter's \(factors.loraRank)"
        )
      } else if factors == nil {
        found.append(
          "tier \(index) has a lora_rank, which needs both factors of the adapter in the trained vector"
        )
      }
    }
    return found
  }

  private static func problems(of selection: Selection, _ name: String) -> [String] {
    func density(_ value: Double) -> [String] {
      value > 0 && value <= 1
        ? [] : ["\(name) density is \(value); it must be greater than 0 and at most 1"]
    }
    switch selection {
    case .all, .downloaded: return []
    case .topMagnitude(.constant(let value)), .random(.constant(let value)):
      return density(value)
    case .topMagnitude(.geometric(let initial, let factor, let period, let minimum)),
      .random(.geometric(let initial, let factor, let period, let minimum)):
      var found = density(initial)
      if !(factor > 0 && factor.isFinite) {
        found.append("\(name) density factor is \(factor); it must be greater than 0")
      }
      if period < 1 { found.append("\(name) density period is \(period); it must be at least 1") }
      if !(0...1).contains(minimum) {
        found.append("\(name) density minimum is \(minimum); it must be from 0 to 1")
      }
      return found
    }
  }
}
