// Phase 4: which uploads count. By the virtual clock of a system that is decided on rank 0 from the
// sizes of the messages when all clients have trained, and known on every rank before an upload moves.
internal import Communication
internal import Sparsity

/// Which uploads of a round count, and when it ended by the virtual clock.
struct Verdict {
  /// Whether the upload of each client that trained counts; the same on every rank.
  private(set) var isUsed: [Bool]
  /// The modelled seconds of each member, on rank 0 with a virtual clock; nil for a member that was
  /// not there.
  private(set) var memberSeconds: [Double?] = []
  /// The modelled seconds of the round.
  private(set) var seconds: Double?

  /// Decides which of the clients that trained count.
  ///
  /// - Parameters:
  ///   - downloadSizes: Of each member; needed on rank 0.
  ///   - reports: Of the members that trained, in their order.
  /// - Communication: Without a system none, otherwise a broadcast of a byte for each report.
  init(
    on cohort: Cohort, downloadSizes: [PayloadSize], reports: [ClientReport],
    in context: RoundContext
  ) throws {
    isUsed = reports.map { $0.refusal == nil }
    guard let system = context.plan.system else { return }
    if context.isServer { judge(cohort, downloadSizes, reports, by: system, context.plan) }
    // Decided once: another rank's C library could round a device's draw otherwise.
    var used = isUsed.map { UInt8($0 ? 1 : 0) }
    try context.communicator.broadcast(&used)
    isUsed = used.map { $0 == 1 }
  }

  private mutating func judge(
    _ cohort: Cohort, _ downloadSizes: [PayloadSize], _ reports: [ClientReport],
    by system: SystemModel, _ plan: FederationPlan
  ) {
    var left = reports[...]
    var (arrivals, losses): ([Double], [Double]) = ([], [])
    for (member, download) in zip(cohort.members, downloadSizes) {
      let device = system.system(of: member.client, tier: member.tier, seed: plan.seed)
      switch member.fate {
      case .unavailable: memberSeconds.append(nil)
      case .dropped:
        losses.append(device.modelledSeconds(download: download.total))
        memberSeconds.append(losses.last)
      case .used, .late, .refused:
        let report = left.removeFirst()
        if report.refusal != nil {
          losses.append(
            device.modelledSeconds(download: download.total, tokens: report.sums.tokens))
          memberSeconds.append(losses.last)
          continue
        }
        arrivals.append(
          device.modelledSeconds(
            download: download.total, tokens: report.sums.tokens, upload: report.upload.total))
        memberSeconds.append(arrivals.last)
      }
    }
    let found = system.verdict(arrivals: arrivals, losses: losses, wanted: plan.wantedUploads)
    var used = found.isUsed[...]
    isUsed = reports.map { $0.refusal == nil ? used.removeFirst() : false }
    seconds = found.seconds
  }

  /// Gives this rank's clients back what they kept in this round if their upload does not count.
  ///
  /// - Communication: A barrier, if any upload does not count and clients keep what they do not send.
  func withdrawResiduals(
    of cohort: Cohort, reports: [ClientReport], in context: RoundContext
  ) throws {
    guard let residuals = context.residuals, isUsed.contains(false) else { return }
    for position in cohort.assigned[context.communicator.rank]
    where !isUsed[position] && reports[position].refusal == nil {
      try residuals.withdraw(cohort.trained[position].client, round: context.round)
    }
    // Another rank may train the client in the next round.
    try context.communicator.barrier()
  }
}
