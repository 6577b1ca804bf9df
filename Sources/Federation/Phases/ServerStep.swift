// Phase 6: from the uploads to the server's next state.
internal import Communication
internal import Sparsity

/// The server's step of a round.
struct ServerStep {
  let context: RoundContext
  let cohort: Cohort
  let downloads: Downloads
  /// The bound on uploads; nil without privacy.
  let clip: Double?

  /// Makes the step, or ends the round without one if there is nothing to aggregate.
  ///
  /// - Parameters:
  ///   - combined: The uploads on rank 0; nil elsewhere, and if there is nothing to aggregate.
  ///   - state: That of this rank.
  /// - Communication: That of the aggregation.
  func apply(
    _ uploads: Uploads, _ combined: CombinedUploads?, to state: inout RunState
  ) throws {
    guard !uploads.isEmpty else {
      state.server?.skipRound()
      return
    }
    var stack: FactorStack?
    if let combined, var server = state.server.take() {
      defer { state.server = server }
      let gradient = context.aggregator.pseudoGradient(
        of: aggregated(uploads, combined, server: server))
      stack = gradient.stack
      try step(along: gradient.vector, &server)
      let norms = uploads.reports.map(\.uploadNorm) + Array(repeating: 0, count: uploads.zeros)
      server.clip = try context.adaptedClip(clip, norms: norms)
    }
    try context.aggregator.finish(
      stack, rankCount: uploads.members.reduce(0) { $0 + cohort.kinds.rankCount(of: $1.kind) },
      server: &state.server, in: context)
    for (member, report) in zip(uploads.members, uploads.reports) where report.prunedRank > 0 {
      state.clientRanks[member.client] = report.prunedRank
    }
    state.server?.clientRanks = state.clientRanks
  }

  /// The uploads as the aggregator sees them.
  private func aggregated(
    _ uploads: Uploads, _ combined: CombinedUploads, server: ServerState
  ) -> AggregatedUploads {
    AggregatedUploads(
      mean: context.noisyMean(of: combined.sum, clip: clip),
      clients: combined.each.enumerated().map { position, upload in
        let member = uploads.members[position]
        return AggregatedUploads.Client(
          upload: upload, weight: uploads.weights[position],
          loraRank: cohort.kinds.rankCount(of: member.kind),
          trained: {
            trainedVector(of: member, uploads.download(at: position), minus: upload)
          })
      },
      server: server.vector, factors: context.factors,
      learningRate: context.plan.server.learningRate
        * context.plan.serverSchedule.factor(round: context.round))
  }

  /// A client's parameters after its training, as far as its upload says so.
  private func trainedVector(
    of member: Cohort.Member, _ download: Download, minus upload: SparseVector
  ) -> [Float] {
    var vector = download.vector.dense()
    vector.withUnsafeMutableBufferPointer { vector in
      context.aggregator.writeStart(
        of: member.client, loraRank: cohort.kinds.rankCount(of: member.kind), to: vector,
        in: context)
      download.structure?.apply(to: vector)
    }
    for (index, value) in zip(upload.indices, upload.values) { vector[Int(index)] -= value }
    return vector
  }

  /// The step of the server's optimizer, and the pruning that the method asks for.
  private func step(along pseudoGradient: [Float], _ server: inout ServerState) throws {
    server.step(
      context.plan.server, pseudoGradient: pseudoGradient,
      rateFactor: context.plan.serverSchedule.factor(round: context.round))
    switch context.plan.method.persistence {
    case .anew: break
    case .nested: if let mask = downloads.shared?.mask { server.restrict(to: mask) }
    }
    if let index = server.vector.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) {
      throw FederationError(
        round: context.round,
        reason: "the server's vector is not finite at coordinate \(index) after the step; "
          + "try a lower learning_rate of the server")
    }
  }
}
