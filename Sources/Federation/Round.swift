// One round, for every method: what is selected, how clients count and how the server steps are
// values of the plan.
//
//   M  = download selection of P          the mask; P masked by M is encoded once for all
//   each client c of the cohort:
//     x_c = local training of all coordinates from P masked by M
//     u_c = upload selection of (P masked by M) - x_c, encoded
//   g  = sum_c w_c u_c / sum_c w_c        exact, in fixed point
//   P <- server step of P with g
//
// (FLASC, arXiv 2406.05233, Algorithm 1; Reddi et al. 2021, Algorithm 1 where both selections are
// `all`.) Clients are spread over the ranks, the server is rank 0.
internal import Communication
internal import Sparsity

/// A download as every rank has it: the coordinates that were sent, and the message's size.
private struct Download {
  let mask: SupportMask
  let size: PayloadSize
}

extension FederatedRun {
  /// Plays round `round` and ends it; returns its record on rank 0.
  func playRound(onProgress: (RoundProgress) -> Void) throws -> RoundRecord? {
    var clock = PhaseClock()
    let cohort = plan.cohort.cohort(round: round, population: clients.count, seed: plan.seed)
    let assigned = plan.schedule.assign(
      costs: cohort.map(tokens), ranks: communicator.size)
    let download = try distributeDownload()
    clock.mark(\.download)

    let own = assigned[communicator.rank]
    let (messages, ownReports) = try train(
      own.map { (position: $0, client: cohort[$0]) }, &clock, onProgress)
    try communicator.barrier()
    clock.mark(\.wait)

    let reports = try communicator.exchange(ownReports, assigned: assigned)
    try aggregate(messages, reports, cohort, assigned, &clock)
    let played = round
    round += 1

    var evaluation: [EvaluationRecord] = []
    if plan.evaluation.isDue(after: played, of: plan.rounds) {
      evaluation = try evaluate(after: played, within: download.mask, onProgress)
      clock.mark(\.evaluate)
    }
    guard let state else { return nil }
    var seconds = clock.seconds
    seconds.idle = idleSeconds(reports)
    return record(played, cohort, reports, download, evaluation, state, seconds)
  }

  /// Selects and encodes the download on rank 0 and decodes it into the trainer's start on every
  /// rank.
  private func distributeDownload() throws -> Download {
    var message: [UInt8] = []
    var size = PayloadSize.zero
    state?.vector.withUnsafeBufferPointer { vector in
      let mask = plan.method.download.mask(of: vector, round: round)
      let encoded = VectorCodec.encode(SparseVector(gathering: vector, at: mask))
      (message, size) = (encoded.bytes, encoded.size)
    }
    try communicator.broadcast(&message)
    let received = try message.withUnsafeBytes {
      try VectorCodec.decode($0, expectedLength: objective.parameterCount)
    }
    received.scatter(into: trainer.start)
    return Download(mask: received.mask, size: size)
  }

  /// Trains this rank's clients; returns their encoded uploads and the reports on them.
  private func train(
    _ own: [(position: Int, client: Int)], _ clock: inout PhaseClock,
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
    for (position, client) in own {
      let outcome = try trainer.train(
        plan.local, examples: clients[client], round: round, client: client, seed: plan.seed
      ) { batch in
        for example in batch {
          progress.workFinished += objective.tokenCount(ofTrainingExample: example)
        }
        report()
      }
      let trainSeconds = clock.mark(\.train)
      let mask = plan.method.upload.mask(of: outcome.clientDelta, round: round)
      let upload = SparseVector(gathering: outcome.clientDelta, at: mask)
      let encoded = VectorCodec.encode(upload)
      messages.append(encoded.bytes)
      let encodeSeconds = clock.mark(\.encode)
      reports.append(
        ClientReport(
          position: position, rank: communicator.rank, examples: clients[client].count,
          steps: outcome.steps, sums: outcome.sums, seconds: trainSeconds + encodeSeconds,
          upload: encoded.size, uploadNonzeros: upload.count,
          largestMagnitude: upload.largestMagnitude))
      progress.clientsFinished += 1
      report()
    }
    return (messages, reports)
  }

  /// Brings all uploads to rank 0, which decodes and sums them and makes the server's step.
  private func aggregate(
    _ messages: [[UInt8]], _ reports: [ClientReport], _ cohort: [Int], _ assigned: [[Int]],
    _ clock: inout PhaseClock
  ) throws {
    let weights = reports.map { plan.weighting.weight(examples: $0.examples) }
    var sum: FixedPointSum?
    if communicator.rank == 0 {
      sum = FixedPointSum(
        length: objective.parameterCount,
        largestMagnitude: reports.reduce(0) { max($0, $1.largestMagnitude) },
        totalWeight: weights.reduce(0, +))
    }
    try plan.uploads.move(messages, over: communicator) { rank, index, message in
      guard communicator.rank == 0 else { return }
      clock.mark(\.transfer)
      let position = assigned[rank][index]
      do {
        let upload = try message.withUnsafeBytes {
          try VectorCodec.decode($0, expectedLength: objective.parameterCount)
        }
        sum?.add(upload, weight: weights[position])
      } catch {
        throw FederationError(
          round: round, client: cohort[position], reason: "\(error)", underlying: error)
      }
      clock.mark(\.server)
    }
    clock.mark(\.transfer)
    guard let sum else { return }
    state?.step(
      plan.server, pseudoGradient: sum.mean(), rateFactor: plan.serverSchedule.factor(round: round))
    if let index = state?.vector.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) {
      throw FederationError(
        round: round,
        reason: "the server's vector is not finite at coordinate \(index) after the step; "
          + "try a lower learning_rate of the server")
    }
    clock.mark(\.server)
  }

  /// What a round over `client` costs, in tokens of one local epoch.
  private func tokens(of client: Int) -> Int {
    clients[client].reduce(0) { $0 + objective.tokenCount(ofTrainingExample: $1) }
  }

  /// How long a rank waits on average for the one whose clients take longest.
  private func idleSeconds(_ reports: [ClientReport]) -> Double {
    var busy = [Double](repeating: 0, count: communicator.size)
    for report in reports { busy[report.rank] += report.seconds }
    return (busy.max() ?? 0) - busy.reduce(0, +) / Double(busy.count)
  }

  private func record(
    _ round: Int, _ cohort: [Int], _ reports: [ClientReport], _ download: Download,
    _ evaluation: [EvaluationRecord], _ state: ServerState, _ seconds: PhaseSeconds
  ) -> RoundRecord {
    // In cohort order, whoever trained what: a sum of Doubles depends on its order.
    var sums = LossSums()
    for report in reports { sums += report.sums }
    let records = zip(cohort, reports).map { client, report in
      ClientRecord(
        round: round, client: client, rank: report.rank, examples: report.examples,
        steps: report.steps, tokens: report.sums.tokens, loss: report.sums.meanLoss,
        accuracy: report.sums.accuracy, seconds: report.seconds, download: download.size,
        upload: report.upload, downloadNonzeros: download.mask.count,
        uploadNonzeros: report.uploadNonzeros)
    }
    return RoundRecord(
      round: round, parameterCount: state.vector.count, clients: records,
      trainLoss: sums.meanLoss, trainAccuracy: sums.accuracy,
      denseMessage: PayloadSize(
        values: 4 * state.vector.count, indices: 0, header: VectorCodec.headerBytes),
      seconds: seconds, digest: state.digest, evaluation: evaluation)
  }
}

extension UploadCollective {
  /// Hands the messages of all ranks to `each` at rank 0, one at a time.
  fileprivate func move(
    _ messages: [[UInt8]], over communicator: any Communicator,
    each: (_ rank: Int, _ index: Int, _ message: [UInt8]) throws -> Void
  ) throws {
    switch self {
    case .gather: try communicator.sparseGather(messages, each: each)
    case .allGather: try communicator.sparseAllGather(messages, each: each)
    }
  }
}

extension LossSums {
  /// The mean loss over the items; 0 over none.
  fileprivate var meanLoss: Double { count == 0 ? 0 : loss / Double(count) }
  /// The share of items that were predicted right; 0 over none.
  fileprivate var accuracy: Double { count == 0 ? 0 : Double(correct) / Double(count) }
}
