// Sums over evaluated examples that do not depend on how the examples are spread: whole numbers, so
// that adding them in any order and grouping, over any number of ranks, gives the same bits.
internal import Communication

/// Exact sums over evaluated examples.
///
/// An example's loss is kept as floor(loss) and its fraction in units of 2^-32, two integers that
/// are summed separately: losses below 2^40 are quantized to 2^-33 at worst, and 2^22 examples of
/// such losses cannot overflow.
package struct EvaluationSums: Equatable {
  static let largestLoss = 0x1p40
  private static let fixedWords = 21

  /// Sums of: whole losses, fractions of losses, items, correct items, examples, examples with an
  /// answer, those with an exact one, examples with a score; the whole parts and the fractions of
  /// predicted scores, actual ones, the squares of both and their products; examples with choices, right
  /// choices, right ones by length; then for each label
  /// the examples that have it, that were predicted to have it, and both; then, for up to
  /// `mostConfusionLabels` labels, those of each label (rows) and prediction (columns).
  private(set) var words: [Int64]
  private let labels: Int

  /// With more labels pairs of labels are not counted: their square would outgrow all else.
  static let mostConfusionLabels = 1000

  /// Sums over no example; with `labels` above 0 also by label.
  package init(labels: Int = 0) {
    self.labels = labels
    let pairs = labels <= Self.mostConfusionLabels ? labels * labels : 0
    words = [Int64](repeating: 0, count: Self.fixedWords + 3 * labels + pairs)
  }

  /// Adds one example; returns false, adding nothing, when its loss is not a number that can be
  /// summed.
  /// - Precondition: Where there are labels, the outcome has a label and a prediction among them.
  package mutating func add(_ outcome: ExampleOutcome) -> Bool {
    guard outcome.loss.magnitude < Self.largestLoss else { return false }
    let whole = outcome.loss.rounded(.down)
    if let score = outcome.score, !add(score) { return false }
    words[0] += Int64(whole)
    words[1] += Self.fraction(outcome.loss, whole)
    words[2] += Int64(outcome.count)
    words[3] += Int64(outcome.correct)
    words[4] += 1
    if let isExact = outcome.isExact {
      words[5] += 1
      words[6] += isExact ? 1 : 0
    }
    if let choice = outcome.choice {
      words[18] += 1
      words[19] += choice.isRight ? 1 : 0
      words[20] += choice.isRightNormalized ? 1 : 0
    }
    guard labels > 0 else { return true }
    if !outcome.decisions.isEmpty {
      add(outcome.decisions)
      return true
    }
    guard let label = outcome.label, let predicted = outcome.predicted else {
      preconditionFailure("an outcome without label or prediction where labels are counted")
    }
    words[Self.fixedWords + 3 * Int(label)] += 1
    words[Self.fixedWords + 3 * Int(predicted) + 1] += 1
    if label == predicted { words[Self.fixedWords + 3 * Int(label) + 2] += 1 }
    if labels <= Self.mostConfusionLabels {
      words[Self.fixedWords + (3 + Int(label)) * labels + Int(predicted)] += 1
    }
    return true
  }

  private static func fraction(_ value: Double, _ whole: Double) -> Int64 {
    Int64(((value - whole) * 0x1p32).rounded(.toNearestOrEven))
  }

  /// Adds a score; returns false, adding nothing, if a square of it is too large.
  private mutating func add(_ score: ScoreOutcome) -> Bool {
    let (x, y) = (Double(score.predicted), Double(score.actual))
    let values = [x, y, x * x, y * y, x * y]
    guard values.allSatisfy({ $0.magnitude < Self.largestLoss }) else { return false }
    words[7] += 1
    for (index, value) in values.enumerated() {
      let whole = value.rounded(.down)
      words[8 + 2 * index] += Int64(whole)
      words[9 + 2 * index] += Self.fraction(value, whole)
    }
    return true
  }

  /// Adds the decisions about the labels of an example.
  private mutating func add(_ decisions: [LabelDecision]) {
    precondition(decisions.count == labels, "\(decisions.count) decisions about \(labels) labels")
    for (label, decision) in decisions.enumerated() {
      let place = Self.fixedWords + 3 * label
      words[place] += decision.isActual ? 1 : 0
      words[place + 1] += decision.isPredicted ? 1 : 0
      words[place + 2] += decision.isActual && decision.isPredicted ? 1 : 0
    }
  }

  /// Adds up each of the sums over all ranks, on every rank.
  ///
  /// - Parameter all: as many on every rank, of the same labels.
  /// - Communication: one all-reduce of 168 bytes for each of the sums, 24 for a label and 8 for a pair of labels.
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
  /// The mean loss over the items; nil over none.
  var meanLoss: Double? { count == 0 ? nil : loss / Double(count) }
  /// The number of items.
  var count: Int { Int(words[2]) }
  /// The number of items that were predicted right.
  var correct: Int { Int(words[3]) }
  /// The number of examples.
  var examples: Int { Int(words[4]) }
  /// The share of answers that would be given exactly; nil where there is none.
  package var exactMatch: Double? { words[5] == 0 ? nil : Double(words[6]) / Double(words[5]) }

  /// The shares of examples whose right choice was taken, and taken by length; nil without choices.
  package var choices: (plain: Double, normalized: Double)? {
    guard words[18] > 0 else { return nil }
    let count = Double(words[18])
    return (Double(words[19]) / count, Double(words[20]) / count)
  }

  /// True if examples have scores.
  var hasScores: Bool { words[7] > 0 }

  /// Pearson's correlation of predicted and actual scores; nil where there are no scores or one of the
  /// two does not vary.
  package var pearson: Double? {
    guard words[7] > 0 else { return nil }
    let sums = (0..<5).map { Double(words[8 + 2 * $0]) + Double(words[9 + 2 * $0]) * 0x1p-32 }
    let n = Double(words[7])
    let (x, y) = (n * sums[2] - sums[0] * sums[0], n * sums[3] - sums[1] * sums[1])
    guard x > 0, y > 0 else { return nil }
    return (n * sums[4] - sums[0] * sums[1]) / (x.squareRoot() * y.squareRoot())
  }

  /// The counts of each label; nil where labels are not counted.
  package var labelCounts: [LabelCount]? {
    guard labels > 0 else { return nil }
    return stride(from: Self.fixedWords, to: Self.fixedWords + 3 * labels, by: 3).map { place in
      LabelCount(
        actual: Int(words[place]), predicted: Int(words[place + 1]), both: Int(words[place + 2]))
    }
  }

  /// The pairs of label and prediction that were there, by label and then by prediction; empty where
  /// they are not counted.
  package var confusion: [ConfusionCount] {
    guard labels > 0, labels <= Self.mostConfusionLabels else { return [] }
    return words[(Self.fixedWords + 3 * labels)...].enumerated().filter { $0.element > 0 }.map {
      ConfusionCount(
        label: $0.offset / labels, predicted: $0.offset % labels, count: Int($0.element))
    }
  }
}
