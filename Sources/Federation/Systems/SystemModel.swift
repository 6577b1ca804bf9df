// Who is there in a round, who stays, who is in time, and when the round ends by the clients' clocks.
//
// Three kinds of loss (as in FedScale, Lai et al. 2022, and the system of Bonawitz et al. 2019, arXiv
// 1902.01046): a client may be unavailable and is not asked; it may be lost after its download; its
// upload may come too late, after the deadline or after as many others as the server waits for. The
// first two are functions of (seed, round, client). The third is a function of the sizes of the
// messages, which are known when all clients have trained.
internal import RandomStreams

/// What became of a client in a round.
public enum ClientStatus: String, Sendable, CaseIterable {
  /// Its upload counts.
  case used
  /// It was listed for the round but not there: nothing travelled.
  case unavailable
  /// It was lost after its download; nothing was trained.
  case dropped
  /// It trained, but its upload did not come in time: it does not count and is not charged.
  case late
  /// It trained, but its update is not finite (NonFiniteUpdate.swift): it sent nothing.
  case refused
}

/// The clients' systems and what the server makes of them.
public struct SystemModel: Sendable, Equatable {
  /// What devices and links can do.
  public var clients: ClientSystems
  /// A factor on the rates of each tier's clients; empty for 1.
  public var tierSpeeds: [Double]
  /// The probability that a client is not there, anew in each round.
  public var unavailability: Double
  /// The probability that a client is lost after its download, anew in each round.
  public var dropout: Double
  /// Seconds after which the server ends a round; nil for never.
  public var deadline: Double?
  /// Clients drawn beyond the cohort's size; the round ends when as many as that have come.
  public var extraClients: Int
  /// Seconds that the server adds to each round.
  public var serverSeconds: Double

  /// A model of these values; everybody is there and in time where nothing else is said.
  public init(
    clients: ClientSystems, tierSpeeds: [Double] = [], unavailability: Double = 0,
    dropout: Double = 0, deadline: Double? = nil, extraClients: Int = 0, serverSeconds: Double = 0
  ) {
    self.clients = clients
    self.tierSpeeds = tierSpeeds
    self.unavailability = unavailability
    self.dropout = dropout
    self.deadline = deadline
    self.extraClients = extraClients
    self.serverSeconds = serverSeconds
  }

  /// The names of the values by which fewer clients, or others, may count than without it.
  var losses: [String] {
    [
      ("unavailability", unavailability > 0), ("dropout", dropout > 0),
      ("deadline", deadline != nil), ("extra_clients", extraClients > 0),
    ].filter(\.1).map(\.0)
  }

  /// The device of a client of a tier; the tier's factor is on its three rates.
  public func system(of client: Int, tier: Int, seed: UInt64) -> ClientSystem {
    var system = clients.system(of: client, seed: seed)
    guard tierSpeeds.indices.contains(tier) else { return system }
    system.download *= tierSpeeds[tier]
    system.upload *= tierSpeeds[tier]
    system.tokensPerSecond *= tierSpeeds[tier]
    return system
  }

  /// What is known of a client before the round: `unavailable`, `dropped`, or else `used`.
  public func fate(of client: Int, round: Int, seed: UInt64) -> ClientStatus {
    guard unavailability > 0 || dropout > 0 else { return .used }
    var stream = RandomStream(seed: seed, purpose: .availability, round: round, client: client)
    let (presence, persistence) = (stream.uniform(), stream.uniform())
    if presence < unavailability { return .unavailable }
    return persistence < dropout ? .dropped : .used
  }

  /// Which uploads count, and when the round ends.
  public struct Verdict: Sendable, Equatable {
    /// Whether each upload counts.
    package var isUsed: [Bool]
    /// Seconds from the round's beginning to its end.
    public var seconds: Double

    /// A verdict of these values.
    public init(isUsed: [Bool], seconds: Double) {
      self.isUsed = isUsed
      self.seconds = seconds
    }
  }

  /// The end of a round is the first of: the `wanted`-th upload is there; every client has sent its
  /// upload or is lost; the deadline. An upload counts that is there by then.
  ///
  /// - Parameters:
  ///   - arrivals: Seconds until each upload is there; equal ones come in their order here.
  ///   - losses: Seconds until each of the other clients is lost.
  ///   - wanted: How many uploads the server waits for; nil for all.
  package func verdict(arrivals: [Double], losses: [Double], wanted: Int?) -> Verdict {
    let limit = deadline ?? .infinity
    let order = arrivals.indices.filter { arrivals[$0] <= limit }
      .sorted { (arrivals[$0], $0) < (arrivals[$1], $1) }
    let used = order.prefix(wanted ?? order.count)
    var isUsed = [Bool](repeating: false, count: arrivals.count)
    for index in used { isUsed[index] = true }
    let end: Double
    if let last = used.last, used.count == wanted {
      end = arrivals[last]
    } else {
      end = min(limit, (arrivals + losses).max() ?? 0)
    }
    return Verdict(isUsed: isUsed, seconds: end + serverSeconds)
  }

  /// What is wrong with its values, and together with those of its plan.
  func problems(in plan: FederationPlan) -> [PlanProblem] {
    var checks = ValueChecks("system")
    checks.require(clients)
    checks.require("unavailability", unavailability, in: .partialShare)
    checks.require("dropout", dropout, in: .share)
    if let deadline { checks.require("deadline", deadline, in: .positive) }
    checks.require("server_time", serverSeconds, in: .notNegative)
    checks.require("extra_clients", extraClients, atLeast: 0)
    if case .file = plan.cohort, extraClients > 0 {
      checks.refuse(
        "extra_clients",
        "has no effect with federation.cohort.kind: file, which lists all clients; leave it out",
        with: ["federation.cohort.kind"])
    }
    let tiers = plan.method.tiers.count
    if !tierSpeeds.isEmpty, tierSpeeds.count != tiers {
      checks.refuse(
        "tier_speeds",
        "\(tierSpeeds.count) numbers are not allowed; give one for each of the \(tiers) tiers of"
          + " method.tiers", with: ["method.tiers"])
    }
    if let speed = tierSpeeds.first(where: { !NumberRange.positive.contains($0) }) {
      checks.require("tier_speeds", speed, in: .positive)
    }
    return checks.problems
  }

  /// What is wrong with it for cohorts over so many clients.
  func problems(cohort: CohortPlan, population: Int) -> [PlanProblem] {
    guard case .uniform(let size) = cohort, size <= population,
      extraClients > population - size
    else { return [] }
    return [
      PlanProblem(
        "system.extra_clients", extraClients,
        give: "an integer from 0 to \(population - size), as the population is \(population) and"
          + " federation.cohort_size is \(size)",
        with: PlanProblem.populationKeys + ["federation.cohort_size"])
    ]
  }
}

/// A client of a round.
public struct Participant: Sendable, Equatable {
  /// Its number in the population.
  public var client: Int
  /// What is known of it before the round: `unavailable`, `dropped` or `used`.
  public var fate: ClientStatus
}

extension FederationPlan {
  /// The clients of `round` and what is known of them before it: a function of (seed, round) alone.
  ///
  /// Where cohorts are drawn, they are drawn uniformly among the clients that are there, as FedScale
  /// and Flower draw among those that are on line, and are smaller only where fewer are there. Those
  /// of a file are listed as they are.
  public func participants(round: Int, population: Int) -> [Participant] {
    guard let system else {
      return cohort.cohort(round: round, population: population, seed: seed)
        .map { Participant(client: $0, fate: .used) }
    }
    func fate(_ client: Int) -> ClientStatus {
      system.fate(of: client, round: round, seed: seed)
    }
    let clients: [Int]
    switch cohort {
    case .uniform(let size):
      let wanted = size + system.extraClients
      if system.unavailability == 0 {
        clients = CohortPlan.uniform(size: wanted)
          .cohort(round: round, population: population, seed: seed)
      } else {
        var stream = RandomStream(seed: seed, purpose: .cohort, round: round)
        clients = stream.sample(upTo: wanted, of: population) { fate($0) != .unavailable }
      }
    case .file:
      clients = cohort.cohort(round: round, population: population, seed: seed)
    }
    return clients.map { Participant(client: $0, fate: fate($0)) }
  }

  /// How many uploads the server waits for; nil for all.
  var wantedUploads: Int? {
    switch cohort {
    case .uniform(let size): size
    case .file: nil
    }
  }
}
