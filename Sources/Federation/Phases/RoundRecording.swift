// Phase 8: what rank 0 reports of a round.
internal import Sparsity

/// The parts of a round of which its record is made.
struct RoundRecording {
  let context: RoundContext
  let cohort: Cohort
  let downloads: Downloads
  let charges: DownloadCharges
  /// Of the members that trained, in their order.
  let reports: [ClientReport]
  let verdict: Verdict
  /// The bound on uploads; nil without privacy.
  let clip: Double?
  let evaluation: RoundEvaluation

  /// The record of the round.
  ///
  /// - Parameters:
  ///   - server: The state after the round.
  ///   - seconds: The wall seconds of rank 0.
  func record(server: ServerState, seconds: PhaseSeconds) -> RoundRecord {
    // In cohort order, whoever trained what: a sum of Doubles depends on its order.
    var sums = LossSums()
    for (report, isUsed) in zip(reports, verdict.isUsed) where isUsed { sums += report.sums }
    var seconds = seconds
    seconds.idle = idleSeconds
    let count = context.length
    return RoundRecord(
      round: context.round, parameterCount: count, clients: clients,
      modelledSeconds: verdict.seconds, trainLoss: sums.meanLoss, trainAccuracy: sums.accuracy,
      privacy: context.privacyRecord(clip: clip, norms: reports.map(\.uploadNorm)),
      denseMessage: PayloadSize(values: 4 * count, indices: 0, header: VectorCodec.headerBytes),
      seconds: seconds, digest: server.digest, evaluation: evaluation.splits,
      clientEvaluation: evaluation.clients)
  }

  /// The records of all members.
  private var clients: [ClientRecord] {
    var left = zip(reports, verdict.isUsed).makeIterator()
    return cohort.members.indices.map { index in
      let trained = cohort.members[index].fate == .used ? left.next() : nil
      return record(ofMember: index, trained?.0, isUsed: trained?.1 ?? false)
    }
  }

  /// The record of a member.
  ///
  /// - Parameter report: nil if it was not trained.
  private func record(
    ofMember index: Int, _ report: ClientReport?, isUsed: Bool
  ) -> ClientRecord {
    let member = cohort.members[index]
    let (download, stack) = (downloads[member], charges.stack)
    let values = context.plan.method.values
    var bound = 0.0
    if let download {
      bound += entropyBound(download.mask.count, values.download)
      bound += Double(stack?.payload.total ?? 0)
    }
    if isUsed { bound += entropyBound(report?.uploadNonzeros ?? 0, values.upload) }
    return ClientRecord(
      round: context.round, client: member.client, tier: member.tier,
      status: status(of: member, report, isUsed: isUsed), rank: report?.rank ?? -1,
      examples: report?.examples ?? context.population.exampleCount(of: member.client),
      steps: report?.steps ?? 0, tokens: report?.sums.tokens ?? 0,
      loss: report?.sums.meanLoss, accuracy: report?.sums.accuracy,
      seconds: report?.seconds ?? 0, download: charges.sizes[index],
      upload: isUsed ? report?.upload ?? .zero : .zero,
      downloadNonzeros: download.map { $0.mask.count + (stack?.count ?? 0) } ?? 0,
      uploadNonzeros: isUsed ? report?.uploadNonzeros ?? 0 : 0,
      uploadNorm: report?.uploadNorm ?? 0, entropyBound: bound,
      modelledSeconds: verdict.memberSeconds.isEmpty ? nil : verdict.memberSeconds[index],
      loraRank: isUsed ? report.flatMap { sentRank(of: member.kind, $0) } : nil,
      refusal: report?.refusal)
  }

  private func status(
    of member: Cohort.Member, _ report: ClientReport?, isUsed: Bool
  ) -> ClientStatus {
    guard member.fate == .used, !isUsed else { return member.fate }
    return report?.refusal == nil ? .late : .refused
  }

  /// The ranks that a client sent, if clients prune theirs.
  private func sentRank(of kind: ClientKind, _ report: ClientReport) -> Int? {
    guard context.plan.method.rankPruning != nil else { return nil }
    return report.prunedRank > 0 ? report.prunedRank : cohort.kinds.rankCount(of: kind)
  }

  private func entropyBound(_ count: Int, _ format: ValueFormat) -> Double {
    VectorCodec.entropyBound(
      length: context.length, count: count, format: format,
      tensorCount: context.objective.tensorEnds.count)
  }

  /// How long a rank waits on average for the one whose clients take longest.
  private var idleSeconds: Double {
    var busy = [Double](repeating: 0, count: context.communicator.size)
    for report in reports { busy[report.rank] += report.seconds }
    return (busy.max() ?? 0) - busy.reduce(0, +) / Double(busy.count)
  }
}

extension LossSums {
  /// The mean loss over the items; nil over none.
  fileprivate var meanLoss: Double? { count == 0 ? nil : loss / Double(count) }
  /// The share of items that were predicted right; nil over none.
  fileprivate var accuracy: Double? { count == 0 ? nil : Double(correct) / Double(count) }
}
