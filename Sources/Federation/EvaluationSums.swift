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

  /// Sums of: whole losses, fractions of losses, items, correct items, examples.
  private(set) var words = [Int64](repeating: 0, count: 5)

  /// Adds one example; returns false, adding nothing, when its loss is not a number that can be
  /// summed.
  mutating func add(_ outcome: ExampleOutcome) -> Bool {
    guard outcome.loss.magnitude < Self.largestLoss else { return false }
    let whole = outcome.loss.rounded(.down)
    words[0] += Int64(whole)
    words[1] += Int64(((outcome.loss - whole) * 0x1p32).rounded(.toNearestOrEven))
    words[2] += Int64(outcome.count)
    words[3] += Int64(outcome.correct)
    words[4] += 1
    return true
  }

  /// Adds up the sums of all ranks, on every rank.
  mutating func reduce(over communicator: any Communicator) throws {
    try words.withUnsafeMutableBufferPointer { try communicator.allReduce($0, .sum) }
  }

  /// The sum of the losses.
  var loss: Double { Double(words[0]) + Double(words[1]) * 0x1p-32 }
  /// The number of items.
  var count: Int { Int(words[2]) }
  /// The number of items that were predicted right.
  var correct: Int { Int(words[3]) }
  /// The number of examples.
  var examples: Int { Int(words[4]) }
}
