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
    found += stackingProblems + rankPruningProblems
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

  /// What stacked factors cannot be combined with.
  private var stackingProblems: [String] {
    guard aggregation.mergesFactors else { return [] }
    var found: [String] = []
    func refuse(_ isPresent: Bool, _ what: String) {
      if isPresent { found.append("aggregation \(aggregation.rawValue) \(what)") }
    }
    refuse(
      download != .all || tiers.contains { $0.downloadDensity != nil },
      "sends the whole stack to everybody: download select must be all, without a density in tiers")
    refuse(persistence == .nested, "starts each round from new factors, which cannot stay pruned")
    refuse(
      trained == .downloaded,
      "starts each round from new factors, which nobody downloads; train all")
    refuse(
      upload == .downloaded && (tiers.isEmpty || tiers.contains { $0.uploadDensity == nil }),
      "starts each round from new factors, which nobody downloads; upload select cannot be downloaded"
    )
    refuse(
      residual == .kept,
      "starts each round from new factors, for which a kept residual means nothing")
    refuse(
      downloadIndices == .difference, "has no indices in its downloads; write them complete")
    return found
  }

  /// What pruning of ranks cannot be combined with, and what is wrong with its values.
  private var rankPruningProblems: [String] {
    guard let pruning = rankPruning else { return [] }
    var found: [String] = []
    func refuse(_ isPresent: Bool, _ what: String) { if isPresent { found.append(what) } }
    refuse(
      !(pruning.factor > 0 && pruning.factor < 1),
      "rank_pruning factor is \(pruning.factor); it must be between 0 and 1")
    refuse(
      !(pruning.penalty == 0
        || (pruning.penalty >= FloatRange.smallest && pruning.penalty <= FloatRange.largest)),
      "rank_pruning penalty is \(pruning.penalty); it must be 0, or from \(FloatRange.smallest) to "
        + "\(FloatRange.largest)")
    refuse(
      aggregation.mergesFactors,
      "rank_pruning compares ranks with those that were received; aggregation "
        + "\(aggregation.rawValue) starts from new factors")
    refuse(
      persistence == .nested,
      "a nested download has one support for all clients; it allows no rank_pruning")
    refuse(
      residual == .kept, "a kept residual of ranks that were pruned would never be sent; drop it")
    refuse(
      downloadIndices == .difference,
      "with rank_pruning clients of one round have different supports; write download indices "
        + "complete")
    return found
  }

  /// What does not fit the trainable vector, one line each.
  func problems(factors: FactorLayout?) -> [String] {
    var found: [String] = []
    if rankPruning != nil, factors == nil {
      found.append("rank_pruning needs both factors of the adapter in the trained vector")
    }
    if aggregation != .mean, factors == nil {
      found.append(
        "aggregation \(aggregation.rawValue) needs both factors of the adapter in the trained vector"
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
