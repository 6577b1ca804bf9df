// From the cohort's uploads to the server's step. Uploads are summed in exact fixed point
// (Round+Uploads.swift), so that no order of arrival and no number of ranks changes a bit; a method
// that has to see every client's own upload gets them in cohort order.
internal import Communication
internal import Sparsity

extension FederatedRun {
  /// Brings all uploads together at rank 0, which makes the server's step; where there is none, the
  /// round ends without a step.
  func aggregate(
    _ uploads: Uploads, _ downloads: [Int: Download], _ clip: Double?, _ clock: inout PhaseClock
  ) throws {
    let (reports, cohort) = (uploads.reports, uploads.clients)
    if reports.isEmpty, uploads.zeros == 0 {
      state?.skipRound()
      return
    }
    let weights = weights(reports)
    let (sum, each) = try combine(uploads, weights, downloads, clip, &clock)
    clock.mark(\.transfer)
    guard let sum else { return }
    var pseudoGradient = noisyMean(of: sum, clip: clip)
    if plan.method.aggregation == .productMean, let factors = objective.factors, let state {
      let clients = zip(cohort, each).map { client, upload in
        trainedVector(
          downloads[plan.method.tier(of: client, seed: plan.seed)]!.vector, minus: upload!)
      }
      factors.takeProductMean(
        of: clients, weights: weights, from: state.vector, into: &pseudoGradient)
    }
    try step(pseudoGradient, downloads)
    state?.clip = try adaptedClip(
      clip, norms: reports.map(\.uploadNorm) + Array(repeating: 0, count: uploads.zeros))
    clock.mark(\.server)
  }

  /// The whole-number weights of the cohort's clients.
  private func weights(_ reports: [ClientReport]) -> [Int] {
    let examples = reports.map { plan.weighting.weight(examples: $0.examples) }
    guard plan.method.aggregation == .normWeighted else { return examples }
    // Norms as 20-bit fractions of the largest, so that the weighted sum stays exact.
    let largest = reports.reduce(0) { max($0, $1.productNorm) }
    return zip(examples, reports).map { weight, report in
      largest > 0
        ? weight * max(1, Int((report.productNorm / largest * 1_048_576).rounded())) : weight
    }
  }

  /// What a client's parameters were after its training, as far as it said so.
  private func trainedVector(_ start: SparseVector, minus upload: SparseVector) -> [Float] {
    var vector = start.dense()
    for (index, value) in zip(upload.indices, upload.values) { vector[Int(index)] -= value }
    return vector
  }

  /// The server's step, and the pruning that the method asks for.
  private func step(_ pseudoGradient: [Float], _ downloads: [Int: Download]) throws {
    state?.step(
      plan.server, pseudoGradient: pseudoGradient,
      rateFactor: plan.serverSchedule.factor(round: round))
    if plan.method.persistence == .nested, let mask = downloads[0]?.mask {
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
