// What rank 0 reports of a round.
internal import Sparsity

extension FederatedRun {
  /// The record of a round that was played.
  ///
  /// - Parameters:
  ///   - cohort: Its members, with the download of each that received one.
  ///   - downloadSizes: What each is charged for it.
  ///   - reports: Of the members that trained, in their order.
  ///   - stack: What they received beside it.
  func record(
    _ round: Int, _ cohort: [(member: Member, download: Download?)],
    _ downloadSizes: [PayloadSize], _ reports: [ClientReport], _ verdict: RoundVerdict,
    _ clip: Double?, stack: StackSize?,
    _ evaluation: RoundEvaluation, _ state: ServerState, _ seconds: PhaseSeconds
  ) -> RoundRecord {
    // In cohort order, whoever trained what: a sum of Doubles depends on its order.
    var sums = LossSums()
    for (report, isUsed) in zip(reports, verdict.isUsed) where isUsed { sums += report.sums }
    var left = zip(reports, verdict.isUsed).makeIterator()
    var records: [ClientRecord] = []
    let values = plan.method.values
    for (index, (member, download)) in cohort.enumerated() {
      let trained = member.fate == .used ? left.next() : nil
      let (report, isUsed) = (trained?.0, trained?.1 ?? false)
      records.append(
        ClientRecord(
          round: round, client: member.client, tier: member.tier,
          status: member.fate == .used && !isUsed
            ? report?.refusal == nil ? .late : .refused : member.fate,
          rank: report?.rank ?? -1,
          examples: report?.examples ?? population.exampleCount(of: member.client),
          steps: report?.steps ?? 0, tokens: report?.sums.tokens ?? 0,
          loss: report?.sums.meanLoss, accuracy: report?.sums.accuracy,
          seconds: report?.seconds ?? 0, download: downloadSizes[index],
          upload: isUsed ? report?.upload ?? .zero : .zero,
          downloadNonzeros: download.map { $0.mask.count + (stack?.count ?? 0) } ?? 0,
          uploadNonzeros: isUsed ? report?.uploadNonzeros ?? 0 : 0,
          uploadNorm: report?.uploadNorm ?? 0,
          entropyBound: (download.map {
            entropyBound($0.mask.count, values.download) + Double(stack?.payload.total ?? 0)
          } ?? 0)
            + (isUsed ? entropyBound(report?.uploadNonzeros ?? 0, values.upload) : 0),
          modelledSeconds: verdict.memberSeconds.isEmpty ? nil : verdict.memberSeconds[index],
          loraRank: isUsed ? report.map { sentRank(of: member.kind, $0) } ?? nil : nil,
          refusal: report?.refusal))
    }
    return RoundRecord(
      round: round, parameterCount: state.vector.count, clients: records,
      modelledSeconds: verdict.seconds, trainLoss: sums.meanLoss, trainAccuracy: sums.accuracy,
      privacy: privacyRecord(round: round, clip: clip, norms: reports.map(\.uploadNorm)),
      denseMessage: PayloadSize(
        values: 4 * state.vector.count, indices: 0, header: VectorCodec.headerBytes),
      seconds: seconds, digest: state.digest, evaluation: evaluation.splits,
      clientEvaluation: evaluation.clients)
  }

  /// The ranks that a client sent, where clients prune theirs.
  private func sentRank(of kind: ClientKind, _ report: ClientReport) -> Int? {
    guard plan.method.rankPruning != nil else { return nil }
    return report.prunedRank > 0 ? report.prunedRank : rankCount(of: kind)
  }

  private func entropyBound(_ count: Int, _ format: ValueFormat) -> Double {
    VectorCodec.entropyBound(
      length: objective.parameterCount, count: count, format: format,
      tensorCount: objective.tensorEnds.count)
  }

  /// How long a rank waits on average for the one whose clients take longest.
  func idleSeconds(_ reports: [ClientReport]) -> Double {
    var busy = [Double](repeating: 0, count: communicator.size)
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
