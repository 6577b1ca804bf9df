// Phase 3: this rank's clients train, one after the other, and encode their uploads.
internal import Communication
internal import Sparsity

/// Ends a rank's training of a round that is dropped.
private struct RoundDropped: Error {}

/// The training of a round on one rank.
struct ClientTraining {
  let context: RoundContext
  let cohort: Cohort
  let downloads: Downloads
  let supports: Supports
  /// The bound on uploads; nil without privacy.
  let clip: Double?
  /// The rank's vectors.
  let trainer: LocalTrainer

  /// What a client's training left behind, besides the trainer's vectors.
  private struct Trained {
    let outcome: LocalTrainer.Outcome
    /// The ranks that the client keeps from now on; nil if it keeps all.
    let ranksLeft: Int?
  }

  /// Trains this rank's clients.
  ///
  /// - Parameters:
  ///   - shouldStop: Asked after each local step; where it says yes before half of the work is done,
  ///     the round is dropped.
  ///   - onProgress: Called on rank 0 after each local step.
  /// - Communication: Uploads under way, if the plan overlaps them with training.
  func run(
    clock: inout PhaseClock, shouldStop: () -> Bool, onProgress: (RoundProgress) -> Void
  ) throws -> TrainedClients {
    let own = cohort.assigned[context.communicator.rank]
    let underWay =
      context.plan.uploads == .overlapped
      ? try MessagesUnderWay(over: context.communicator, counts: cohort.assigned.map(\.count))
      : nil
    var result = TrainedClients(cohort: cohort, underWay: underWay, context: context)
    var progress = TrainingProgress(of: own.map { cohort.trained[$0].client }, in: context)
    var scattered: ClientKind?
    for position in own {
      let member = cohort.trained[position]
      let download = downloads[member.kind]
      if scattered != member.kind {
        download.vector.scatter(into: trainer.start)
        scattered = member.kind
      }
      do {
        let trained = try train(
          member, from: download, underWay: underWay, progress: &progress,
          shouldStop: shouldStop, onProgress: onProgress)
        let seconds = clock.mark(\.train)
        context.onActivity(.encoding(round: context.round, client: member.client))
        let upload = try encode(trained, of: member, against: download)
        try result.send(upload.message)
        result.reports.append(
          report(
            on: trained, upload, of: member, position: position,
            seconds: seconds + clock.mark(\.encode)))
      } catch is RoundDropped {
        return result
      } catch {
        result.reports.append(
          try context.refusal(
            of: member.client, position: position, error, seconds: clock.mark(\.train)))
        try result.send([])
      }
      progress.finishClient(member.client, onProgress)
    }
    return result
  }

  /// Trains a client from the trainer's start and adds what it kept back in earlier rounds.
  private func train(
    _ member: Cohort.Member, from download: Download, underWay: MessagesUnderWay?,
    progress: inout TrainingProgress, shouldStop: () -> Bool,
    onProgress: (RoundProgress) -> Void
  ) throws -> Trained {
    let (plan, round, client) = (context.plan, context.round, member.client)
    let loraRank = cohort.kinds.rankCount(of: member.kind)
    context.aggregator.writeStart(
      of: client, loraRank: loraRank, to: trainer.start, in: context)
    let terms = LocalTerms.terms(
      of: plan, for: LocalTermClient(factors: context.factors, loraRank: loraRank))
    let examples = context.population.examples(of: client)
    let steps = plan.local.stepCount(examples: examples.count)
    var step = 0
    context.onActivity(.training(round: round, client: client, step: step, steps: steps))
    let outcome = try trainer.train(
      plan.local, examples: examples, support: download.trained, terms: terms, round: round,
      client: client, seed: plan.seed
    ) { batch in
      step += 1
      context.onActivity(.training(round: round, client: client, step: step, steps: steps))
      progress.finish(batch, onProgress)
      try underWay?.progress()
      if progress.isInFirstHalf, shouldStop() { throw RoundDropped() }
    }
    try addResidual(of: client, to: outcome)
    let start = UnsafeBufferPointer(trainer.start)
    return Trained(
      outcome: outcome,
      ranksLeft: terms.compactMap { $0.ranksLeft(after: outcome.trained, from: start) }.first)
  }

  /// A client's upload: the message, and the vectors that it was made of and that the server reads.
  private struct Upload {
    let message: [UInt8]
    let size: PayloadSize
    /// The coordinates that the selection kept, before any clipping.
    let selected: SparseVector
    /// The decoded message, clipped.
    let read: SparseVector
  }

  /// Selects and encodes the upload of a client, and keeps what is not sent.
  private func encode(
    _ trained: Trained, of member: Cohort.Member, against download: Download
  ) throws -> Upload {
    let delta = trained.outcome.clientDelta
    let support = supports.upload(
      of: member.client, delta: UnsafeBufferPointer(delta),
      after: supports.seen(download, withRanks: trained.ranksLeft))
    let selected = SparseVector(gathering: UnsafeBufferPointer(delta), at: support.mask)
    var rounding = context.rounding(.upload(client: member.client))
    let encoded = VectorCodec.encode(
      selected.clipped(toNorm: clip), format: context.plan.method.values.upload,
      known: support.known, tensorEnds: context.objective.tensorEnds, rounding: &rounding)
    // What the server will read, rounding included.
    let read = try context.decodedUpload(encoded.bytes, known: support.known, clip: clip)
    // With privacy what clip and rounding took off is lost: kept, it would grow.
    try keepResidual(of: member.client, delta, minus: clip == nil ? read : selected)
    return Upload(message: encoded.bytes, size: encoded.size, selected: selected, read: read)
  }

  private func report(
    on trained: Trained, _ upload: Upload, of member: Cohort.Member, position: Int,
    seconds: Double
  ) -> ClientReport {
    ClientReport(
      position: position, rank: context.communicator.rank,
      examples: context.population.exampleCount(of: member.client),
      steps: trained.outcome.steps, sums: trained.outcome.sums, seconds: seconds,
      upload: upload.size, uploadNonzeros: upload.read.count,
      largestMagnitude: upload.read.largestMagnitude,
      measure: context.aggregator.measure(
        trained.outcome.trained,
        loraRank: trained.ranksLeft ?? cohort.kinds.rankCount(of: member.kind),
        factors: context.factors),
      uploadNorm: upload.selected.euclideanNorm, prunedRank: trained.ranksLeft ?? 0)
  }

  /// Adds what the client kept back in earlier rounds.
  private func addResidual(of client: Int, to outcome: LocalTrainer.Outcome) throws {
    guard let kept = try context.residuals?.residual(of: client, before: context.round) else {
      return
    }
    let delta = outcome.clientDelta
    precondition(kept.count == delta.count, "a residual of \(kept.count) for \(delta.count)")
    for i in 0..<delta.count { delta[i] += kept[i] }
    guard firstNonFinite(in: UnsafeBufferPointer(delta)) == nil else {
      throw FederationError(
        round: context.round, client: client,
        NonFiniteUpdate(
          place: .residual, step: outcome.steps, steps: outcome.steps,
          largestGradient: outcome.largestGradient, tokens: outcome.sums.tokens))
    }
  }

  /// Keeps what was not sent; `delta` is used up.
  private func keepResidual(
    of client: Int, _ delta: UnsafeMutableBufferPointer<Float>, minus upload: SparseVector
  ) throws {
    guard let residuals = context.residuals else { return }
    for (index, value) in zip(upload.indices, upload.values) { delta[Int(index)] -= value }
    try residuals.keep(UnsafeBufferPointer(delta), of: client, round: context.round)
  }
}

extension RoundContext {
  /// The vector of a client's upload as the server reads it.
  func decodedUpload(
    _ message: [UInt8], known: SupportMask?, clip: Double?
  ) throws -> SparseVector {
    try VectorCodec.decode(
      message, expectedLength: length, tensorEnds: objective.tensorEnds, known: known
    ).clipped(toNorm: clip)
  }
}
