// One round, for every method: what is selected, trained and kept, how clients count and how the
// server steps are values of the plan.
//
//   M_i  = download selection of P for tier i       encoded once for all of its clients
//   each client c of the cohort, in tier i:
//     x_c = local training of its coordinates from P masked by M_i
//     u_c = upload selection of (P masked by M_i) - x_c (+ what it kept back), clipped where
//           privacy is on (Privacy.swift), encoded
//   g  = sum_c w_c u_c / sum_c w_c                  exact, in fixed point (Round+Aggregation.swift)
//   P <- server step of P with g
//
// (FLASC, arXiv 2406.05233, Algorithm 1; Reddi et al. 2021, Algorithm 1 where both selections are
// `all`.) Clients are spread over the ranks, the server is rank 0. With a virtual clock
// (SystemModel.swift) the sums are over the clients whose uploads are in time; where none is, the
// server makes no step.
internal import Communication
internal import RandomStreams
internal import Sparsity

/// Ends a rank's training of a round that is dropped.
private struct RoundDropped: Error {}

extension FederatedRun {
  /// Plays round `round` and ends it, or drops it.
  func playRound(
    shouldStop: () -> Bool, onProgress: (RoundProgress) -> Void
  ) throws -> RoundEnd {
    var clock = PhaseClock()
    onActivity(.download(round: round))
    let members = plan.participants(round: round, population: population.clientCount).map {
      Member(client: $0.client, kind: kind(of: $0.client), fate: $0.fate)
    }
    // Who will not send anything need not be trained.
    let trained = members.filter { $0.fate == .used }
    let received = members.filter { $0.fate != .unavailable }
    let assigned = plan.schedule.assign(
      costs: trained.map { tokens(of: $0.client) }, ranks: communicator.size)
    let downloads = try distributeDownloads(
      hasOneDownload ? [kind(ofTier: 0)] : Set(received.map(\.kind)).sorted())
    let tierMasks = tierMasksToEvaluate()
    let clip = try agreedClip()
    clock.mark(\.download)

    let own = assigned[communicator.rank]
    let underWay =
      plan.uploads == .overlapped
      ? try MessagesUnderWay(over: communicator, counts: assigned.map(\.count)) : nil
    let (messages, ownReports) = try train(
      own.map {
        (position: $0, client: trained[$0].client, download: downloads[trained[$0].kind]!)
      },
      clip, underWay, &clock, shouldStop, onProgress)
    // Also the barrier after which nobody trains any more.
    let isDropped = ownReports.count < own.count
    let stop = try communicator.maximum(isDropped ? 2 : shouldStop() ? 1 : 0)
    clock.mark(\.wait)
    if stop == 2 {
      try underWay?.abandon(announced: own.count)
      return RoundEnd(isDropped: true, isStopRequested: true)
    }
    let arrived = try underWay?.finish() ?? []
    clock.mark(\.transfer)

    let reports = try communicator.exchange(ownReports, assigned: assigned)
    let cohort = members.map { member in
      (member: member, download: member.fate == .unavailable ? nil : downloads[member.kind])
    }
    let sizes = try downloadSizes(cohort)
    let stack = state?.lastStack
    let verdict = try judge(members, sizes, reports)
    if plan.method.residual == .kept, verdict.isUsed.contains(false) {
      for position in own where !verdict.isUsed[position] && reports[position].refusal == nil {
        try residuals?.withdraw(trained[position].client, round: round)
      }
      // Another rank may train the client in the next round.
      try communicator.barrier()
    }
    var uploads = Uploads(
      messages: messages, arrived: arrived, reports: reports, clients: trained.map(\.client),
      assigned: assigned, rank: communicator.rank, isUsed: verdict.isUsed)
    if plan.privacy != nil { uploads.zeros = reports.count { $0.refusal != nil } }
    try aggregate(uploads, downloads, clip, &clock)
    countRefusals(reports)
    let played = round
    round += 1

    var evaluation = RoundEvaluation()
    if plan.evaluation.isDue(after: played, of: plan.rounds) {
      evaluation = try evaluate(
        after: played, within: hasOneDownload ? downloads[kind(ofTier: 0)]?.mask : nil,
        tierMasks: tierMasks, onProgress)
      clock.mark(\.evaluate)
    }
    var end = RoundEnd(isDropped: false, isStopRequested: stop == 1)
    if let state {
      var seconds = clock.seconds
      seconds.idle = idleSeconds(reports)
      end.record = record(
        played, cohort, sizes, reports, verdict, clip, stack: stack, evaluation, state, seconds)
    }
    return end
  }

  /// Trains this rank's clients; returns their encoded uploads and the reports on them, or fewer
  /// where it is asked to stop before half of the work is done.
  private func train(
    _ own: [(position: Int, client: Int, download: Download)], _ clip: Double?,
    _ underWay: MessagesUnderWay?, _ clock: inout PhaseClock, _ shouldStop: () -> Bool,
    _ onProgress: (RoundProgress) -> Void
  ) throws -> (messages: [[UInt8]], reports: [ClientReport]) {
    var messages: [[UInt8]] = []
    var reports: [ClientReport] = []
    let began = ContinuousClock.now
    var progress = RoundProgress(
      round: round, rounds: plan.rounds, stage: .training, clientsFinished: 0,
      clientCount: own.count, workFinished: 0,
      workCount: own.reduce(0) { $0 + plan.local.epochs * tokens(of: $1.client) },
      stageSeconds: 0)
    func report() {
      guard communicator.rank == 0 else { return }
      progress.stageSeconds = (ContinuousClock.now - began).seconds
      onProgress(progress)
    }
    var scattered: ClientKind?
    for (position, client, download) in own {
      if scattered != download.kind {
        download.vector.scatter(into: trainer.start)
        scattered = download.kind
      }
      writeNewFactors(of: client, download.kind, to: trainer.start)
      let terms = LocalTerms.terms(
        of: plan,
        for: LocalTermClient(
          factors: objective.factors, loraRank: rankCount(of: download.kind)))
      let outcome: LocalTrainer.Outcome
      let examples = population.examples(of: client)
      let steps = plan.local.stepCount(examples: examples.count)
      var step = 0
      let workBefore = progress.workFinished
      do {
        onActivity(.training(round: round, client: client, step: step, steps: steps))
        outcome = try trainer.train(
          plan.local, examples: examples, support: download.trained, terms: terms, round: round,
          client: client, seed: plan.seed
        ) { batch in
          step += 1
          onActivity(.training(round: round, client: client, step: step, steps: steps))
          for example in batch {
            progress.workFinished += objective.tokenCount(ofTrainingExample: example)
          }
          report()
          try underWay?.progress()
          if 2 * progress.workFinished < progress.workCount, shouldStop() { throw RoundDropped() }
        }
        try addResidual(of: client, to: outcome)
      } catch is RoundDropped {
        return (messages, reports)
      } catch {
        reports.append(
          try refusal(of: client, position: position, error, seconds: clock.mark(\.train)))
        if let underWay {
          try underWay.send([])
        } else {
          messages.append([])
        }
        progress.workFinished = workBefore + plan.local.epochs * tokens(of: client)
        progress.clientsFinished += 1
        report()
        continue
      }
      let trainSeconds = clock.mark(\.train)
      onActivity(.encoding(round: round, client: client))
      let tier = download.tier
      let start = UnsafeBufferPointer(trainer.start)
      let prunedRank = terms.compactMap { $0.ranksLeft(after: outcome.trained, from: start) }.first
      let mask = uploadMask(
        of: client, tier: tier, UnsafeBufferPointer(outcome.clientDelta),
        pruned(download, to: prunedRank))
      let known = knownSupport(ofUpload: tier, pruned(download, to: prunedRank), mask)
      let selected = SparseVector(gathering: UnsafeBufferPointer(outcome.clientDelta), at: mask)
      var rounding = roundingStream(client: client, step: 1 << 20)
      let encoded = VectorCodec.encode(
        selected.clipped(toNorm: clip), format: plan.method.values.upload, known: known,
        tensorEnds: objective.tensorEnds, rounding: &rounding)
      // What the server will read, rounding included.
      let upload = try VectorCodec.decode(
        encoded.bytes, expectedLength: objective.parameterCount,
        tensorEnds: objective.tensorEnds, known: known
      ).clipped(toNorm: clip)
      // With privacy what clip and rounding took off is lost: kept, it would grow.
      try keepResidual(of: client, outcome.clientDelta, minus: clip == nil ? upload : selected)
      if let underWay {
        try underWay.send(encoded.bytes)
      } else {
        messages.append(encoded.bytes)
      }
      let encodeSeconds = clock.mark(\.encode)
      reports.append(
        ClientReport(
          position: position, rank: communicator.rank,
          examples: population.exampleCount(of: client),
          steps: outcome.steps, sums: outcome.sums, seconds: trainSeconds + encodeSeconds,
          upload: encoded.size, uploadNonzeros: upload.count,
          largestMagnitude: upload.largestMagnitude,
          productNorm: productNorm(
            outcome.trained, ranksBelow: prunedRank ?? rankCount(of: download.kind)),
          uploadNorm: selected.euclideanNorm, prunedRank: prunedRank ?? 0))
      progress.clientsFinished += 1
      report()
    }
    return (messages, reports)
  }

  /// The coordinates of a client's delta that it sends.
  func uploadMask(
    of client: Int, tier: Int, _ delta: UnsafeBufferPointer<Float>, _ download: Download
  ) -> SupportMask {
    var stream = RandomStream(
      seed: plan.seed, purpose: .selection, round: round, client: client, step: 1)
    return plan.method.upload(ofTier: tier).mask(
      of: delta, round: round, among: download.structure, limit: download.trained,
      downloaded: download.mask, using: &stream)
  }

  /// The support of an upload that the server knows before it comes, since it depends on nothing but
  /// the method, the download and the seed; nil where the message has to say it.
  ///
  /// - Parameter mask: Made only where it is known.
  func knownSupport(
    ofUpload tier: Int, _ download: Download, _ mask: @autoclosure () -> SupportMask
  ) -> SupportMask? {
    let candidates = download.structure?.count ?? objective.parameterCount
    let isKnown = plan.method.upload(ofTier: tier).isFixed(
      round: round, candidates: candidates, limit: download.trained?.count ?? candidates)
    return isKnown ? mask() : nil
  }

  /// Adds what the client kept back in earlier rounds, where the method keeps it.
  private func addResidual(of client: Int, to outcome: LocalTrainer.Outcome) throws {
    guard plan.method.residual == .kept,
      let kept = try residuals?.residual(of: client, before: round)
    else { return }
    let delta = outcome.clientDelta
    precondition(kept.count == delta.count, "a residual of \(kept.count) for \(delta.count)")
    for i in 0..<delta.count { delta[i] += kept[i] }
    guard firstNonFinite(in: UnsafeBufferPointer(delta)) == nil else {
      throw FederationError(
        round: round, client: client,
        NonFiniteUpdate(
          place: .residual, step: outcome.steps, steps: outcome.steps,
          largestGradient: outcome.largestGradient, tokens: outcome.sums.tokens))
    }
  }

  /// Keeps what was not sent, where the method keeps it; `delta` is used up.
  private func keepResidual(
    of client: Int, _ delta: UnsafeMutableBufferPointer<Float>, minus upload: SparseVector
  ) throws {
    guard plan.method.residual == .kept, let residuals else { return }
    for (index, value) in zip(upload.indices, upload.values) { delta[Int(index)] -= value }
    try residuals.keep(UnsafeBufferPointer(delta), of: client, round: round)
  }

  /// ||B A||_F of what a client trained, where the aggregation weighs by it.
  private func productNorm(
    _ trained: UnsafeBufferPointer<Float>, ranksBelow count: Int
  ) -> Double {
    guard plan.method.aggregation == .normWeighted, let factors = objective.factors else {
      return 0
    }
    return factors.squaredProductNorm(of: trained, ranksBelow: count).squareRoot()
  }

  /// A download as its reader sees it who has pruned ranks in this round.
  func pruned(_ download: Download, to loraRank: Int?) -> Download {
    guard let loraRank, let factors = objective.factors else { return download }
    return download.pruned(to: factors.support(ranksBelow: loraRank))
  }

  /// What a round over `client` costs, in tokens of one local epoch.
  private func tokens(of client: Int) -> Int {
    population.examples(of: client).reduce(0) { $0 + objective.tokenCount(ofTrainingExample: $1) }
  }
}
