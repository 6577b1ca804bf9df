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

  /// What is wrong with a size that is drawn among so many clients.
  func problems(population: Int) -> [PlanProblem] {
    guard case .uniform(let size) = self, size > max(population, 1) else { return [] }
    return [
      PlanProblem(
        "federation.cohort_size", size,
        give: "an integer from 1 to \(population), as the population is \(population)",
        with: PlanProblem.populationKeys)
    ]
  }

  /// What is wrong with cohorts of a file for so many rounds over so many clients.
  func fileProblems(rounds: Int, population: Int) -> [PlanProblem] {
    guard case .file(let cohorts) = self else { return [] }
    func problem(_ text: String) -> PlanProblem {
      PlanProblem("federation.cohort.path", "the cohort file \(text)", with: ["federation.rounds"])
    }
    if cohorts.count < rounds {
      return [problem("has \(cohorts.count) rounds; the run has \(rounds)")]
    }
    return cohorts.prefix(max(0, rounds)).enumerated().compactMap { round, cohort in
      if cohort.isEmpty { return problem("has no client for round \(round + 1)") }
      if let stranger = cohort.first(where: { !(0..<population).contains($0) }) {
        return problem(
          "has client \(stranger) in round \(round + 1); clients are 0 to \(population - 1)")
      }
      return Set(cohort).count < cohort.count
        ? problem("has a client twice in round \(round + 1)") : nil
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

  /// What is wrong with its values for any population, cohort file and trace.
  package var problems: [PlanProblem] {
    var checks = ValueChecks("federation")
    checks.require("rounds", rounds, atLeast: 1)
    if case .uniform(let size) = cohort { checks.require("cohort_size", size, atLeast: 1) }
    if uploads.addsUp && method.aggregation.kind.needs == .each {
      checks.refuse(
        "uploads",
        "\(uploads.rawValue) sends sums of uploads, but the aggregation needs the upload of each client",
        with: ["method.aggregation"])
    }
    var found = checks.problems + method.problems
    found += method.aggregation.aggregator.problems(of: self)
    found += server.problems
    found += serverSchedule.problems("federation.server", rounds: rounds)
    found += local.problems
    found += local.schedule.problems("local", rounds: rounds)
    found += privacy?.problems(in: self) ?? []
    found += evaluation.problems
    found += system?.problems(in: self) ?? []
    return found
  }

  /// What does not fit a population of so many clients, whatever input files say.
  package func fitProblems(population: Int) -> [PlanProblem] {
    var checks = ValueChecks("partition")
    checks.require("clients", population, atLeast: 1)
    return checks.problems + cohort.problems(population: population)
      + (privacy?.problems(cohort: cohort, population: population) ?? [])
      + (system?.problems(cohort: cohort, population: population) ?? [])
  }

  /// All that is wrong with its values over a population of so many clients.
  public func problems(population: Int) -> [PlanProblem] {
    problems + fitProblems(population: population)
      + cohort.fileProblems(rounds: rounds, population: population)
      + (system?.clients.traceProblems ?? [])
  }

  /// What is wrong with a vector that training starts from.
  ///
  /// - Parameter factors: LoRA's factors in it; nil if it does not have both of every pair.
  package func problems(ofStart vector: [Float], factors: FactorLayout?) -> [PlanProblem] {
    factors.map { method.aggregation.aggregator.problems(ofStart: vector, $0) } ?? []
  }

  /// Refuses values that make no sense over a population of so many clients.
  ///
  /// - Throws: `FederationError` with all problems.
  func check(population: Int) throws {
    try FederationError.check(problems(population: population))
  }
}
