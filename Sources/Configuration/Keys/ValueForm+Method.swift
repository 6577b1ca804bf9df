// The forms of a method's own values: densities and tiers.

internal import Federation
internal import Sparsity
internal import Yams

extension ValueForm where Value == DensitySchedule {
  /// A share, or a schedule of shares that changes by a factor every so many rounds.
  static var density: ValueForm {
    let share = ValueForm<Double>.number(.positiveShare)
    let least = ValueForm<Double>.number(.share)
    let period = ValueForm<Int>.integer(atLeast: 1)
    return ValueForm(
      allowed: share.allowed + ", or {initial: 1, factor: 0.5, period: 10} with initial and factor"
        + " in the same range and a period of at least 1; optional: minimum: 0.1",
      read: { node, context in
        if let value = share.read(node, context) { return .constant(value) }
        guard let mapping = node.mapping, mapping.count == (mapping["minimum"] == nil ? 3 : 4),
          let initial = mapping["initial"].flatMap({ share.read($0, context) }),
          let factor = mapping["factor"].flatMap({ share.read($0, context) }),
          let rounds = mapping["period"].flatMap({ period.read($0, context) })
        else { return nil }
        var minimum = 0.0
        if let node = mapping["minimum"] {
          guard let value = least.read(node, context) else { return nil }
          minimum = value
        }
        return .geometric(initial: initial, factor: factor, period: rounds, minimum: minimum)
      },
      write: { density in
        switch density {
        case .constant(let value): short(value)
        case .geometric(let initial, let factor, let period, let minimum):
          "{initial: \(short(initial)), factor: \(short(factor)), period: \(period)"
            + (minimum > 0 ? ", minimum: \(short(minimum))}" : "}")
        }
      })
  }
}

extension ValueForm where Value == [Tier] {
  /// A list of tiers, each a mapping of what differs.
  static var tiers: ValueForm {
    let share = ValueForm<Double>.number(.positive)
    let density = ValueForm<Double>.number(.positiveShare)
    let loraRank = ValueForm<Int>.integer(atLeast: 1, atMost: 4096)
    return ValueForm(
      allowed:
        "a list of tiers such as {lora_rank: 4, download_density: 0.25, upload_density: 0.25,"
        + " share: 1}, each with any of these",
      read: { node, context in
        guard let nodes = node.sequence else { return nil }
        var tiers: [Tier] = []
        for node in nodes {
          guard let mapping = node.mapping, !mapping.isEmpty else { return nil }
          var tier = Tier()
          for (key, value) in mapping {
            switch key.scalar?.string {
            case "share":
              guard let found = share.read(value, context) else { return nil }
              tier.share = found
            case "lora_rank":
              guard let found = loraRank.read(value, context) else { return nil }
              tier.loraRank = found
            case "download_density":
              guard let found = density.read(value, context) else { return nil }
              tier.downloadDensity = found
            case "upload_density":
              guard let found = density.read(value, context) else { return nil }
              tier.uploadDensity = found
            default: return nil
            }
          }
          tiers.append(tier)
        }
        return tiers
      },
      write: { tiers in
        let texts = tiers.map { tier in
          let parts = [
            "share: \(short(tier.share))", tier.loraRank.map { "lora_rank: \($0)" },
            tier.downloadDensity.map { "download_density: \(short($0))" },
            tier.uploadDensity.map { "upload_density: \(short($0))" },
          ]
          return "{" + parts.compactMap { $0 }.joined(separator: ", ") + "}"
        }
        return "[" + texts.joined(separator: ", ") + "]"
      })
  }
}
