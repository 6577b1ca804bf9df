// A micro-batch: sequences laid end to end, without padding.

/// Sequences laid end to end; nothing is padded.
public struct PackedSequences: Sendable, Equatable {
  /// All tokens, (T).
  public private(set) var tokens: [Int32] = []
  /// Where each sequence starts, and at the end T: (sequences + 1).
  public private(set) var offsets: [Int] = [0]
  /// Position of each token in its sequence, (T).
  public private(set) var positions: [Int32] = []
  /// True for the tokens that a loss counts, (T); empty if it counts all.
  public private(set) var isCounted: [Bool] = []
  /// The values of the images' patches, (patches, channels * rows * columns); empty for text.
  public private(set) var patches: [Float] = []
  /// Numbers that a task wants of the sequences, as many of each: (sequences, width); empty for tasks
  /// that want none.
  public private(set) var targets: [Float] = []

  /// An empty batch.
  public init() {}

  /// A batch of these sequences.
  public init(_ sequences: [[Int32]]) {
    for sequence in sequences { append(sequence) }
  }

  /// Tokens in all, T.
  public var tokenCount: Int { tokens.count }
  /// Number of sequences.
  public var count: Int { offsets.count - 1 }

  /// Length of one sequence.
  public func length(of index: Int) -> Int { offsets[index + 1] - offsets[index] }

  /// Adds one sequence, with the tokens that a loss counts (nil for all, and then for all sequences),
  /// and the numbers that a task wants of it.
  /// - Precondition: it has at least one token.
  public mutating func append(
    _ sequence: some Collection<Int32>, isCounted marks: [Bool]? = nil,
    targets numbers: [Float] = []
  ) {
    precondition(!sequence.isEmpty, "a sequence needs at least one token")
    precondition(
      marks.map { $0.count == sequence.count && isCounted.count == tokens.count }
        ?? isCounted.isEmpty, "marks of some sequences or tokens alone")
    isCounted += marks ?? []
    targets += numbers
    tokens.append(contentsOf: sequence)
    positions.append(contentsOf: 0..<Int32(sequence.count))
    offsets.append(tokens.count)
  }

  /// Adds the patches of the next image, row by row, as `body` appends them. An image is a sequence
  /// besides, of as many tokens as the model makes of it.
  public mutating func appendPatches(_ body: (inout [Float]) -> Void) { body(&patches) }

  /// Empties the batch and keeps its memory.
  public mutating func removeAll() {
    tokens.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    isCounted.removeAll(keepingCapacity: true)
    targets.removeAll(keepingCapacity: true)
    patches.removeAll(keepingCapacity: true)
    offsets.removeAll(keepingCapacity: true)
    offsets.append(0)
  }
}

/// Which tokens' hidden states leave the last block: only these go through its output products.
public enum OutputRows: Sendable, Equatable {
  /// Every token (language modelling, mean pooling).
  case all
  /// The first token of each sequence (BERT).
  case first
  /// The last token of each sequence (Llama's classification).
  case last
}
