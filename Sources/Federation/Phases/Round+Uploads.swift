// The way of a round's uploads to rank 0 (UploadCollective.swift). Where they add up, a rank decodes its
// own clients' messages and adds them to the sum of its host, in memory that the host's ranks share;
// then the hosts' sums go along a tree. Where rank 0 has to see each, or where that is cheaper, the
// clients' messages go to rank 0, which decodes and adds them.
internal import Communication
internal import Sparsity

/// The uploads of a round that count.
struct Uploads {
  /// This rank's messages, in the order of its training; none where they travelled already.
  var messages: [[UInt8]]
  /// On rank 0, the messages of each rank that travelled while others trained.
  var arrived: [[[UInt8]]]
  /// The reports of all ranks, in cohort order.
  var reports: [ClientReport]
  /// Their clients.
  var clients: [Int]
  /// The places in `clients` of each rank's messages.
  var assigned: [[Int]]
  /// The clients that count as an upload of zeros.
  var zeros = 0

  /// Those of the clients that trained whose upload `isUsed`.
  init(
    messages: [[UInt8]], arrived: [[[UInt8]]] = [], reports: [ClientReport], clients: [Int],
    assigned: [[Int]], rank: Int, isUsed: [Bool]
  ) {
    var places: [Int?] = []
    var count = 0
    for used in isUsed {
      places.append(used ? count : nil)
      count += used ? 1 : 0
    }
    func used(_ messages: [[UInt8]], of rank: Int) -> [[UInt8]] {
      zip(assigned[rank], messages).filter { isUsed[$0.0] }.map(\.1)
    }
    self.messages = used(messages, of: rank)
    self.arrived = arrived.enumerated().map { used($0.element, of: $0.offset) }
    self.reports = zip(reports, isUsed).filter(\.1).map(\.0)
    self.clients = zip(clients, isUsed).filter(\.1).map(\.0)
    self.assigned = assigned.map { $0.compactMap { places[$0] } }
  }
}

extension FederatedRun {
  /// The exact sum of the uploads at rank 0 and, where the aggregation needs them, each of them in
  /// cohort order; nil and none elsewhere.
  func combine(
    _ uploads: Uploads, _ weights: [Int], _ downloads: [ClientKind: Download], _ clip: Double?,
    _ clock: inout PhaseClock
  ) throws -> (sum: FixedPointSum?, each: [SparseVector?]) {
    let scale = FixedPointScale(
      largestMagnitude: uploads.reports.reduce(0) { max($0, $1.largestMagnitude) },
      totalWeight: weights.reduce(0, +) + uploads.zeros)
    let collective = try chosen(uploads)
    if let tree = collective.tree {
      let sum = try sumOfHosts(uploads, scale, weights, tree, downloads, clip, &clock)
      return (sum, [])
    }
    let isServer = communicator.rank == 0
    var words = [Int64](repeating: 0, count: isServer ? objective.parameterCount : 0)
    var each: [SparseVector?] = []
    if isServer, plan.method.aggregation.needsEach {
      each = Array(repeating: nil, count: uploads.clients.count)
    }
    func take(_ rank: Int, _ index: Int, _ message: [UInt8]) throws {
      guard isServer else { return }
      clock.mark(\.transfer)
      onActivity(.server(round: round))
      let position = uploads.assigned[rank][index]
      let upload = try decoded(message, at: position, of: uploads, downloads, clip)
      words.withUnsafeMutableBufferPointer {
        scale.add(upload, weight: weights[position], to: $0)
      }
      if !each.isEmpty { each[position] = upload }
      clock.mark(\.server)
    }
    switch collective {
    case .allGather: try communicator.sparseAllGather(uploads.messages, each: take)
    case .overlapped:
      for (rank, messages) in uploads.arrived.enumerated() {
        for (index, message) in messages.enumerated() { try take(rank, index, message) }
      }
    default:
      let bytes = uploads.reports.reduce(0) { $0 + $1.upload.total }
      if bytes <= UploadCosts.longestStreamBytes {
        try communicator.streamGather(
          uploads.messages, counts: uploads.assigned.map(\.count), each: take)
      } else {
        try communicator.sparseGather(uploads.messages, each: take)
      }
    }
    return (isServer ? FixedPointSum(words: words, scale: scale) : nil, each)
  }

  /// The collective of this round; the same on every rank.
  private func chosen(_ uploads: Uploads) throws -> UploadCollective {
    guard plan.uploads == .auto else { return plan.uploads }
    if communicator.size == 1 || plan.method.aggregation.needsEach { return .gather }
    if link == nil, layout.hosts.count > 1 {
      link = try LinkModel(between: 0, and: layout.hosts[1][0], over: communicator)
    }
    return UploadCosts(
      length: objective.parameterCount, layout: layout,
      link: link ?? LinkModel(latencySeconds: 0, secondsPerByte: 0),
      loads: uploads.assigned.map { positions in
        positions.reduce(into: UploadCosts.Load()) { load, position in
          load.bytes += uploads.reports[position].upload.total
          load.kept.append(uploads.reports[position].uploadNonzeros)
        }
      }
    ).best
  }

  /// Adds each rank's uploads to its host's sum, and the hosts' sums at rank 0.
  ///
  /// - Communication: A barrier, and the messages of `sumAlong`.
  private func sumOfHosts(
    _ uploads: Uploads, _ scale: FixedPointScale, _ weights: [Int], _ shape: TreeShape,
    _ downloads: [ClientKind: Download], _ clip: Double?, _ clock: inout PhaseClock
  ) throws -> FixedPointSum? {
    let shared = try wordsOfHosts()
    clock.mark(\.transfer)
    onActivity(.server(round: round))
    for (position, message) in zip(uploads.assigned[communicator.rank], uploads.messages) {
      let upload = try decoded(message, at: position, of: uploads, downloads, clip)
      if shared.isPrivate {
        scale.add(upload, weight: weights[position], to: shared.words)
      } else {
        let place = communicator.node
        scale.addAtomically(
          upload, weight: weights[position], to: shared.words,
          from: Double(place.rank) / Double(place.size))
      }
    }
    clock.mark(\.server)
    // The sum of a host is whole when all of its ranks are here.
    try communicator.barrier()
    let tree = RankTree(of: communicator.rank, in: layout, shape: shape) { !isPrivate[$0] }
    try communicator.sumAlong(tree, shared.words)
    defer {
      // Its ranks add to it again only after they have met in the next round.
      if tree != nil { shared.clear() }
    }
    return communicator.rank == 0
      ? FixedPointSum(words: Array(shared.words), scale: scale) : nil
  }

  /// The sums of the hosts, made when they are needed first and zero whenever this returns.
  private func wordsOfHosts() throws -> NodeSharedWords {
    if let hostWords { return hostWords }
    let words = try communicator.nodeSharedWords(count: objective.parameterCount)
    let all = try communicator.allGather(values: [words.isPrivate ? 1 : 0])
    isPrivate = layout.hosts.map { all[$0[0]] == 1 }
    hostWords = words
    return words
  }

  /// The upload of the client at a place as the server reads it.
  private func decoded(
    _ message: [UInt8], at position: Int, of uploads: Uploads,
    _ downloads: [ClientKind: Download], _ clip: Double?
  ) throws -> SparseVector {
    let client = uploads.clients[position]
    let download = readDownload(of: client, uploads.reports[position], downloads)
    let tier = download.tier
    // Random coordinates are drawn again here; the values that they are drawn for do not matter.
    let known = knownSupport(
      ofUpload: tier, download,
      uploadMask(
        of: client, tier: tier, UnsafeBufferPointer(trainer.start), download))
    do {
      return try VectorCodec.decode(
        message, expectedLength: objective.parameterCount, tensorEnds: objective.tensorEnds,
        known: known
      ).clipped(toNorm: clip)
    } catch {
      throw FederationError(
        round: round, client: client, reason: "\(error)", underlying: error)
    }
  }
}
