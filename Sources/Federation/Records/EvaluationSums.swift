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
  /// The places of sums in `words`; each is of examples unless said otherwise. Numbers that are no
  /// integers take two places: their whole parts, and their fractions in units of 2^-32.
  private enum Place {
    /// Losses.
    static let loss = 0
    /// Items, and those that were predicted right.
    static let items = 2, correctItems = 3
    static let examples = 4
    /// With an answer, and with an exact one.
    static let answers = 5, exactAnswers = 6
    /// With a score; then predicted scores, actual ones, squares of both, and products: two each.
    static let scored = 7, scores = 8
    /// With choices, with the right one, and with the right one by length.
    static let choices = 18, rightChoices = 19, rightChoicesByLength = 20
  }
  private static let fixedWords = 21

  /// The sums at their places; then for each label the examples that have it, that were predicted to
  /// have it, and both; then, for up to `mostConfusionLabels` labels, those of each label (rows) and
  /// prediction (columns).
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
    if let score = outcome.score, !add(score) { return false }
    add(outcome.loss, at: Place.loss)
    words[Place.items] += Int64(outcome.count)
    words[Place.correctItems] += Int64(outcome.correct)
    words[Place.examples] += 1
    if let isExact = outcome.isExact {
      words[Place.answers] += 1
      words[Place.exactAnswers] += isExact ? 1 : 0
    }
    if let choice = outcome.choice {
      words[Place.choices] += 1
      words[Place.rightChoices] += choice.isRight ? 1 : 0
      words[Place.rightChoicesByLength] += choice.isRightNormalized ? 1 : 0
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

  /// Adds a number to a sum of two places.
  private mutating func add(_ value: Double, at place: Int) {
    let whole = value.rounded(.down)
    words[place] += Int64(whole)
    words[place + 1] += Int64(((value - whole) * 0x1p32).rounded(.toNearestOrEven))
  }

  /// The value of a sum of two places.
  private func sum(at place: Int) -> Double {
    Double(words[place]) + Double(words[place + 1]) * 0x1p-32
  }

  /// Adds a score; returns false, adding nothing, if a square of it is too large.
  private mutating func add(_ score: ScoreOutcome) -> Bool {
    let (x, y) = (Double(score.predicted), Double(score.actual))
    let values = [x, y, x * x, y * y, x * y]
    guard values.allSatisfy({ $0.magnitude < Self.largestLoss }) else { return false }
    words[Place.scored] += 1
    for (index, value) in values.enumerated() { add(value, at: Place.scores + 2 * index) }
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
  var loss: Double { sum(at: Place.loss) }
  /// The mean loss over the items; nil over none.
  var meanLoss: Double? { count == 0 ? nil : loss / Double(count) }
  /// The number of items.
  var count: Int { Int(words[Place.items]) }
  /// The number of items that were predicted right.
  var correct: Int { Int(words[Place.correctItems]) }
  /// The number of examples.
  var examples: Int { Int(words[Place.examples]) }
  /// The share of answers that would be given exactly; nil where there is none.
  package var exactMatch: Double? {
    let answers = words[Place.answers]
    return answers == 0 ? nil : Double(words[Place.exactAnswers]) / Double(answers)
  }

  /// The shares of examples whose right choice was taken, and taken by length; nil without choices.
  package var choices: (plain: Double, normalized: Double)? {
    guard words[Place.choices] > 0 else { return nil }
    let count = Double(words[Place.choices])
    return (
      Double(words[Place.rightChoices]) / count, Double(words[Place.rightChoicesByLength]) / count
    )
  }

  /// True if examples have scores.
  var hasScores: Bool { words[Place.scored] > 0 }

  /// Pearson's correlation of predicted and actual scores; nil where there are no scores or one of the
  /// two does not vary.
  package var pearson: Double? {
    guard hasScores else { return nil }
    let sums = (0..<5).map { sum(at: Place.scores + 2 * $0) }
    let n = Double(words[Place.scored])
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
