// Phase 5: the uploads that count, and their way to rank 0 (UploadCollective.swift). If they add up, a
// rank decodes its own clients' messages and adds them to the sum of its host (HostSums.swift); then
// the hosts' sums go along a tree. If rank 0 has to see each upload, or messages are cheaper, the
// clients' messages go to rank 0, which decodes and adds them.
internal import Communication
internal import Sparsity

/// The uploads of a round that count.
struct Uploads {
  /// This rank's messages, in the order of its training; none if they travelled already.
  private(set) var messages: [[UInt8]]
  /// On rank 0, the messages of each rank that travelled while others trained.
  private(set) var arrived: [[[UInt8]]]
  /// The reports of all ranks, in cohort order.
  let reports: [ClientReport]
  /// Their clients.
  let members: [Cohort.Member]
  /// The positions in `members` of each rank's messages.
  let assigned: [[Int]]
  /// The number of clients that count as an upload of zeros: refused ones, with privacy.
  let zeros: Int
  /// The whole-number weight of each upload.
  let weights: [Int]
  private let downloads: Downloads
  private let supports: Supports

  /// The uploads of the clients that trained and whose upload counts.
  init(
    of trained: TrainedClients, agreed: TrainedClients.Agreed, verdict: Verdict,
    downloads: Downloads, supports: Supports, in context: RoundContext
  ) {
    let (cohort, isUsed) = (trained.cohort, verdict.isUsed)
    var places: [Int?] = []
    var count = 0
    for used in isUsed {
      places.append(used ? count : nil)
      count += used ? 1 : 0
    }
    func used(_ messages: [[UInt8]], of rank: Int) -> [[UInt8]] {
      zip(cohort.assigned[rank], messages).filter { isUsed[$0.0] }.map(\.1)
    }
    messages = used(trained.messages, of: context.communicator.rank)
    arrived = agreed.arrived.enumerated().map { used($0.element, of: $0.offset) }
    let reports = zip(agreed.reports, isUsed).filter(\.1).map(\.0)
    self.reports = reports
    members = zip(cohort.trained, isUsed).filter(\.1).map(\.0)
    assigned = cohort.assigned.map { $0.compactMap { places[$0] } }
    self.downloads = downloads
    self.supports = supports
    zeros = context.plan.privacy == nil ? 0 : agreed.reports.count { $0.refusal != nil }
    weights = context.aggregator.weights(
      examples: reports.map { context.plan.weighting.weight(examples: $0.examples) },
      measures: reports.map(\.measure))
  }

  /// What the upload at a position is read against: the client's download, without the ranks that it
  /// pruned.
  func download(at position: Int) -> Download {
    let ranksLeft = reports[position].prunedRank
    return supports.seen(
      downloads[members[position].kind], withRanks: ranksLeft > 0 ? ranksLeft : nil)
  }

  /// Whether there is nothing to aggregate.
  var isEmpty: Bool { reports.isEmpty && zeros == 0 }
}

/// The uploads of a round at rank 0.
struct CombinedUploads {
  /// The exact weighted sum.
  let sum: FixedPointSum
  /// Each upload in cohort order; empty if the aggregation needs the sum alone.
  let each: [SparseVector]
}

/// How the uploads of a round come together.
struct UploadCombination {
  let context: RoundContext
  let uploads: Uploads
  let supports: Supports
  /// The bound on uploads; nil without privacy.
  let clip: Double?

  private var needsEach: Bool { context.plan.method.aggregation.kind.needs == .each }

  /// Brings the uploads together at rank 0.
  ///
  /// - Parameter hostSums: The memory of the sums of hosts.
  /// - Returns: nil on other ranks, and if there is nothing to aggregate.
  /// - Communication: That of the collective of the plan, or of the cheapest one.
  func combined(hostSums: HostSums, clock: inout PhaseClock) throws -> CombinedUploads? {
    if uploads.isEmpty { return nil }
    defer { clock.mark(\.transfer) }
    let scale = FixedPointScale(
      largestMagnitude: uploads.reports.reduce(0) { max($0, $1.largestMagnitude) },
      totalWeight: uploads.weights.reduce(0, +) + uploads.zeros)
    let collective = try collective(hostSums: hostSums)
    if let shape = collective.tree {
      let sum = try sumOfHosts(scale, along: shape, hostSums, &clock)
      return sum.map { CombinedUploads(sum: $0, each: []) }
    }
    return try gathered(scale, by: collective, &clock)
  }

  /// The collective of this round; the same on every rank.
  private func collective(hostSums: HostSums) throws -> UploadCollective {
    guard context.plan.uploads == .auto else { return context.plan.uploads }
    if context.communicator.size == 1 || needsEach { return .gather }
    return UploadCosts(
      length: context.length, layout: context.hosts, link: try hostSums.link(),
      loads: uploads.assigned.map { positions in
        positions.reduce(into: UploadCosts.Load()) { load, position in
          load.bytes += uploads.reports[position].upload.total
          load.kept.append(uploads.reports[position].uploadNonzeros)
        }
      }
    ).best
  }

  /// Decodes and adds the clients' messages on rank 0.
  private func gathered(
    _ scale: FixedPointScale, by collective: UploadCollective, _ clock: inout PhaseClock
  ) throws -> CombinedUploads? {
    var words = [Int64](repeating: 0, count: context.isServer ? context.length : 0)
    var each = [SparseVector?](
      repeating: nil, count: context.isServer && needsEach ? uploads.reports.count : 0)
    func take(_ rank: Int, _ index: Int, _ message: [UInt8]) throws {
      guard context.isServer else { return }
      clock.mark(\.transfer)
      context.onActivity(.server(round: context.round))
      let position = uploads.assigned[rank][index]
      let upload = try decoded(message, at: position)
      words.withUnsafeMutableBufferPointer {
        scale.add(upload, weight: uploads.weights[position], to: $0)
      }
      if needsEach { each[position] = upload }
      clock.mark(\.server)
    }
    switch collective {
    case .allGather: try context.communicator.sparseAllGather(uploads.messages, each: take)
    case .overlapped:
      for (rank, messages) in uploads.arrived.enumerated() {
        for (index, message) in messages.enumerated() { try take(rank, index, message) }
      }
    default:
      let bytes = uploads.reports.reduce(0) { $0 + $1.upload.total }
      if bytes <= UploadCosts.longestStreamBytes {
        try context.communicator.streamGather(
          uploads.messages, counts: uploads.assigned.map(\.count), each: take)
      } else {
        try context.communicator.sparseGather(uploads.messages, each: take)
      }
    }
    guard context.isServer else { return nil }
    return CombinedUploads(
      sum: FixedPointSum(words: words, scale: scale),
      each: each.map { upload in
        guard let upload else { preconditionFailure("an upload that did not arrive") }
        return upload
      })
  }

  /// Adds each rank's uploads to its host's sum, and the hosts' sums at rank 0.
  ///
  /// - Communication: A barrier, and the messages of `sumAlong`.
  private func sumOfHosts(
    _ scale: FixedPointScale, along shape: TreeShape, _ hostSums: HostSums,
    _ clock: inout PhaseClock
  ) throws -> FixedPointSum? {
    let shared = try hostSums.words()
    clock.mark(\.transfer)
    context.onActivity(.server(round: context.round))
    for (position, message) in zip(uploads.assigned[context.communicator.rank], uploads.messages) {
      let upload = try decoded(message, at: position)
      if shared.isPrivate {
        scale.add(upload, weight: uploads.weights[position], to: shared.words)
      } else {
        let place = context.communicator.node
        scale.addAtomically(
          upload, weight: uploads.weights[position], to: shared.words,
          from: Double(place.rank) / Double(place.size))
      }
    }
    clock.mark(\.server)
    return try hostSums.sum(along: shape).map { FixedPointSum(words: $0, scale: scale) }
  }

  /// The upload at a position as the server reads it.
  private func decoded(_ message: [UInt8], at position: Int) throws -> SparseVector {
    let client = uploads.members[position].client
    // Random coordinates are drawn again here.
    let known = supports.knownUpload(of: client, after: uploads.download(at: position))
    do {
      return try context.decodedUpload(message, known: known, clip: clip)
    } catch {
      throw FederationError(
        round: context.round, client: client, reason: "\(error)", underlying: error)
    }
  }
}
