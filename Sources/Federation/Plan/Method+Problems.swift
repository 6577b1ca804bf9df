// What is wrong with a method's values, by themselves, together, and with an adapter.
internal import Sparsity

extension Method {
  /// What is wrong with its values.
  public var problems: [PlanProblem] {
    var checks = ValueChecks("method")
    checks.require(download, "download")
    checks.require(upload, "upload")
    if download == .downloaded {
      checks.refuse(
        "download.select", "is downloaded; only an upload can follow the download")
    }
    if persistence == .nested, !tiers.isEmpty {
      checks.refuse(
        "persistence", "nested needs one download mask for all clients, so it does not allow tiers",
        with: ["method.tiers"])
    }
    if residual == .kept, trained == .downloaded, persistence == .anew {
      checks.refuse(
        "residual",
        "kept does not work with method.trainable: downloaded: the residual is on coordinates that the"
          + " client may not train; give trainable: all, or residual: dropped",
        with: ["method.trainable", "method.persistence"])
    }
    for (index, tier) in tiers.enumerated() { checks.require(tier, index) }
    return checks.problems + aggregation.aggregator.problems(of: self)
      + (rankPruning?.problems(of: self) ?? [])
  }

  /// What does not go with what an adapter has.
  package func problems(of adapter: AdapterTraits) -> [PlanProblem] {
    let kind = aggregation.kind
    var found: [PlanProblem] = []
    switch adapter.factors {
    case .both(let loraRank):
      if kind.factors == .asStack, let packing = adapter.packing {
        found.append(
          PlanProblem(
            "compute.precision",
            "\(packing) is not allowed with method.aggregation: \(kind.name); give fp32, for factors are"
              + " merged into base weights that are not packed", with: ["method.aggregation"]))
      }
      let largest = tiers.compactMap(\.loraRank).max() ?? 0
      if largest > loraRank {
        found.append(
          PlanProblem(
            "method.tiers", "lora_rank: \(largest)",
            give: "at most \(loraRank), as adapter.lora_rank is \(loraRank)",
            with: ["adapter.lora_rank"]))
      }
    case .missing(let reason, let keys):
      func refuse(_ isPresent: Bool, _ name: String, _ value: String, give: String) {
        guard isPresent else { return }
        found.append(
          PlanProblem(
            "method.\(name)",
            "\(value) is not allowed with \(reason); give \(give), for there are no factors",
            with: keys))
      }
      refuse(kind.needsFactors, "aggregation", kind.name, give: AggregationKind.mean.name)
      refuse(tiers.contains { $0.loraRank != nil }, "tiers", "lora_rank", give: "densities")
      refuse(
        rankPruning != nil, "rank_pruning.factor", short(rankPruning?.factor ?? 1), give: "1")
    }
    return found
  }
}

/// What an adapter has, as far as rules of methods ask.
package struct AdapterTraits: Sendable {
  /// LoRA's factors in the trained vector.
  package enum Factors: Sendable {
    /// Both of every pair, of this rank.
    case both(loraRank: Int)
    /// Not both, because of some keys of the experiment file.
    case missing(reason: String, keys: [String])
  }

  /// LoRA's factors in the trained vector.
  package let factors: Factors
  /// The number format in which base weights are packed for products; nil if they are not.
  package let packing: String?

  /// An adapter with these traits.
  package init(factors: Factors, packing: String?) {
    self.factors = factors
    self.packing = packing
  }

  /// The traits of what an objective trains.
  init(_ objective: any LocalObjective) {
    factors =
      objective.factors.map { .both(loraRank: $0.loraRank) }
      ?? .missing(reason: "an adapter without both factors", keys: [])
    packing = objective.factors != nil && objective.baseMatrices == nil ? "a packed format" : nil
  }
}

extension ValueChecks {
  /// The densities of a selection make sense.
  fileprivate mutating func require(_ selection: Selection, _ name: String) {
    let key = "\(name).density"
    switch selection {
    case .all, .downloaded: break
    case .topMagnitude(.constant(let value)), .random(.constant(let value)):
      require(key, value, in: .positiveShare)
    case .topMagnitude(.geometric(let initial, let factor, let period, let minimum)),
      .random(.geometric(let initial, let factor, let period, let minimum)):
      for (part, value, range) in [
        ("initial", initial, NumberRange.positiveShare), ("factor", factor, .positiveShare),
        ("minimum", minimum, .share),
      ] { require(range.contains(value), key, "\(part): \(short(value))", give: range.text) }
      require(period >= 1, key, "period: \(period)", give: "an integer of at least 1")
    }
  }

  /// The values of a tier make sense.
  fileprivate mutating func require(_ tier: Tier, _ index: Int) {
    for (name, value, range) in [
      ("download_density", tier.downloadDensity, NumberRange.positiveShare),
      ("upload_density", tier.uploadDensity, .positiveShare), ("share", tier.share, .positive),
    ] {
      guard let value, !range.contains(value) else { continue }
      refuse(
        "tiers", "\(name): \(short(value)) of tier \(index) is not allowed; give \(range.text)")
    }
    if let rank = tier.loraRank, rank < 1 {
      refuse(
        "tiers", "lora_rank: \(rank) of tier \(index) is not allowed; give an integer of at least 1"
      )
    }
  }
}
