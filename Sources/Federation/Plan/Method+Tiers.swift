// What a method says of the clients of one tier.
internal import RandomStreams
public import Sparsity

extension Method {
  /// What the clients of a tier receive.
  public func download(ofTier tier: Int) -> Selection {
    tiers.isEmpty ? download : download.withDensity(tiers[tier].downloadDensity)
  }

  /// What the clients of a tier send.
  public func upload(ofTier tier: Int) -> Selection {
    tiers.isEmpty ? upload : upload.withDensity(tiers[tier].uploadDensity)
  }

  /// The tier of a client: a function of (seed, client) alone.
  public func tier(of client: Int, seed: UInt64) -> Int {
    guard tiers.count > 1 else { return 0 }
    switch tierAssignment {
    case .modulo: return client % tiers.count
    case .drawn:
      var stream = RandomStream(seed: seed, purpose: .tier, client: client)
      var rest = stream.uniform() * tiers.reduce(0) { $0 + $1.share }
      for (index, tier) in tiers.enumerated() {
        rest -= tier.share
        if rest < 0 { return index }
      }
      return tiers.count - 1
    }
  }
}

extension Selection {
  /// The same rule at another constant density, where one is given and the rule has one.
  fileprivate func withDensity(_ density: Double?) -> Selection {
    guard let density else { return self }
    return switch self {
    case .all, .downloaded, .topMagnitude: .topMagnitude(.constant(density))
    case .random: .random(.constant(density))
    }
  }
}
