// Sums over evaluated examples that do not depend on how the examples are spread: whole numbers, so
// that adding them in any order and grouping, over any number of ranks, gives the same bits.
internal import Communication

/// Exact sums over evaluated examples.
///
/// An example's loss is kept as floor(loss) and its fraction in units of 2^-32, two integers that
/// are summed separately: losses below 2^40 are quantized to 2^-33 at worst, and 2^22 examples of
/// such losses cannot overflow.
struct EvaluationSums: Equatable {
  static let largestLoss = 0x1p40
  private static let fixedWords = 5

  /// Sums of: whole losses, fractions of losses, items, correct items, examples; then for each label
  /// the examples that have it, that were predicted to have it, and both.
  private(set) var words: [Int64]

  /// Sums over no example; with `labels` above 0 also by label.
  init(labels: Int = 0) {
    words = [Int64](repeating: 0, count: Self.fixedWords + 3 * labels)
  }

  /// Adds one example; returns false, adding nothing, when its loss is not a number that can be
  /// summed.
  /// - Precondition: Where there are labels, the outcome has a label and a prediction among them.
  mutating func add(_ outcome: ExampleOutcome) -> Bool {
    guard outcome.loss.magnitude < Self.largestLoss else { return false }
    let whole = outcome.loss.rounded(.down)
    words[0] += Int64(whole)
    words[1] += Int64(((outcome.loss - whole) * 0x1p32).rounded(.toNearestOrEven))
    words[2] += Int64(outcome.count)
    words[3] += Int64(outcome.correct)
    words[4] += 1
    guard words.count > Self.fixedWords else { return true }
    guard let label = outcome.label, let predicted = outcome.predicted else {
      preconditionFailure("an outcome without label or prediction where labels are counted")
    }
    words[Self.fixedWords + 3 * Int(label)] += 1
    words[Self.fixedWords + 3 * Int(predicted) + 1] += 1
    if label == predicted { words[Self.fixedWords + 3 * Int(label) + 2] += 1 }
    return true
  }

  /// Adds up each of the sums over all ranks, on every rank.
  ///
  /// - Parameter all: as many on every rank, of the same labels.
  /// - Communication: one all-reduce of 40 bytes for each of the sums, and 24 for a label.
  static func reduce(_ all: inout [EvaluationSums], over communicator: any Communicator) throws {
    var words = all.flatMap(\.words)
    try words.withUnsafeMutableBufferPointer { try communicator.allReduce($0, .sum) }
    var first = 0
    for index in all.indices {
      let count = all[index].words.count
      all[index].words = Array(words[first..<first + count])
      first += count
    }
  }

  /// The sum of the losses.
  var loss: Double { Double(words[0]) + Double(words[1]) * 0x1p-32 }
  /// The mean loss over the items; 0 over none.
  var meanLoss: Double { count == 0 ? 0 : loss / Double(count) }
  /// The number of items.
  var count: Int { Int(words[2]) }
  /// The number of items that were predicted right.
  var correct: Int { Int(words[3]) }
  /// The number of examples.
  var examples: Int { Int(words[4]) }

  /// The counts of each label; nil where labels are not counted.
  var labelCounts: [LabelCount]? {
    guard words.count > Self.fixedWords else { return nil }
    return stride(from: Self.fixedWords, to: words.count, by: 3).map { place in
      LabelCount(
        actual: Int(words[place]), predicted: Int(words[place + 1]), both: Int(words[place + 2]))
    }
  }
}
