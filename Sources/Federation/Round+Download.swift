// What the clients of a round receive. Clients of one tier receive the same message: it is selected
// and encoded once on rank 0, goes to each host once, and is decoded on every rank.
internal import Communication
internal import RandomStreams
internal import Sparsity

/// A tier's download as every rank has it.
struct Download {
  /// The tier.
  let tier: Int
  /// The decoded message: the clients' start, zeros elsewhere.
  let vector: SparseVector
  /// The coordinates that were sent.
  let mask: SupportMask
  /// The coordinates that the tier's adapter has; nil for all.
  let structure: SupportMask?
  /// The coordinates that its clients train; nil for all.
  let trained: SupportMask?
  /// The message's size.
  let size: PayloadSize
}

extension FederatedRun {
  /// The coordinates that a tier's adapter has; nil for all.
  func structure(ofTier tier: Int) -> SupportMask? {
    guard !plan.method.tiers.isEmpty, let count = plan.method.tiers[tier].loraRank,
      let factors = objective.factors, count < factors.loraRank
    else { return nil }
    return factors.support(ranksBelow: count)
  }

  /// Selects, encodes, broadcasts and decodes the download of each of `tiers`; the same on every rank.
  ///
  /// - Communication: For each tier, a broadcast of a message along a chain of hosts.
  func distributeDownloads(tiers: [Int]) throws -> [Int: Download] {
    var downloads: [Int: Download] = [:]
    for tier in tiers {
      let structure = structure(ofTier: tier)
      var message: [UInt8] = []
      var size = PayloadSize.zero
      if let state {
        let mask = downloadMask(of: state, tier: tier, structure: structure)
        let vector = state.vector.withUnsafeBufferPointer { SparseVector(gathering: $0, at: mask) }
        var rounding = roundingStream(client: 0, step: tier)
        let encoded = VectorCodec.encode(
          vector, format: plan.method.values.download, tensorEnds: objective.tensorEnds,
          rounding: &rounding)
        (message, size) = (encoded.bytes, encoded.size)
      }
      try communicator.broadcastAlongHosts(&message, layout)
      let received = try VectorCodec.decode(
        message, expectedLength: objective.parameterCount, tensorEnds: objective.tensorEnds)
      let mask = received.mask
      let trained: SupportMask? =
        switch plan.method.trained {
        case .all: structure
        case .downloaded: mask.isAll ? nil : mask
        }
      downloads[tier] = Download(
        tier: tier, vector: received, mask: mask, structure: structure, trained: trained, size: size
      )
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
      return cohort.map { $0.download?.size ?? .zero }
    }
    var sizes: [PayloadSize] = []
    for (member, download) in cohort {
      guard let download else {
        sizes.append(.zero)
        continue
      }
      let (client, tier) = (member.client, member.tier)
      let known = knowledge.support(of: client)
      knowledge.learn(client, round: round, tier: tier, download.mask)
      guard let known else {
        sizes.append(download.size)
        continue
      }
      // Values that were rounded already round to themselves, but int8 and int4 draw: only the
      // length counts here, so their values are written as they would be.
      var rounding = roundingStream(client: 0, step: tier)
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
      sizes.append(encoded.size)
    }
    return sizes
  }

  /// The coordinates that a tier receives in this round, before the server's step.
  func downloadMask(of state: ServerState, tier: Int, structure: SupportMask?)
    -> SupportMask
  {
    var stream = RandomStream(seed: plan.seed, purpose: .selection, round: round)
    return state.vector.withUnsafeBufferPointer { vector in
      plan.method.download(ofTier: tier).mask(
        of: vector, round: round, among: structure, limit: state.support, using: &stream)
    }
  }
}

extension Method {
  /// What the clients of a tier receive.
  func download(ofTier tier: Int) -> Selection {
    tiers.isEmpty ? download : download.withDensity(tiers[tier].downloadDensity)
  }

  /// What the clients of a tier send.
  func upload(ofTier tier: Int) -> Selection {
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
