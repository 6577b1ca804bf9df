// One round, for every method: what is selected, trained and kept, how clients count and how the
// server steps are values of the plan.
//
//   M_i  = download selection of P for tier i       encoded once for all of its clients
//   each client c of the cohort, in tier i:
//     x_c = local training of its coordinates from P masked by M_i
//     u_c = upload selection of (P masked by M_i) - x_c (+ what it kept back), clipped where
//           privacy is on (Privacy.swift), encoded
//   g  = aggregation of the u_c, for example their exact weighted mean (Aggregators/)
//   P <- server step of P with g
//
// (FLASC, arXiv 2406.05233, Algorithm 1; Reddi et al. 2021, Algorithm 1 where both selections are
// `all`.) Clients are spread over the ranks, the server is rank 0. With a virtual clock
// (SystemModel.swift) the sums are over the clients whose uploads are in time; if there is none, the
// server makes no step.
internal import Communication
internal import Sparsity

/// What a rank keeps from one round to the next.
struct RunState {
  /// The server's state; on rank 0 only.
  var server: ServerState?
  /// What clients remember of their downloads, on rank 0, if the method's messages build on it.
  var knowledge = ClientKnowledge()
  /// The ranks that are left to clients that have pruned some; the same on every rank.
  var clientRanks: [Int: Int] = [:]
  /// The last rounds in a row in which every upload was refused; the same on every rank.
  var refusedRounds = 0
  /// The clients seen, as far as evaluations asked.
  var seen = SeenClients()
  /// The support of the last evaluation, on rank 0; nil before this run's first evaluation.
  var evaluatedSupport: EvaluatedSupport?

  /// Counts the rounds in a row in which every upload was refused; a round without any upload neither
  /// continues nor ends the row.
  mutating func countRefusals(_ reports: [ClientReport]) {
    guard !reports.isEmpty else { return }
    refusedRounds = reports.allSatisfy { $0.refusal != nil } ? refusedRounds + 1 : 0
    server?.refusedRounds = refusedRounds
  }
}

/// A rank's memory that all rounds use.
struct RoundMemory {
  /// The vectors of local training.
  let trainer: LocalTrainer
  /// The sums of hosts.
  let hostSums: HostSums
}

extension RoundContext {
  /// Plays the round and changes `state` by it, or drops the round.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each local step on every rank; if it says yes before half of a rank's
  ///     work is done, the round is dropped on all ranks.
  ///   - onProgress: Called on rank 0 after each local step and each evaluated block.
  func play(
    _ state: inout RunState, memory: RoundMemory, shouldStop: () -> Bool,
    onProgress: (RoundProgress) -> Void
  ) throws -> RoundEnd {
    var clock = PhaseClock()
    onActivity(.download(round: round))
    let cohort = Cohort(clientRanks: state.clientRanks, in: self)
    let supports = Supports(of: cohort.kinds, in: self)
    let downloads = try Downloads(of: state.server, to: cohort, supports: supports, in: self)
    let evaluation = Evaluation(context: self, trainer: memory.trainer)
    let tierMasks = evaluation.tierMasks(of: state.server, kinds: cohort.kinds, supports: supports)
    let clip = try agreedClip(of: state.server)
    clock.mark(\.download)

    let training = ClientTraining(
      context: self, cohort: cohort, downloads: downloads, supports: supports, clip: clip,
      trainer: memory.trainer)
    let trained = try training.run(clock: &clock, shouldStop: shouldStop, onProgress: onProgress)
    guard let agreed = try trained.agreed(clock: &clock, shouldStop: shouldStop) else {
      return RoundEnd(isDropped: true, isStopRequested: true)
    }

    let charges = try DownloadCharges(
      of: downloads, to: cohort, stack: state.server?.lastStack, knowledge: &state.knowledge,
      in: self)
    let verdict = try Verdict(
      on: cohort, downloadSizes: charges.sizes, reports: agreed.reports, in: self)
    try verdict.withdrawResiduals(of: cohort, reports: agreed.reports, in: self)

    let uploads = Uploads(
      of: trained, agreed: agreed, verdict: verdict, downloads: downloads, supports: supports,
      in: self)
    let combination = UploadCombination(
      context: self, uploads: uploads, supports: supports, clip: clip)
    let combined = try combination.combined(hostSums: memory.hostSums, clock: &clock)
    let step = ServerStep(context: self, cohort: cohort, downloads: downloads, clip: clip)
    try step.apply(uploads, combined, to: &state)
    state.countRefusals(agreed.reports)
    clock.mark(\.server)

    let evaluated = try evaluation.run(
      of: state.server, within: downloads.shared?.mask, tierMasks: tierMasks, seen: &state.seen,
      onProgress: onProgress)
    if evaluation.isDue { clock.mark(\.evaluate) }
    state.evaluatedSupport = evaluated.support ?? state.evaluatedSupport

    let recording = RoundRecording(
      context: self, cohort: cohort, downloads: downloads, charges: charges,
      reports: agreed.reports, verdict: verdict, clip: clip, evaluation: evaluated)
    return RoundEnd(
      isDropped: false, isStopRequested: agreed.isStopRequested,
      record: state.server.map { recording.record(server: $0, seconds: clock.seconds) })
  }
}
