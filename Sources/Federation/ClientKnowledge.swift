// What clients remember: the support of the last download that each received. The server keeps the
// same, once for all clients of one round and tier.
public import Sparsity

/// The supports that clients know.
public struct ClientKnowledge: Sendable, Equatable {
  /// A download that some client received last.
  public struct Source: Sendable, Hashable {
    /// The round.
    public var round: Int
    /// The tier.
    public var tier: Int

    /// The download of a round to a tier.
    public init(round: Int, tier: Int) {
      self.round = round
      self.tier = tier
    }
  }

  /// The last download of each client that has received one.
  public private(set) var sources: [Int: Source] = [:]
  /// The supports of those downloads.
  public private(set) var supports: [Source: SupportMask] = [:]
  private var clientCounts: [Source: Int] = [:]

  /// Nobody knows anything.
  public init() {}

  /// What was saved.
  ///
  /// - Precondition: every source has a support.
  public init(sources: [Int: Source], supports: [Source: SupportMask]) {
    self.sources = sources
    self.supports = supports
    for source in sources.values {
      precondition(supports[source] != nil, "no support for \(source)")
      clientCounts[source, default: 0] += 1
    }
  }

  /// The support of a client's last download; nil where it has received none.
  func support(of client: Int) -> SupportMask? { sources[client].flatMap { supports[$0] } }

  /// A client receives a download; what nobody has as its last is forgotten.
  mutating func learn(_ client: Int, round: Int, tier: Int, _ support: SupportMask) {
    let source = Source(round: round, tier: tier)
    if let last = sources[client] {
      if let count = clientCounts[last], count > 1 {
        clientCounts[last] = count - 1
      } else {
        clientCounts[last] = nil
        supports[last] = nil
      }
    }
    sources[client] = source
    supports[source] = support
    clientCounts[source, default: 0] += 1
  }
}
