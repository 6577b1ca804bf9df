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
// `all`.) Clients are spread over the ranks, the server is rank 0.
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
    let cohort = plan.cohort.cohort(
      round: round, population: population.clientCount, seed: plan.seed)
    let assigned = plan.schedule.assign(
      costs: cohort.map(tokens), ranks: communicator.size)
    let tiers = cohort.map { plan.method.tier(of: $0, seed: plan.seed) }
    let downloads = try distributeDownloads(tiers: Set(tiers).sorted())
    let clip = try agreedClip()
    clock.mark(\.download)

    let own = assigned[communicator.rank]
    let (messages, ownReports) = try train(
      own.map { (position: $0, client: cohort[$0], download: downloads[tiers[$0]]!) }, clip,
      &clock, shouldStop, onProgress)
    // Also the barrier after which nobody trains any more.
    let isDropped = ownReports.count < own.count
    let stop = try communicator.maximum(isDropped ? 2 : shouldStop() ? 1 : 0)
    clock.mark(\.wait)
    if stop == 2 { return RoundEnd(isDropped: true, isStopRequested: true) }

    let reports = try communicator.exchange(ownReports, assigned: assigned)
    try aggregate(messages, reports, cohort, assigned, downloads, clip, &clock)
    let members = zip(cohort, tiers).map { (client: $0, tier: $1, download: downloads[$1]!) }
    let sizes = try downloadSizes(members)
    let played = round
    round += 1

    var evaluation = RoundEvaluation()
    if plan.evaluation.isDue(after: played, of: plan.rounds) {
      evaluation = try evaluate(
        after: played, within: plan.method.tiers.isEmpty ? downloads[0]?.mask : nil, onProgress)
      clock.mark(\.evaluate)
    }
    var end = RoundEnd(isDropped: false, isStopRequested: stop == 1)
    if let state {
      var seconds = clock.seconds
      seconds.idle = idleSeconds(reports)
      var record = record(
        played, members, sizes, reports, clip, evaluation.splits, state, seconds)
      record.clientEvaluation = evaluation.clients
      end.record = record
    }
    return end
  }

  /// Trains this rank's clients; returns their encoded uploads and the reports on them, or fewer
  /// where it is asked to stop before half of the work is done.
  private func train(
    _ own: [(position: Int, client: Int, download: Download)], _ clip: Double?,
    _ clock: inout PhaseClock, _ shouldStop: () -> Bool, _ onProgress: (RoundProgress) -> Void
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
    var scattered: Int?
    for (position, client, download) in own {
      if scattered != download.tier {
        download.vector.scatter(into: trainer.start)
        scattered = download.tier
      }
      let outcome: LocalTrainer.Outcome
      do {
        outcome = try trainer.train(
          plan.local, examples: population.examples(of: client), support: download.trained,
          round: round,
          client: client, seed: plan.seed
        ) { batch in
          for example in batch {
            progress.workFinished += objective.tokenCount(ofTrainingExample: example)
          }
          report()
          if 2 * progress.workFinished < progress.workCount, shouldStop() { throw RoundDropped() }
        }
      } catch is RoundDropped {
        return (messages, reports)
      }
      let trainSeconds = clock.mark(\.train)
      try addResidual(of: client, to: outcome.clientDelta)
      let tier = download.tier
      let mask = uploadMask(
        of: client, tier: tier, UnsafeBufferPointer(outcome.clientDelta), download)
      let known = knownSupport(ofUploadIn: tier, mask)
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
      messages.append(encoded.bytes)
      let encodeSeconds = clock.mark(\.encode)
      reports.append(
        ClientReport(
          position: position, rank: communicator.rank,
          examples: population.exampleCount(of: client),
          steps: outcome.steps, sums: outcome.sums, seconds: trainSeconds + encodeSeconds,
          upload: encoded.size, uploadNonzeros: upload.count,
          largestMagnitude: upload.largestMagnitude,
          productNorm: productNorm(outcome.trained), uploadNorm: selected.euclideanNorm))
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
  /// the download and the seed; nil where the message has to say it.
  func knownSupport(ofUploadIn tier: Int, _ mask: @autoclosure () -> SupportMask) -> SupportMask? {
    switch plan.method.upload(ofTier: tier) {
    case .all, .downloaded, .random: mask()
    case .topMagnitude: nil
    }
  }

  /// Adds what the client kept back in earlier rounds, where the method keeps it.
  private func addResidual(of client: Int, to delta: UnsafeMutableBufferPointer<Float>) throws {
    guard plan.method.residual == .kept,
      let kept = try residuals?.residual(of: client, before: round)
    else { return }
    precondition(kept.count == delta.count, "a residual of \(kept.count) for \(delta.count)")
    for i in 0..<delta.count { delta[i] += kept[i] }
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
  private func productNorm(_ trained: UnsafeBufferPointer<Float>) -> Double {
    guard plan.method.aggregation == .normWeighted, let factors = objective.factors else {
      return 0
    }
    return factors.squaredProductNorm(of: trained).squareRoot()
  }

  private func entropyBound(_ count: Int, _ format: ValueFormat) -> Double {
    VectorCodec.entropyBound(
      length: objective.parameterCount, count: count, format: format,
      tensorCount: objective.tensorEnds.count)
  }

  /// What a round over `client` costs, in tokens of one local epoch.
  private func tokens(of client: Int) -> Int {
    population.examples(of: client).reduce(0) { $0 + objective.tokenCount(ofTrainingExample: $1) }
  }

  /// How long a rank waits on average for the one whose clients take longest.
  private func idleSeconds(_ reports: [ClientReport]) -> Double {
    var busy = [Double](repeating: 0, count: communicator.size)
    for report in reports { busy[report.rank] += report.seconds }
    return (busy.max() ?? 0) - busy.reduce(0, +) / Double(busy.count)
  }

  private func record(
    _ round: Int, _ cohort: [(client: Int, tier: Int, download: Download)],
    _ downloadSizes: [PayloadSize], _ reports: [ClientReport], _ clip: Double?,
    _ evaluation: [EvaluationRecord], _ state: ServerState, _ seconds: PhaseSeconds
  ) -> RoundRecord {
    // In cohort order, whoever trained what: a sum of Doubles depends on its order.
    var sums = LossSums()
    for report in reports { sums += report.sums }
    let records = zip(zip(cohort, downloadSizes), reports).map { received, report in
      let (member, size) = received
      return ClientRecord(
        round: round, client: member.client, tier: member.tier, rank: report.rank,
        examples: report.examples,
        steps: report.steps, tokens: report.sums.tokens, loss: report.sums.meanLoss,
        accuracy: report.sums.accuracy, seconds: report.seconds, download: size,
        upload: report.upload, downloadNonzeros: member.download.mask.count,
        uploadNonzeros: report.uploadNonzeros, uploadNorm: report.uploadNorm,
        entropyBound: entropyBound(member.download.mask.count, plan.method.values.download)
          + entropyBound(report.uploadNonzeros, plan.method.values.upload))
    }
    return RoundRecord(
      round: round, parameterCount: state.vector.count, clients: records,
      trainLoss: sums.meanLoss, trainAccuracy: sums.accuracy,
      privacy: privacyRecord(round: round, clip: clip, norms: reports.map(\.uploadNorm)),
      denseMessage: PayloadSize(
        values: 4 * state.vector.count, indices: 0, header: VectorCodec.headerBytes),
      seconds: seconds, digest: state.digest, evaluation: evaluation)
  }
}

extension LossSums {
  /// The mean loss over the items; 0 over none.
  fileprivate var meanLoss: Double { count == 0 ? 0 : loss / Double(count) }
  /// The share of items that were predicted right; 0 over none.
  fileprivate var accuracy: Double { count == 0 ? 0 : Double(correct) / Double(count) }
}
