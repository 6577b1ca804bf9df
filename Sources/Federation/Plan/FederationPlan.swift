// What a federated run does, as one value: the same plan, partition, objective and start give the
// same bits on any number of ranks.
internal import RandomStreams

/// How much each client of a cohort counts in the pseudo-gradient.
public enum Weighting: String, Sendable, CaseIterable {
  /// Every client alike.
  case uniform
  /// Every client by its number of training examples.
  case examples

  /// The whole-number weight of a client.
  public func weight(examples: Int) -> Int {
    switch self {
    case .uniform: 1
    case .examples: examples
    }
  }
}

/// Who takes part in a round.
public enum CohortPlan: Sendable, Equatable {
  /// `size` different clients drawn uniformly, anew for each round.
  case uniform(size: Int)
  /// The clients of each round, one list a round.
  case file([[Int]])

  /// The clients of `round`: a function of (seed, round) alone, ascending where they are drawn and
  /// as listed where they are given.
  public func cohort(round: Int, population: Int, seed: UInt64) -> [Int] {
    switch self {
    case .uniform(let size):
      var stream = RandomStream(seed: seed, purpose: .cohort, round: round)
      return stream.sample(size, of: population)
    case .file(let cohorts):
      return cohorts[round]
    }
  }

  /// What is wrong with it for so many rounds over so many clients, one line each.
  public func problems(rounds: Int, population: Int) -> [String] {
    switch self {
    case .uniform(let size):
      guard !(1...max(population, 1)).contains(size) else { return [] }
      return [
        "cohort_size is \(size); it must be at least 1 and at most the population, \(population)"
      ]
    case .file(let cohorts):
      if cohorts.count < rounds {
        return ["the cohort file has \(cohorts.count) rounds; the run has \(rounds)"]
      }
      return cohorts.prefix(max(0, rounds)).enumerated().compactMap { round, cohort in
        if cohort.isEmpty { return "the cohort file has no client for round \(round + 1)" }
        if let stranger = cohort.first(where: { !(0..<population).contains($0) }) {
          return "the cohort file has client \(stranger) in round \(round + 1); "
            + "clients are 0 to \(population - 1)"
        }
        if Set(cohort).count < cohort.count {
          return "the cohort file has a client twice in round \(round + 1)"
        }
        return nil
      }
    }
  }
}

/// Everything that determines a federated run besides data, objective and start.
public struct FederationPlan: Sendable, Equatable {
  /// How many rounds the whole run has.
  public var rounds: Int
  /// Who takes part.
  public var cohort: CohortPlan
  /// How clients count.
  public var weighting: Weighting
  /// What travels.
  public var method: Method
  /// How the server steps.
  public var server: ServerOptimizer
  /// How the server's learning rate changes with the round.
  public var serverSchedule: LearningRateSchedule
  /// How clients train.
  public var local: LocalTraining
  /// What is clipped and how much noise is added; nil for neither.
  public var privacy: Privacy?
  /// When to evaluate.
  public var evaluation: EvaluationPlan
  /// Names all the randomness.
  public var seed: UInt64
  /// Who computes what; changes no result.
  public var schedule: ClientSchedule
  /// How messages move between ranks; changes no result.
  public var uploads: UploadCollective
  /// What clients' devices and links can do; nil where no virtual clock runs and everybody counts.
  public var system: SystemModel?
  /// What becomes of a client whose update is not finite.
  public var nonFinite: NonFinitePolicy

  /// A plan of these values.
  public init(
    rounds: Int, cohort: CohortPlan, weighting: Weighting = .uniform, method: Method,
    server: ServerOptimizer, serverSchedule: LearningRateSchedule = .constant,
    local: LocalTraining, privacy: Privacy? = nil, evaluation: EvaluationPlan, seed: UInt64,
    schedule: ClientSchedule = .longestFirst, uploads: UploadCollective = .auto,
    system: SystemModel? = nil, nonFinite: NonFinitePolicy = .refuse
  ) {
    self.rounds = rounds
    self.cohort = cohort
    self.weighting = weighting
    self.method = method
    self.server = server
    self.serverSchedule = serverSchedule
    self.local = local
    self.privacy = privacy
    self.evaluation = evaluation
    self.seed = seed
    self.schedule = schedule
    self.uploads = uploads
    self.system = system
    self.nonFinite = nonFinite
  }

  /// The server's state before round 0, with the vector that training starts from.
  public func initialState(_ vector: [Float]) -> ServerState {
    ServerState(vector: vector, optimizer: server, clip: privacy?.initialAdaptiveClip)
  }

  /// What is wrong with its values over a population of so many clients, one line each; empty when
  /// nothing is.
  public func problems(population: Int) -> [String] {
    var found: [String] = []
    if rounds < 1 { found.append("rounds is \(rounds); it must be at least 1") }
    if population < 1 { found.append("the population is \(population) clients") }
    found += cohort.problems(rounds: rounds, population: population)
    found += method.problems
    found += method.aggregation.aggregator.problems(of: self)
    if method.rankPruning != nil, privacy != nil {
      found.append("the ranks that clients prune say something of their data; allow no privacy")
    }
    found += server.problems
    found += serverSchedule.problems("server", rounds: rounds)
    found += local.problems
    found += local.schedule.problems("local", rounds: rounds)
    if let privacy {
      found += privacy.problems(
        cohort: cohort, weighting: weighting, aggregation: method.aggregation.kind,
        population: population)
    }
    found += evaluation.problems
    if uploads.addsUp && method.aggregation.kind.needs == .each {
      found.append(
        "uploads: \(uploads.rawValue) adds uploads up on their way; the aggregation needs each client's"
      )
    }
    if let system {
      found += system.problems(
        cohort: cohort, tiers: method.tiers.count, population: population)
      if privacy != nil, system.losesClients {
        found.append(
          "the system loses clients of a cohort; the noise of privacy is for cohorts of one size")
      }
    }
    return found
  }
}
