// A federated run: rounds over a fixed plan, population and objective, from a server state to a
// server state. It can start from any state that was saved, on any number of ranks, and gives the
// same bits as the run that was not interrupted.
public import Communication
public import Corpora
internal import Sparsity

/// The rounds of a plan, played by all ranks of a communicator together.
///
/// Every rank makes one with the same plan and partition and makes the same calls. Rank 0 holds the
/// server's state; a rank's memory is a trainer's vectors and its encoded uploads of one round.
///
/// An error on one rank, such as an example that cannot be read, is thrown there at once as a
/// `FederationError`; the other ranks cannot go on and learn of it from their communicator (threads)
/// or are ended by the program's abort (MPI).
public final class FederatedRun {
  /// What is played; privacy's noise is a multiplier here, also where the plan gave a target.
  public let plan: FederationPlan
  /// The accountant of the plan's privacy; nil without it.
  public let accountant: PrivacyAccountant?
  /// The rounds finished, which is also the number of the next round; the same on every rank.
  public internal(set) var round: Int
  /// The server's state after `round` rounds; on rank 0 only.
  public internal(set) var state: ServerState?
  /// The last rounds in a row in which every upload was refused; the same on every rank.
  public internal(set) var refusedRounds: Int
  /// The support of the last evaluation, on rank 0; nil before this object's first evaluation.
  public internal(set) var evaluatedSupport: EvaluatedSupport?
  /// Called with what this rank begins to do, from client to client and step to step.
  public var onActivity: (Activity) -> Void = { _ in }

  let residuals: (any ResidualStore)?
  /// What clients remember of their downloads, on rank 0, where the method's messages build on it.
  public internal(set) var knowledge: ClientKnowledge
  /// The ranks that are left to clients that have pruned some; the same on every rank.
  var clientRanks: [Int: Int] = [:]
  /// What clients train on.
  let population: any Population
  /// What clients are evaluated on.
  let evaluated: any Population
  let objective: any LocalObjective
  let communicator: any Communicator
  let trainer: LocalTrainer
  /// Which ranks share a host.
  let layout: HostLayout
  /// What joins the hosts, once it was asked for.
  var link: LinkModel?
  /// The clients seen, as far as evaluations asked.
  var seen = SeenClients()
  /// The sum of this host, once it was needed.
  var hostWords: NodeSharedWords?
  /// For each host, whether its ranks have words of their own.
  var isPrivate: [Bool] = []

  /// A run from round 0.
  ///
  /// - Parameters:
  ///   - plan: The same on every rank.
  ///   - partition: Who owns which training examples, the same on every rank; every client has one.
  ///   - objective: This rank's.
  ///   - initialVector: The trainable vector P before round 0; that of rank 0 counts, the others'
  ///     may be empty.
  ///   - communicator: The ranks.
  /// - Throws: On every rank, when the plan does not fit the population or the objective.
  public convenience init(
    plan: FederationPlan, partition: any Population, objective: any LocalObjective,
    initialVector: [Float], residuals: (any ResidualStore)? = nil,
    communicator: any Communicator
  ) throws {
    let isServer = communicator.rank == 0
    try self.init(
      plan: plan, partition: partition, objective: objective,
      state: isServer ? plan.initialState(initialVector) : nil,
      residuals: residuals, communicator: communicator)
  }

  /// A run that goes on from a state that was saved.
  ///
  /// - Parameters:
  ///   - state: Needed on rank 0 only; the others' is dropped.
  ///   - knowledge: What clients remember; that of rank 0 counts.
  ///   - residuals: Where clients keep what they do not send, the same for all ranks; nil for this
  ///     process's memory, which is enough for one rank.
  /// - Throws: On every rank, when the plan does not fit the population, the objective or the state.
  public init(
    plan: FederationPlan, partition: any Population, objective: any LocalObjective,
    state: ServerState?, knowledge: ClientKnowledge = ClientKnowledge(),
    residuals: (any ResidualStore)? = nil, communicator: any Communicator
  ) throws {
    let isServer = communicator.rank == 0
    let clientCount = partition.clientCount
    let plan = try communicator.together {
      try Self.check(plan, partition, objective, isServer ? state : nil)
      return try plan.settlingNoise(population: clientCount)
    }
    if plan.method.residual == .kept, residuals == nil, communicator.size > 1 {
      throw FederationError(
        reason: "clients keep what they do not send, which several ranks need a place for")
    }
    try communicator.requireSame("\(plan)", as: "the federation plan")
    try communicator.requireSame(partition.digest, as: "the partition")
    try communicator.requireSame(objective.parameterCount, as: "the trainable vector's length")
    self.plan = plan
    accountant = plan.accountant(population: clientCount)
    self.objective = objective
    self.communicator = communicator
    layout = try HostLayout(of: communicator)
    population = plan.evaluation.training(partition, seed: plan.seed)
    evaluated = plan.evaluation.evaluation(partition, seed: plan.seed)
    self.state = isServer ? state : nil
    var counts = [isServer ? state?.round ?? 0 : 0, isServer ? state?.refusedRounds ?? 0 : 0]
    try communicator.broadcast(&counts)
    (round, refusedRounds) = (counts[0], counts[1])
    trainer = LocalTrainer(objective: objective)
    self.knowledge = knowledge
    self.residuals =
      residuals ?? (plan.method.residual == .kept ? ResidualsInMemory() : nil)
    try restoreBase()
    var ranks = (self.state?.clientRanks ?? [:]).flatMap { [$0.key, $0.value] }
    try communicator.broadcast(&ranks)
    for place in stride(from: 0, to: ranks.count, by: 2) {
      clientRanks[ranks[place]] = ranks[place + 1]
    }
  }

  /// Whether all rounds of the plan are finished.
  public var isFinished: Bool { round >= plan.rounds }

  /// Plays the rounds that are left.
  ///
  /// - Parameters:
  ///   - onProgress: Called on rank 0 after each local step and each evaluated example.
  ///   - onRound: Called on rank 0 after each round; `state` is that round's then.
  /// - Returns: The last state on rank 0, and its digest on every rank.
  public func run(
    onProgress: (RoundProgress) -> Void = { _ in }, onRound: (RoundRecord) throws -> Void
  ) throws -> FinalState {
    while !isFinished {
      if let record = try advance(onProgress: onProgress).record { try onRound(record) }
      if let divergence { throw divergence }
    }
    return try finalState()
  }

  /// Plays one round: for callers that decide between rounds whether to go on.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each local step on every rank. Where it says yes before half of a
  ///     rank's work is done, the round is dropped on all ranks and the state is as it was.
  ///   - onProgress: Called on rank 0 after each local step and each evaluated example.
  /// - Precondition: Not `isFinished`; called on all ranks.
  public func advance(
    shouldStop: () -> Bool = { false }, onProgress: (RoundProgress) -> Void = { _ in }
  ) throws -> RoundEnd {
    precondition(!isFinished, "round \(round) of a run of \(plan.rounds)")
    return try playRound(shouldStop: shouldStop, onProgress: onProgress)
  }

  /// The state on rank 0 and its digest on every rank, as things stand between two rounds.
  public func finalState() throws -> FinalState {
    FinalState(
      state: state, digest: try communicator.broadcast(state?.digest ?? "", root: 0))
  }

  private static func check(
    _ plan: FederationPlan, _ partition: any Population, _ objective: any LocalObjective,
    _ state: ServerState?
  ) throws {
    let problems =
      plan.problems(population: partition.clientCount)
      + plan.method.problems(factors: objective.factors)
    guard problems.isEmpty else {
      throw FederationError(reason: problems.joined(separator: "; "), exitCode: 64)
    }
    if plan.method.aggregation.mergesFactors { try checkMerging(objective, state) }
    if let problem = partition.problem(exampleCount: objective.exampleCount(.train)) {
      throw FederationError(reason: problem)
    }
    for split in plan.evaluation.splits where objective.exampleCount(split) == 0 {
      throw FederationError(
        reason: "the evaluation asks for split \(split.rawValue), which the corpus does not have")
    }
    try check(state, plan, objective)
  }

  /// Whether factors can be merged into the objective's base, and the state fits it.
  private static func checkMerging(_ objective: any LocalObjective, _ state: ServerState?) throws {
    guard let factors = objective.factors, objective.baseMatrices != nil else {
      throw FederationError(
        reason: "merging factors needs base weights in fp32; these are packed for other products",
        exitCode: 64)
    }
    guard let state else { return }
    guard [0, factors.baseCount].contains(state.mergedBase.count) else {
      throw FederationError(
        reason: "the server's state has \(state.mergedBase.count) merged base weights; "
          + "the adapted layers have \(factors.baseCount)")
    }
    for pair in factors.pairs {
      let b = state.vector[pair.bOffset..<(pair.bOffset + pair.outputs * factors.loraRank)]
      guard b.allSatisfy({ $0 == 0 }) else {
        throw FederationError(
          reason: "merging factors starts from the base model; the initial adapter has a B that is "
            + "not zero: merge it into a model first (export --merge)", exitCode: 64)
      }
    }
  }

  /// What rank 0 starts from.
  private static func check(
    _ state: ServerState?, _ plan: FederationPlan, _ objective: any LocalObjective
  ) throws {
    guard let state else { return }
    guard state.vector.count == objective.parameterCount else {
      throw FederationError(
        reason: "the server's vector has \(state.vector.count) coordinates; "
          + "the objective has \(objective.parameterCount)")
    }
    guard state.fits(plan.server) else {
      throw FederationError(
        reason: "the server's state has moments of \(state.firstMoment.count) and "
          + "\(state.secondMoment.count) coordinates; the plan's optimizer keeps "
          + "\(plan.server.momentCount) of its vector's length, \(state.vector.count)")
    }
    guard (state.clip != nil) == (plan.privacy?.initialAdaptiveClip != nil) else {
      throw FederationError(
        reason:
          "the server's state has \(state.clip == nil ? "no" : "an") adaptive clip, which the "
          + "plan \(state.clip == nil ? "needs" : "does not have")")
    }
    guard state.round <= plan.rounds else {
      throw FederationError(
        reason: "the server's state is after \(state.round) rounds; the plan has \(plan.rounds)",
        exitCode: 64)
    }
    if let index = state.vector.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) {
      throw FederationError(
        reason: "the server's vector is \(state.vector[index]) at coordinate \(index); "
          + "every coordinate must be finite")
    }
  }
}

extension Population {
  /// A hash of who has which examples, or of what determines that.
  fileprivate var digest: String {
    var hash = XXHash64()
    identify { hash.update($0) }
    return hash.hexDigits
  }
}
