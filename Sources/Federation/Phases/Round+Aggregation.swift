// From the cohort's uploads to the server's step. Uploads are summed in exact fixed point
// (Round+Uploads.swift), so that no order of arrival and no number of ranks changes a bit; a method
// that has to see every client's own upload gets them in cohort order.
internal import Communication
internal import Sparsity

extension FederatedRun {
  /// Brings all uploads together at rank 0, which makes the server's step; where there is none, the
  /// round ends without a step.
  func aggregate(
    _ uploads: Uploads, _ downloads: [ClientKind: Download], _ clip: Double?,
    _ clock: inout PhaseClock
  ) throws {
    let (reports, cohort) = (uploads.reports, uploads.clients)
    if reports.isEmpty, uploads.zeros == 0 {
      state?.skipRound()
      return
    }
    let weights = weights(reports)
    let (sum, each) = try combine(uploads, weights, downloads, clip, &clock)
    clock.mark(\.transfer)
    var stack: FactorStack?
    if let sum {
      var pseudoGradient = noisyMean(of: sum, clip: clip)
      if plan.method.aggregation.needsEach, let factors = objective.factors, let state {
        let clients = cohort.indices.map {
          trainedVector(
            of: cohort[$0], readDownload(of: cohort[$0], reports[$0], downloads), minus: each[$0]!)
        }
        if plan.method.aggregation.mergesFactors {
          stack = takeStack(
            of: zip(cohort, clients).map { ($1, rankCount(of: kind(of: $0))) }, weights, factors,
            from: &pseudoGradient)
        } else {
          factors.takeProductMean(
            of: clients, weights: weights, from: state.vector, into: &pseudoGradient)
        }
      }
      try step(pseudoGradient, downloads)
      state?.clip = try adaptedClip(
        clip, norms: reports.map(\.uploadNorm) + Array(repeating: 0, count: uploads.zeros))
    }
    if plan.method.aggregation.mergesFactors {
      try merge(stack, rankCount: cohort.reduce(0) { $0 + rankCount(of: kind(of: $1)) })
    }
    for (client, report) in zip(cohort, reports) where report.prunedRank > 0 {
      clientRanks[client] = report.prunedRank
    }
    state?.clientRanks = clientRanks
    clock.mark(\.server)
  }

  /// What a client's upload is read against: its download, with the ranks that it pruned left out.
  func readDownload(
    of client: Int, _ report: ClientReport, _ downloads: [ClientKind: Download]
  ) -> Download {
    pruned(downloads[kind(of: client)]!, to: report.prunedRank > 0 ? report.prunedRank : nil)
  }

  /// The stack of the clients' factors, times the server's learning rate, and out of the
  /// pseudo-gradient what goes into it.
  private func takeStack(
    of clients: [(vector: [Float], loraRank: Int)], _ weights: [Int], _ factors: FactorLayout,
    from pseudoGradient: inout [Float]
  ) -> FactorStack {
    for pair in factors.pairs {
      for i in 0..<factors.loraRank * pair.inputs { pseudoGradient[pair.aOffset + i] = 0 }
      for i in 0..<factors.loraRank * pair.outputs { pseudoGradient[pair.bOffset + i] = 0 }
    }
    let total = Double(weights.reduce(0, +))
    let rate = plan.server.learningRate * plan.serverSchedule.factor(round: round)
    return FactorStack(
      zip(clients, weights).map { ($0.vector, $0.loraRank, Float(rate * Double($1) / total)) },
      layout: factors)
  }

  /// The whole-number weights of the cohort's clients.
  private func weights(_ reports: [ClientReport]) -> [Int] {
    let examples = reports.map { plan.weighting.weight(examples: $0.examples) }
    guard plan.method.aggregation == .normWeighted else { return examples }
    // Norms as 20-bit fractions of the largest, of fewer bits for very large cohorts, so that the
    // weighted sum stays exact.
    let total = max(1, examples.reduce(0, +))
    var parts = 1_048_576
    while parts > 1, total > FixedPointScale.largestTotalWeight / parts { parts /= 2 }
    let largest = reports.reduce(0) { max($0, $1.productNorm) }
    return zip(examples, reports).map { weight, report in
      largest > 0
        ? weight * max(1, Int((report.productNorm / largest * Double(parts)).rounded())) : weight
    }
  }

  /// What a client's parameters were after its training, as far as it said so.
  private func trainedVector(
    of client: Int, _ download: Download, minus upload: SparseVector
  ) -> [Float] {
    var vector = download.vector.dense()
    vector.withUnsafeMutableBufferPointer { vector in
      writeNewFactors(of: client, download.kind, to: vector)
      download.structure?.apply(to: vector)
    }
    for (index, value) in zip(upload.indices, upload.values) { vector[Int(index)] -= value }
    return vector
  }

  /// The server's step, and the pruning that the method asks for.
  private func step(_ pseudoGradient: [Float], _ downloads: [ClientKind: Download]) throws {
    state?.step(
      plan.server, pseudoGradient: pseudoGradient,
      rateFactor: plan.serverSchedule.factor(round: round))
    if plan.method.persistence == .nested, let mask = downloads[kind(ofTier: 0)]?.mask {
      state?.restrict(to: mask)
    }
    if let index = state?.vector.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) {
      throw FederationError(
        round: round,
        reason: "the server's vector is not finite at coordinate \(index) after the step; "
          + "try a lower learning_rate of the server")
    }
  }
}
