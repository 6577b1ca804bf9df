// A federated run: rounds over a fixed plan, population and objective, from a server state to a
// server state. It can start from any state that was saved, on any number of ranks, and gives the
// same bits as the run that was not interrupted.
public import Communication
public import Corpora
internal import Digests
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
  /// What does not change from round to round, but for the number of the round.
  private var context: RoundContext
  /// What a round reads and changes.
  private var kept: RunState
  private let memory: RoundMemory

  /// What is played; privacy's noise is a multiplier here, also where the plan gave a target.
  public var plan: FederationPlan { context.plan }
  /// The accountant of the plan's privacy; nil without it.
  public var accountant: PrivacyAccountant? { context.accountant }
  /// The rounds finished, which is also the number of the next round; the same on every rank.
  public var round: Int { context.round }
  /// The server's state after `round` rounds; on rank 0 only.
  public var state: ServerState? { kept.server }
  /// The last rounds in a row in which every upload was refused; the same on every rank.
  public var refusedRounds: Int { kept.refusedRounds }
  /// The support of the last evaluation, on rank 0; nil before this object's first evaluation.
  public var evaluatedSupport: EvaluatedSupport? { kept.evaluatedSupport }
  /// What clients remember of their downloads, on rank 0, where the method's messages build on it.
  public var knowledge: ClientKnowledge { kept.knowledge }
  /// Called with what this rank begins to do, from client to client and step to step.
  public var onActivity: (Activity) -> Void {
    get { context.onActivity }
    set { context.onActivity = newValue }
  }

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
        reason: "residual: kept needs a directory for residuals if there are several ranks")
    }
    try communicator.requireSame("\(plan)", as: "the federation plan")
    try communicator.requireSame(partition.digest, as: "the partition")
    try communicator.requireSame(objective.parameterCount, as: "the trainable vector's length")
    let hosts = try HostLayout(of: communicator)
    var counts = [isServer ? state?.round ?? 0 : 0, isServer ? state?.refusedRounds ?? 0 : 0]
    try communicator.broadcast(&counts)
    context = RoundContext(
      plan: plan, aggregator: plan.method.aggregation.aggregator,
      accountant: plan.accountant(population: clientCount),
      population: plan.evaluation.training(partition, seed: plan.seed),
      evaluated: plan.evaluation.evaluation(partition, seed: plan.seed), objective: objective,
      communicator: communicator, hosts: hosts,
      residuals: plan.method.residual == .kept ? residuals ?? ResidualsInMemory() : nil,
      round: counts[0])
    memory = RoundMemory(
      trainer: LocalTrainer(objective: objective),
      hostSums: HostSums(
        length: objective.parameterCount, hosts: hosts, communicator: communicator))
    kept = RunState(
      server: isServer ? state : nil, knowledge: knowledge, refusedRounds: counts[1])
    try context.aggregator.restore(&kept.server, in: context)
    var ranks = kept.server?.clientRanks.rows ?? []
    try communicator.broadcast(&ranks)
    kept.clientRanks = Dictionary(rows: ranks)
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
  /// - Precondition: Not `isFinished`; called on all ranks. No callback reads `state`, which is nil
  ///   during a round.
  public func advance(
    shouldStop: () -> Bool = { false }, onProgress: (RoundProgress) -> Void = { _ in }
  ) throws -> RoundEnd {
    precondition(!isFinished, "round \(round) of a run of \(plan.rounds)")
    // Moved, not copied: the round changes its vectors in place.
    var playing = kept
    kept = RunState()
    defer { kept = playing }
    let end = try context.play(
      &playing, memory: memory, shouldStop: shouldStop, onProgress: onProgress)
    if !end.isDropped { context.round += 1 }
    return end
  }

  /// The state on rank 0 and its digest on every rank, as things stand between two rounds.
  public func finalState() throws -> FinalState {
    FinalState(
      state: state, digest: try context.communicator.broadcast(state?.digest ?? "", root: 0))
  }

  /// The rounds in a row, each with every upload refused, that end a run.
  static var refusedRoundsLimit: Int { 3 }

  /// Why going on makes no sense; nil while it does. The same on every rank.
  public var divergence: FederationError? {
    guard refusedRounds >= Self.refusedRoundsLimit else { return nil }
    return FederationError(
      round: round - 1,
      reason: "no client's update was finite in \(refusedRounds) rounds in a row; "
        + "try lower learning rates")
  }

  private static func check(
    _ plan: FederationPlan, _ partition: any Population, _ objective: any LocalObjective,
    _ state: ServerState?
  ) throws {
    try FederationError.check(
      plan.problems(population: partition.clientCount)
        + plan.method.problems(of: AdapterTraits(objective)))
    try plan.method.aggregation.aggregator.check(objective, state)
    if let problem = partition.problem(exampleCount: objective.exampleCount(.train)) {
      throw FederationError(reason: problem)
    }
    for split in plan.evaluation.splits where objective.exampleCount(split) == 0 {
      throw FederationError(
        reason: "the evaluation asks for split \(split.rawValue), which the corpus does not have")
    }
    try check(state, plan, objective)
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
    try FederationError.check(plan.problems(ofStart: state.vector, factors: objective.factors))
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
