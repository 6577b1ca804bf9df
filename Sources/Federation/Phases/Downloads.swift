// Phase 2: what the clients of a round receive. Clients of one kind (of one tier, and of one rank if
// clients prune theirs) receive the same message: it is selected and encoded once on rank 0, goes to
// each host once, and is decoded on every rank.
internal import Communication
internal import Sparsity

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

  /// A decoded message to clients of a kind.
  init(
    to kind: ClientKind, vector: SparseVector, structure: SupportMask?,
    training: TrainedCoordinates, size: PayloadSize, isKnown: Bool
  ) {
    self.kind = kind
    self.vector = vector
    self.structure = structure
    self.size = size
    self.isKnown = isKnown
    mask = vector.mask
    trained =
      switch training {
      case .all: structure
      case .downloaded: mask.isAll ? nil : mask
      }
  }

  /// The same for an upload of fewer coordinates, those of a pruned adapter.
  func pruned(to structure: SupportMask) -> Download {
    var pruned = self
    pruned.mask = mask.intersection(structure)
    pruned.structure = structure
    pruned.trained = trained?.intersection(structure) ?? structure
    return pruned
  }
}

/// The downloads of a round, the same on every rank.
struct Downloads {
  private let byKind: [ClientKind: Download]
  /// The one download that all clients receive; nil if there are several kinds.
  let shared: Download?

  /// Selects, encodes, broadcasts and decodes the downloads of a cohort.
  ///
  /// - Parameter server: Needed on rank 0.
  /// - Communication: For each kind, a broadcast of a message along a chain of hosts.
  init(
    of server: ServerState?, to cohort: Cohort, supports: Supports, in context: RoundContext
  ) throws {
    var found: [ClientKind: Download] = [:]
    for kind in cohort.receivingKinds {
      let known = supports.knownDownload(to: kind)
      var message: [UInt8] = []
      var size = PayloadSize.zero
      if let server {
        let mask = supports.download(to: kind, of: server)
        let vector = server.vector.withUnsafeBufferPointer { SparseVector(gathering: $0, at: mask) }
        let encoded = context.encodedDownload(vector, tier: kind.tier, known: known)
        (message, size) = (encoded.bytes, encoded.size)
      }
      try context.communicator.broadcastAlongHosts(&message, context.hosts)
      found[kind] = Download(
        to: kind, vector: try context.decodedDownload(message, known: known),
        structure: cohort.kinds.structure(of: kind), training: context.plan.method.trained,
        size: size, isKnown: known != nil)
    }
    byKind = found
    shared = cohort.kinds.areOne ? found[cohort.kinds.kind(ofTier: 0)] : nil
  }

  /// The download of a kind.
  ///
  /// - Precondition: A client of this kind receives one.
  subscript(kind: ClientKind) -> Download {
    guard let download = byKind[kind] else { preconditionFailure("no download for \(kind)") }
    return download
  }

  /// The download of a member; nil if it received none.
  subscript(member: Cohort.Member) -> Download? {
    member.fate == .unavailable ? nil : self[member.kind]
  }
}

extension RoundContext {
  /// The message of a download.
  func encodedDownload(_ vector: SparseVector, tier: Int, known: SupportMask?) -> EncodedVector {
    var rounding = rounding(.download(tier: tier))
    return VectorCodec.encode(
      vector, format: plan.method.values.download, known: known,
      tensorEnds: objective.tensorEnds, rounding: &rounding)
  }

  /// The vector of such a message.
  func decodedDownload(_ message: [UInt8], known: SupportMask?) throws -> SparseVector {
    try VectorCodec.decode(
      message, expectedLength: length, tensorEnds: objective.tensorEnds, known: known)
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
