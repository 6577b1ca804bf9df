// Phase 1: the clients of a round, what is known of them before it, and the rank that trains each.
internal import Communication
internal import Sparsity

/// Clients that receive the same message.
struct ClientKind: Hashable, Comparable {
  /// Their tier.
  let tier: Int
  /// The ranks of the adapter that they have; nil for all.
  let loraRank: Int?

  static func < (a: ClientKind, b: ClientKind) -> Bool {
    (a.tier, a.loraRank ?? .max) < (b.tier, b.loraRank ?? .max)
  }
}

/// The kinds of clients of a round; the same on every rank.
struct ClientKinds {
  /// The method.
  let method: Method
  /// The run's seed.
  let seed: UInt64
  /// The ranks that are left to clients that have pruned some.
  let clientRanks: [Int: Int]
  /// LoRA's factors in the trainable vector.
  let factors: FactorLayout?

  /// Whether all clients of a round receive the same.
  var areOne: Bool { method.tiers.isEmpty && method.rankPruning == nil }

  /// The kind of a tier's clients that have pruned nothing.
  func kind(ofTier tier: Int) -> ClientKind {
    ClientKind(tier: tier, loraRank: method.tiers.isEmpty ? nil : method.tiers[tier].loraRank)
  }

  /// The kind of a client.
  func kind(of client: Int) -> ClientKind {
    let kind = kind(ofTier: method.tier(of: client, seed: seed))
    return clientRanks[client].map { ClientKind(tier: kind.tier, loraRank: $0) } ?? kind
  }

  /// The ranks of the adapter that a kind has; 0 without factors.
  func rankCount(of kind: ClientKind) -> Int { kind.loraRank ?? factors?.loraRank ?? 0 }

  /// The coordinates that a kind's adapter has; nil for all.
  func structure(of kind: ClientKind) -> SupportMask? {
    guard let count = kind.loraRank, let factors, count < factors.loraRank else { return nil }
    return factors.support(ranksBelow: count)
  }
}

/// The clients of a round; the same on every rank.
struct Cohort {
  /// A client of the round.
  struct Member {
    /// The client's number in the population.
    let client: Int
    /// What it receives.
    let kind: ClientKind
    /// What is known of it before it trains: `unavailable`, `dropped` or `used`.
    let fate: ClientStatus
    /// Its tier.
    var tier: Int { kind.tier }
  }

  /// All clients, in cohort order.
  let members: [Member]
  /// The members that train, in cohort order: a client that will send nothing need not be trained.
  let trained: [Member]
  /// The positions in `trained` of each rank's clients, in the order of their training.
  let assigned: [[Int]]
  /// The kinds of clients.
  let kinds: ClientKinds

  /// The cohort of a round.
  ///
  /// - Parameter clientRanks: The ranks that are left to clients that have pruned some.
  init(clientRanks: [Int: Int], in context: RoundContext) {
    let plan = context.plan
    let kinds = ClientKinds(
      method: plan.method, seed: plan.seed, clientRanks: clientRanks, factors: context.factors)
    self.kinds = kinds
    members = plan.participants(
      round: context.round, population: context.population.clientCount
    ).map { Member(client: $0.client, kind: kinds.kind(of: $0.client), fate: $0.fate) }
    trained = members.filter { $0.fate == .used }
    assigned = plan.schedule.assign(
      costs: trained.map { context.tokens(of: $0.client) }, ranks: context.communicator.size)
  }

  /// The kinds of the clients that receive a download, ascending; also without such a client there is
  /// one if all clients receive the same.
  var receivingKinds: [ClientKind] {
    kinds.areOne
      ? [kinds.kind(ofTier: 0)]
      : Set(members.filter { $0.fate != .unavailable }.map(\.kind)).sorted()
  }
}
