// The support of each message of a round: the coordinates that it holds, and whether its reader knows
// them before it comes. A reader knows a support that depends on nothing but the method, the seed, the
// round, the adapter's ranks and earlier messages; such a message says no indices.
internal import RandomStreams
internal import Sparsity

/// The supports of a round's messages.
struct Supports {
  private let context: RoundContext
  private let kinds: ClientKinds

  /// The supports of a round.
  init(of kinds: ClientKinds, in context: RoundContext) {
    self.kinds = kinds
    self.context = context
  }

  // MARK: - Downloads

  /// The coordinates that a kind receives, before the server's step.
  func download(to kind: ClientKind, of server: ServerState) -> SupportMask {
    if let fixed = withoutFactors { return fixed }
    var stream = downloadStream
    return server.vector.withUnsafeBufferPointer {
      context.plan.method.download(ofTier: kind.tier).mask(
        of: $0, round: context.round, among: kinds.structure(of: kind), limit: server.support,
        using: &stream)
    }
  }

  /// The coordinates that a kind receives if its clients know them before the download comes; nil if
  /// the message has to say them.
  ///
  /// A nested support is known only where everything is sent: which rounds ended with a step, and so
  /// pruned something, is not known to a client that missed them.
  func knownDownload(to kind: ClientKind) -> SupportMask? {
    if let fixed = withoutFactors { return fixed }
    let selection = context.plan.method.download(ofTier: kind.tier)
    guard context.plan.method.persistence == .anew || selection == .all else { return nil }
    var stream = downloadStream
    return selection.fixedMask(
      length: context.length, round: context.round, among: kinds.structure(of: kind),
      using: &stream)
  }

  /// The coordinates that belong to no factor, if downloads carry no factors; nil if they carry them.
  private var withoutFactors: SupportMask? {
    switch context.plan.method.aggregation.kind.factors {
    case .inDownload: nil
    case .asStack: context.factors?.support(ranksBelow: 0)
    }
  }

  private var downloadStream: RandomStream {
    RandomStream(seed: context.plan.seed, purpose: .selection, round: context.round)
  }

  // MARK: - Uploads

  /// The coordinates of a client's delta that it sends, and the same again if the server knows them
  /// before the upload comes.
  ///
  /// - Parameter download: As the client sees it after its training (`seen`).
  func upload(
    of client: Int, delta: UnsafeBufferPointer<Float>, after download: Download
  ) -> (mask: SupportMask, known: SupportMask?) {
    if let known = knownUpload(of: client, after: download) { return (known, known) }
    var stream = uploadStream(of: client)
    let mask = context.plan.method.upload(ofTier: download.tier).mask(
      of: delta, round: context.round, among: download.structure, limit: download.trained,
      downloaded: download.mask, using: &stream)
    return (mask, nil)
  }

  /// The coordinates that a client sends if the server knows them before the upload comes; nil if the
  /// message has to say them.
  func knownUpload(of client: Int, after download: Download) -> SupportMask? {
    var stream = uploadStream(of: client)
    return context.plan.method.upload(ofTier: download.tier).fixedMask(
      length: context.length, round: context.round, among: download.structure,
      limit: download.trained, downloaded: download.mask, using: &stream)
  }

  private func uploadStream(of client: Int) -> RandomStream {
    RandomStream(
      seed: context.plan.seed, purpose: .selection, round: context.round, client: client, step: 1)
  }

  /// A download as its reader sees it that has pruned ranks in this round: without their coordinates.
  ///
  /// - Parameter loraRank: The ranks that are left; nil for all.
  func seen(_ download: Download, withRanks loraRank: Int?) -> Download {
    guard let loraRank, let factors = context.factors else { return download }
    return download.pruned(to: factors.support(ranksBelow: loraRank))
  }
}
