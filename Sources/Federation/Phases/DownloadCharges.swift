// What each client of a round is charged for its download. If a client's last support counts
// (`method.download.indices: difference`), the message is encoded for it and decoded with it; it
// differs from its kind's in the coding of the indices alone.
internal import Sparsity

/// The sizes of a round's downloads, on rank 0.
struct DownloadCharges {
  /// What each member is charged, zero if it received nothing; without the stack's size elsewhere
  /// than on rank 0.
  private(set) var sizes: [PayloadSize] = []
  /// What was merged last, which the members received beside their download; nil if there was none.
  let stack: StackSize?

  /// The charges of a cohort.
  ///
  /// - Parameter knowledge: What clients remember of their downloads; they learn the new ones.
  /// - Throws: `FederationError` if a download does not decode to what was sent.
  init(
    of downloads: Downloads, to cohort: Cohort, stack: StackSize?,
    knowledge: inout ClientKnowledge, in context: RoundContext
  ) throws {
    self.stack = stack
    switch context.plan.method.downloadIndices {
    case .difference where context.isServer:
      try chargeDifferences(downloads, cohort, &knowledge, context)
    case .complete, .difference:
      let stackSize = stack?.payload ?? .zero
      sizes = cohort.members.map { downloads[$0].map { $0.size + stackSize } ?? .zero }
    }
  }

  private mutating func chargeDifferences(
    _ downloads: Downloads, _ cohort: Cohort, _ knowledge: inout ClientKnowledge,
    _ context: RoundContext
  ) throws {
    // Clients of one kind that received the same download last are charged alike.
    struct Message: Hashable {
      let kind: ClientKind
      let known: Int
    }
    var found: [Message: PayloadSize] = [:]
    var learners: [ClientKind: [Int]] = [:]
    for member in cohort.members {
      guard let download = downloads[member] else {
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
      let size =
        try found[message]
        ?? Self.differenceSize(of: download, to: member.client, knowing: knowledge, in: context)
      found[message] = size
      sizes.append(size)
    }
    for (kind, clients) in learners.sorted(by: { $0.key < $1.key }) {
      knowledge.learn(clients, EncodedSupport(downloads[kind].mask))
    }
  }

  /// The size of a download for a client that has its last support, encoded and decoded with it.
  private static func differenceSize(
    of download: Download, to client: Int, knowing knowledge: ClientKnowledge,
    in context: RoundContext
  ) throws -> PayloadSize {
    let known = try knowledge.support(of: client, length: context.length)
    // Values that were rounded already round to themselves, but int8 and int4 draw: only the
    // length counts here, so their values are written as they would be.
    let encoded = context.encodedDownload(download.vector, tier: download.tier, known: known)
    let decoded = try context.decodedDownload(encoded.bytes, known: known)
    guard decoded.mask == download.mask else {
      throw FederationError(
        round: context.round, client: client,
        reason: "the download does not decode to the support that was sent")
    }
    return encoded.size
  }
}
