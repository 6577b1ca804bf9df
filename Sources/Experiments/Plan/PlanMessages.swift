// The part of `cellm-mpi plan` about messages: the bytes that a client is charged for, by tier, and the supports
// that the server remembers for clients (`method.download.indices: difference`).

internal import Configuration
internal import Federation
internal import Files
internal import RandomStreams
internal import Sparsity

/// The messages of a plan.
struct PlanMessages {
  let plan: FederationPlan
  let prepared: PreparedModel
  /// Coordinates of the head.
  let headCount: Int
  let isFull: Bool

  /// A message of a number of coordinates.
  struct Message: Equatable {
    let count: Int
    let size: PayloadSize
  }

  private var length: Int { prepared.trainedCount }
  private var method: Method { plan.method }

  /// Whether factors come as a stack, beside the download.
  private var hasStack: Bool { method.aggregation.kind.factors == .asStack }

  /// The tiers; one where all clients are alike.
  private var tiers: Range<Int> { 0..<max(1, method.tiers.count) }

  /// The coordinates that a tier's adapter has.
  private func tierCount(_ tier: Int) -> Int {
    guard !method.tiers.isEmpty, let rank = method.tiers[tier].loraRank else { return length }
    return headCount + (length - headCount) / prepared.layout.lora.loraRank * rank
  }

  /// The download of a tier in a round.
  private func download(_ tier: Int, _ round: Int) -> Message {
    let all = tierCount(tier)
    if hasStack {
      // New factors are drawn by their client; the head travels, and the stack of the last cohort.
      let head = message(headCount, isKnown: true, method.values.download)
      guard round > 0 else { return head }
      let stack = PayloadSize(
        values: method.values.download.bytes(count: stackCount, tensorCount: tensorCount),
        indices: 0, header: VectorCodec.headerBytes)
      return Message(count: headCount + stackCount, size: head.size + stack)
    }
    let selection = method.download(ofTier: tier)
    return message(
      selection.count(length: all, round: round),
      isKnown: (method.persistence == .anew || selection == .all)
        && selection.isFixed(round: round, candidates: all, limit: all), method.values.download)
  }

  /// The upload of a tier in a round.
  private func upload(_ tier: Int, _ round: Int) -> Message {
    let all = tierCount(tier)
    let received = method.download(ofTier: tier).count(length: all, round: round)
    let limit = method.trained == .downloaded ? received : all
    let selection = method.upload(ofTier: tier)
    return message(
      min(limit, selection.count(length: all, round: round, downloaded: received)),
      isKnown: selection.isFixed(round: round, candidates: all, limit: limit),
      method.values.upload)
  }

  /// The largest upload of the first round.
  var largestUpload: Message {
    tiers.map { upload($0, 0) }.max { $0.size.total < $1.size.total } ?? dense
  }

  /// The supports that rank 0 and each checkpoint hold at most, and the bytes of one; none where clients
  /// need to remember nothing.
  var rememberedSupports: (count: Int, bytes: Int) {
    guard method.downloadIndices == .difference else { return (0, 0) }
    let counts = tiers.map { tier in
      let selection = method.download(ofTier: tier)
      let all = tierCount(tier)
      // As the round has it: a nested support is known only if everything is sent.
      let mayBeKnown = method.persistence == .anew || selection == .all
      let unknown = [0, plan.rounds - 1].filter {
        !(mayBeKnown && selection.isFixed(round: $0, candidates: all, limit: all))
      }
      return unknown.map { download(tier, $0).count }.max() ?? 0
    }.filter { $0 > 0 }
    guard let longest = counts.max() else { return (0, 0) }
    let downloads = plan.rounds.multipliedReportingOverflow(by: counts.count)
    return (
      min(prepared.partition.clientCount, downloads.overflow ? .max : downloads.partialValue),
      EncodedSupport.expectedBytes(length: length, count: longest)
    )
  }

  /// The table.
  var text: String {
    var rows = [
      ["message", "tier", "round", "density", "coordinates", "bytes", "less than dense"]
    ]
    for (name, of) in [("download", download), ("upload", upload)] {
      for tier in tiers {
        var shown: [Message] = []
        // The stack of a round before is there from the second round on.
        let last = hasStack ? min(1, plan.rounds - 1) : plan.rounds - 1
        for round in [0, last] {
          let message = of(tier, round)
          if shown.contains(message) { continue }
          shown.append(message)
          rows.append([
            name, "\(tier)", "\(round + 1)", share(message.count), grouped(message.count),
            byteText(message.size.total), saving(message.size),
          ])
        }
      }
    }
    rows.append([
      isFull ? "all weights" : "dense LoRA", "", "", "1", grouped(length),
      byteText(dense.size.total), "1.00x",
    ])
    if method.tiers.isEmpty { rows = rows.map { [$0[0]] + $0[2...] } }
    return "\npayload of one client\n" + alignedText(rows, indent: "  ")
      + "  bytes: of messages encoded with coordinates drawn at random; those of a run differ by"
      + " about a percent\n"
  }

  private func saving(_ size: PayloadSize) -> String {
    fixed(Double(dense.size.total) / Double(max(1, size.total)), 2) + "x"
  }

  /// A count of coordinates as a share of all, to four digits.
  private func share(_ count: Int) -> String {
    short((Double(count) / Double(max(1, length)) * 10_000).rounded() / 10_000)
  }

  /// Values of the stack of the first cohort.
  private var stackCount: Int {
    let width = (length - headCount) / prepared.layout.lora.loraRank
    return plan.participants(round: 0, population: prepared.partition.clientCount)
      .filter { $0.fate == .used }
      .reduce(0) { sum, participant in
        let tier = method.tier(of: participant.client, seed: plan.seed)
        let ranks = method.tiers.isEmpty ? nil : method.tiers[tier].loraRank
        return sum + width * (ranks ?? prepared.layout.lora.loraRank)
      }
  }

  /// The message of the whole vector in fp32: the unit of dense LoRA.
  private var dense: Message { message(length, isKnown: false, .fp32) }

  /// Tensors of the trained vector, each of which has a scale in int8 and int4.
  private var tensorCount: Int {
    let ends = prepared.layout.segments.map(\.range.upperBound)
    guard let part = prepared.part else { return ends.count }
    var (segment, counted, last) = (0, 0, -1)
    for index in part.indices {
      while Int(index) >= ends[segment] { segment += 1 }
      if segment != last { (counted, last) = (counted + 1, segment) }
    }
    return counted
  }

  /// The message of so many coordinates at random places.
  ///
  /// - Parameter isKnown: Whether its reader knows the places.
  private func message(_ count: Int, isKnown: Bool, _ format: ValueFormat) -> Message {
    var stream = RandomStream(seed: 0, purpose: .selection)
    let places = count == length ? Array(0..<length) : stream.sample(count, of: length)
    let mask = SupportMask(length: length, indices: places.map { UInt32($0) })
    let vector = [Float](repeating: 1, count: length)
    return vector.withUnsafeBufferPointer { buffer in
      Message(
        count: count,
        size: VectorCodec.size(
          of: SparseVector(gathering: buffer, at: mask), format: format,
          known: isKnown ? mask : nil, tensorCount: tensorCount))
    }
  }
}
