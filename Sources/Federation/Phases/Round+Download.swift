// What the clients of a round receive. Clients of one kind (of one tier, and of one rank where clients
// prune theirs) receive the same message: it is selected and encoded once on rank 0, goes to each host once,
// and is decoded on every rank. Where factors are merged, they receive the last round's stack besides,
// which all ranks have merged then, and draw the new factors themselves.
internal import Communication
internal import RandomStreams
public import Sparsity

/// Clients that receive the same message.
struct ClientKind: Hashable, Comparable {
  /// Their tier.
  let tier: Int
  /// The ranks of the adapter that they have; nil for all.
  let loraRank: Int?

  static func < (a: ClientKind, b: ClientKind) -> Bool {
    (a.tier, a.loraRank ?? .max) < (b.tier, b.loraRank ?? .max)
  }
}

/// A kind's download as every rank has it.
struct Download {
  /// The kind.
  let kind: ClientKind
  /// The tier.
  var tier: Int { kind.tier }
  /// The decoded message: the clients' start, zeros elsewhere.
  let vector: SparseVector
  /// The coordinates that were sent.
  private(set) var mask: SupportMask
  /// The coordinates that the kind's adapter has; nil for all.
  private(set) var structure: SupportMask?
  /// The coordinates that its clients train; nil for all.
  private(set) var trained: SupportMask?
  /// The message's size.
  let size: PayloadSize
  /// Whether its clients know the support before it comes.
  let isKnown: Bool

  /// The same for an upload of fewer coordinates, those of a pruned adapter.
  func pruned(to structure: SupportMask) -> Download {
    var pruned = self
    pruned.mask = mask.intersection(structure)
    pruned.structure = structure
    pruned.trained = trained?.intersection(structure) ?? structure
    return pruned
  }
}

extension FederatedRun {
  /// Whether all clients of a round receive the same.
  var hasOneDownload: Bool { plan.method.tiers.isEmpty && plan.method.rankPruning == nil }

  /// The kind of a tier's clients that have pruned nothing.
  func kind(ofTier tier: Int) -> ClientKind {
    ClientKind(
      tier: tier, loraRank: plan.method.tiers.isEmpty ? nil : plan.method.tiers[tier].loraRank)
  }

  /// The kind of a client in this round; the same on every rank.
  func kind(of client: Int) -> ClientKind {
    let kind = kind(ofTier: plan.method.tier(of: client, seed: plan.seed))
    return clientRanks[client].map { ClientKind(tier: kind.tier, loraRank: $0) } ?? kind
  }

  /// The ranks of the adapter that a kind has.
  func rankCount(of kind: ClientKind) -> Int { kind.loraRank ?? objective.factors?.loraRank ?? 0 }

  /// The coordinates that a kind's adapter has; nil for all.
  func structure(of kind: ClientKind) -> SupportMask? {
    guard let count = kind.loraRank, let factors = objective.factors, count < factors.loraRank
    else { return nil }
    return factors.support(ranksBelow: count)
  }

  /// Writes what a client starts from where factors are new in each round, on top of its download.
  func writeNewFactors(
    of client: Int, _ kind: ClientKind, to start: UnsafeMutableBufferPointer<Float>
  ) {
    guard plan.method.aggregation.mergesFactors else { return }
    objective.factors?.writeNewFactors(
      to: start, ranksBelow: rankCount(of: kind), seed: plan.seed, round: round, client: client)
  }

  /// Selects, encodes, broadcasts and decodes the download of each of `kinds`; the same on every rank.
  ///
  /// - Communication: For each kind, a broadcast of a message along a chain of hosts.
  func distributeDownloads(_ kinds: [ClientKind]) throws -> [ClientKind: Download] {
    var downloads: [ClientKind: Download] = [:]
    for kind in kinds {
      let tier = kind.tier
      let structure = structure(of: kind)
      let known = knownSupport(ofDownloadTo: kind)
      var message: [UInt8] = []
      var size = PayloadSize.zero
      if let state {
        let mask = downloadMask(of: state, tier: tier, structure: structure)
        let vector = state.vector.withUnsafeBufferPointer { SparseVector(gathering: $0, at: mask) }
        var rounding = roundingStream(client: 0, step: tier)
        let encoded = VectorCodec.encode(
          vector, format: plan.method.values.download, known: known,
          tensorEnds: objective.tensorEnds, rounding: &rounding)
        (message, size) = (encoded.bytes, encoded.size)
      }
      try communicator.broadcastAlongHosts(&message, layout)
      let received = try VectorCodec.decode(
        message, expectedLength: objective.parameterCount, tensorEnds: objective.tensorEnds,
        known: known)
      let mask = received.mask
      let trained: SupportMask? =
        switch plan.method.trained {
        case .all: structure
        case .downloaded: mask.isAll ? nil : mask
        }
      downloads[kind] = Download(
        kind: kind, vector: received, mask: mask, structure: structure, trained: trained,
        size: size, isKnown: known != nil)
    }
    return downloads
  }

  /// Decides which way values are rounded; downloads take client 0's with their tier as the step,
  /// uploads their client's with steps from 2^20.
  func roundingStream(client: Int, step: Int) -> RandomStream {
    RandomStream(seed: plan.seed, purpose: .rounding, round: round, client: client, step: step)
  }

  /// What each of the cohort's clients is charged for its download, on rank 0; nothing where it
  /// received none.
  ///
  /// Where the client's last support counts, the message is encoded for it and decoded with it; it
  /// differs from its tier's in the coding of the indices alone.
  func downloadSizes(_ cohort: [(member: Member, download: Download?)]) throws -> [PayloadSize] {
    guard plan.method.downloadIndices == .difference, communicator.rank == 0 else {
      let stack = state?.lastStack?.payload ?? .zero
      return cohort.map { $0.download.map { $0.size + stack } ?? .zero }
    }
    // Clients of one kind that received the same download last are charged alike.
    struct Message: Hashable {
      let kind: ClientKind
      let known: Int
    }
    var sizes: [PayloadSize] = []
    var found: [Message: PayloadSize] = [:]
    var learners: [ClientKind: [Int]] = [:]
    for (member, download) in cohort {
      guard let download else {
        sizes.append(.zero)
        continue
      }
      // A support that the method says need not be remembered.
      if !download.isKnown { learners[member.kind, default: []].append(member.client) }
      guard !download.isKnown, let number = knowledge.numbers[member.client] else {
        sizes.append(download.size)
        continue
      }
      let message = Message(kind: member.kind, known: number)
      let size = try found[message] ?? differenceSize(of: download, to: member.client)
      found[message] = size
      sizes.append(size)
    }
    for (kind, clients) in learners.sorted(by: { $0.key < $1.key }) {
      guard let download = cohort.first(where: { $0.download?.kind == kind })?.download else {
        continue
      }
      knowledge.learn(clients, EncodedSupport(download.mask))
    }
    return sizes
  }

  /// The size of a download for a client that has its last support, encoded and decoded with it.
  private func differenceSize(of download: Download, to client: Int) throws -> PayloadSize {
    let known = try knowledge.support(of: client, length: objective.parameterCount)
    // Values that were rounded already round to themselves, but int8 and int4 draw: only the
    // length counts here, so their values are written as they would be.
    var rounding = roundingStream(client: 0, step: download.tier)
    let encoded = VectorCodec.encode(
      download.vector, format: plan.method.values.download, known: known,
      tensorEnds: objective.tensorEnds, rounding: &rounding)
    let decoded = try VectorCodec.decode(
      encoded.bytes, expectedLength: objective.parameterCount,
      tensorEnds: objective.tensorEnds, known: known)
    guard decoded.mask == download.mask else {
      throw FederationError(
        round: round, client: client,
        reason: "the download does not decode to the support that was sent")
    }
    return encoded.size
  }

  /// The support of a download that its clients know before it comes, since it depends on nothing but
  /// the method, the seed, the round and their adapters' ranks; nil where the message has to say it.
  ///
  /// A nested support is known only where everything is sent: which rounds ended with a step, and so
  /// pruned something, is not known to a client that missed them.
  func knownSupport(ofDownloadTo kind: ClientKind) -> SupportMask? {
    if plan.method.aggregation.mergesFactors {
      return objective.factors?.support(ranksBelow: 0)
    }
    let structure = structure(of: kind)
    let selection = plan.method.download(ofTier: kind.tier)
    let count = structure?.count ?? objective.parameterCount
    guard plan.method.persistence == .anew || selection == .all,
      selection.isFixed(round: round, candidates: count, limit: count)
    else { return nil }
    // The values do not matter.
    return downloadMask(
      of: UnsafeBufferPointer(trainer.start), selection, structure: structure, limit: nil)
  }

  /// The coordinates that a tier receives in this round, before the server's step.
  func downloadMask(of state: ServerState, tier: Int, structure: SupportMask?)
    -> SupportMask
  {
    if plan.method.aggregation.mergesFactors, let factors = objective.factors {
      return factors.support(ranksBelow: 0)
    }
    return state.vector.withUnsafeBufferPointer { vector in
      downloadMask(
        of: vector, plan.method.download(ofTier: tier), structure: structure,
        limit: state.support)
    }
  }

  private func downloadMask(
    of vector: UnsafeBufferPointer<Float>, _ selection: Selection, structure: SupportMask?,
    limit: SupportMask?
  ) -> SupportMask {
    var stream = RandomStream(seed: plan.seed, purpose: .selection, round: round)
    return selection.mask(
      of: vector, round: round, among: structure, limit: limit, using: &stream)
  }
}

extension Method {
  /// What the clients of a tier receive.
  public func download(ofTier tier: Int) -> Selection {
    tiers.isEmpty ? download : download.withDensity(tiers[tier].downloadDensity)
  }

  /// What the clients of a tier send.
  public func upload(ofTier tier: Int) -> Selection {
    tiers.isEmpty ? upload : upload.withDensity(tiers[tier].uploadDensity)
  }

  /// The tier of a client: a function of (seed, client) alone.
  public func tier(of client: Int, seed: UInt64) -> Int {
    guard tiers.count > 1 else { return 0 }
    switch tierAssignment {
    case .modulo: return client % tiers.count
    case .drawn:
      var stream = RandomStream(seed: seed, purpose: .tier, client: client)
      var rest = stream.uniform() * tiers.reduce(0) { $0 + $1.share }
      for (index, tier) in tiers.enumerated() {
        rest -= tier.share
        if rest < 0 { return index }
      }
      return tiers.count - 1
    }
  }
}

extension Selection {
  /// The same rule at another constant density, where one is given and the rule has one.
  fileprivate func withDensity(_ density: Double?) -> Selection {
    guard let density else { return self }
    return switch self {
    case .all, .downloaded, .topMagnitude: .topMagnitude(.constant(density))
    case .random: .random(.constant(density))
    }
  }
}

extension SupportMask {
  /// The coordinates that both keep.
  fileprivate func intersection(_ other: SupportMask) -> SupportMask {
    if other.isAll { return self }
    if isAll { return other }
    var isKept = [Bool](repeating: false, count: length)
    for index in other.indices { isKept[Int(index)] = true }
    return SupportMask(length: length, indices: indices.filter { isKept[Int($0)] })
  }
}
