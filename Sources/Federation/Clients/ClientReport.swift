// What a rank tells the others about a client that it trained: fixed-size bookkeeping of the
// simulation, not part of the simulated message. Every rank gets all of them, so that every rank
// knows the size of every upload before the first one moves.
internal import Communication
internal import Sparsity

/// One client's numbers after training and encoding.
struct ClientReport: Equatable {
  var position: Int
  var rank: Int
  var examples: Int
  var steps: Int
  var sums: LossSums
  var seconds: Double
  var upload: PayloadSize
  var uploadNonzeros: Int
  /// The largest magnitude in the upload: the cohort's maximum fixes the scale of the exact sum.
  var largestMagnitude: Float
  /// The number that the aggregation asks of its clients; 0 if it asks for none.
  var measure: Double
  /// The L2 norm of what the upload selection kept, before any clipping.
  var uploadNorm: Double
  /// The ranks that it sent, where it has pruned some for good; 0 where it has not.
  var prunedRank = 0
  /// Why it sends nothing; nil where it sends its upload.
  var refusal: NonFiniteUpdate?

  static let wordCount = 20

  var words: [UInt64] {
    let numbers = [
      position, rank, examples, steps, sums.correct, sums.count, sums.tokens, upload.values,
      upload.indices, upload.header, uploadNonzeros, prunedRank,
    ]
    return numbers.map { UInt64(bitPattern: Int64($0)) } + [
      sums.loss.bitPattern, seconds.bitPattern, UInt64(largestMagnitude.bitPattern),
      measure.bitPattern, uploadNorm.bitPattern,
      refusal.map { UInt64($0.place.rawValue + 1) } ?? 0, UInt64(refusal?.steps ?? 0),
      UInt64(refusal?.largestGradient.bitPattern ?? 0),
    ]
  }
}

extension ClientReport {
  init(words: ArraySlice<UInt64>) {
    precondition(words.count == Self.wordCount, "a client report of \(words.count) words")
    var rest = words
    func number() -> Int { Int(Int64(bitPattern: rest.removeFirst())) }
    position = number()
    rank = number()
    examples = number()
    steps = number()
    sums = LossSums()
    sums.correct = number()
    sums.count = number()
    sums.tokens = number()
    upload = .zero
    upload.values = number()
    upload.indices = number()
    upload.header = number()
    uploadNonzeros = number()
    prunedRank = number()
    sums.loss = Double(bitPattern: rest.removeFirst())
    seconds = Double(bitPattern: rest.removeFirst())
    largestMagnitude = Float(bitPattern: UInt32(rest.removeFirst()))
    measure = Double(bitPattern: rest.removeFirst())
    uploadNorm = Double(bitPattern: rest.removeFirst())
    let (place, planned, gradient) = (number() - 1, number(), number())
    refusal = NonFiniteUpdate.Place(rawValue: place).map {
      NonFiniteUpdate(
        place: $0, step: steps, steps: planned,
        largestGradient: Float(bitPattern: UInt32(gradient)), tokens: sums.tokens)
    }
  }
}

extension Communicator {
  /// Gives every rank the reports of all, in cohort order.
  ///
  /// - Parameter assigned: The cohort positions of each rank, the same on every rank.
  /// - Communication: One all-gather of 160 bytes a client; the counts are known.
  func exchange(_ reports: [ClientReport], assigned: [[Int]]) throws -> [ClientReport] {
    let own = reports.flatMap(\.words)
    let byteCounts = assigned.map { $0.count * ClientReport.wordCount * 8 }
    var all = [UInt64](repeating: 0, count: byteCounts.reduce(0, +) / 8)
    try own.withUnsafeBytes { send in
      try all.withUnsafeMutableBytes { receive in
        try allGatherVariable(send, into: receive, byteCounts: byteCounts)
      }
    }
    return stride(from: 0, to: all.count, by: ClientReport.wordCount)
      .map { ClientReport(words: all[$0..<($0 + ClientReport.wordCount)]) }
      .sorted { $0.position < $1.position }
  }
}
