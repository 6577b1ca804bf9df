// The virtual clock in a round: which uploads come in time, decided on rank 0 from the sizes of the
// messages when all clients have trained, and known on every rank before an upload moves.
internal import Communication
internal import Sparsity

/// A client of the round that is played.
struct Member {
  let client: Int
  let kind: ClientKind
  var tier: Int { kind.tier }
  /// What is known of it before it trains.
  let fate: ClientStatus
}

/// What the clock says of a round.
struct RoundVerdict {
  /// Whether the upload of each client that trained counts, the same on every rank.
  var isUsed: [Bool]
  /// The modelled seconds of each member, on rank 0 where a clock runs; nil for a member that was
  /// not there.
  var memberSeconds: [Double?] = []
  /// Those of the round.
  var seconds: Double?
}

extension FederatedRun {
  /// Which of the clients that trained count.
  ///
  /// - Parameters:
  ///   - downloadSizes: Of each member; needed on rank 0.
  ///   - reports: Of the members that trained, in their order.
  /// - Communication: Without a clock none, otherwise a broadcast of a byte for each report.
  func judge(_ members: [Member], _ downloadSizes: [PayloadSize], _ reports: [ClientReport]) throws
    -> RoundVerdict
  {
    guard let system = plan.system else {
      return RoundVerdict(isUsed: reports.map { $0.refusal == nil })
    }
    var verdict = RoundVerdict(isUsed: [])
    if communicator.rank == 0 {
      var left = reports[...]
      var (arrivals, losses): ([Double], [Double]) = ([], [])
      for (member, download) in zip(members, downloadSizes) {
        let device = system.system(of: member.client, tier: member.tier, seed: plan.seed)
        switch member.fate {
        case .unavailable: verdict.memberSeconds.append(nil)
        case .dropped:
          losses.append(device.modelledSeconds(download: download.total))
          verdict.memberSeconds.append(losses.last)
        case .used, .late, .refused:
          let report = left.removeFirst()
          if report.refusal != nil {
            losses.append(
              device.modelledSeconds(download: download.total, tokens: report.sums.tokens))
            verdict.memberSeconds.append(losses.last)
            continue
          }
          arrivals.append(
            device.modelledSeconds(
              download: download.total, tokens: report.sums.tokens, upload: report.upload.total))
          verdict.memberSeconds.append(arrivals.last)
        }
      }
      let found = system.verdict(arrivals: arrivals, losses: losses, wanted: plan.wantedUploads)
      var isUsed = found.isUsed[...]
      verdict.isUsed = reports.map { $0.refusal == nil ? isUsed.removeFirst() : false }
      verdict.seconds = found.seconds
    }
    // Decided once: another rank's C library could round a device's draw otherwise.
    var used = verdict.isUsed.map { UInt8($0 ? 1 : 0) }
    try communicator.broadcast(&used)
    verdict.isUsed = used.map { $0 == 1 }
    return verdict
  }
}
