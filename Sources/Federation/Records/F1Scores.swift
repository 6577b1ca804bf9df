// F1 of a classifier from exact counts. With a label's precision p = both / predicted and recall
// r = both / actual, F1 = 2 p r / (p + r) = 2 both / (predicted + actual)
// (van Rijsbergen, Information Retrieval, 1979, chapter 7; the averages are scikit-learn's f1_score).

/// How often one label was there, was predicted, and both.
public struct LabelCount: Sendable, Equatable {
  /// Examples that have the label.
  var actual: Int
  /// Examples that were predicted to have it.
  public var predicted: Int
  /// Examples of which both is true.
  public var both: Int

  /// The counts of one label.
  public init(actual: Int, predicted: Int, both: Int) {
    self.actual = actual
    self.predicted = predicted
    self.both = both
  }

  /// The label's F1; 0 where it was neither there nor predicted.
  public var f1: Double {
    actual + predicted == 0 ? 0 : Double(2 * both) / Double(actual + predicted)
  }
}

/// How many examples of one label were predicted to have one label.
public struct ConfusionCount: Sendable, Equatable {
  /// The label that they have.
  public var label: Int
  /// The label that was predicted.
  public var predicted: Int
  /// How many.
  public var count: Int
}

/// The averages of F1 over labels.
public struct F1Scores: Sendable, Equatable {
  /// The mean over the labels that were there or predicted.
  public let macro: Double
  /// F1 of all labels' counts together, which is the accuracy where every example has one label.
  public let micro: Double
  /// The mean weighted by how often a label was there.
  public let weighted: Double

  /// The scores of a classifier over examples; all 0 over none.
  public init(_ counts: [LabelCount]) {
    let seen = counts.filter { $0.actual + $0.predicted > 0 }
    let actual = seen.reduce(0) { $0 + $1.actual }
    macro = seen.reduce(0) { $0 + $1.f1 } / Double(max(1, seen.count))
    micro =
      LabelCount(
        actual: actual, predicted: seen.reduce(0) { $0 + $1.predicted },
        both: seen.reduce(0) { $0 + $1.both }
      ).f1
    weighted = seen.reduce(0) { $0 + Double($1.actual) * $1.f1 } / Double(max(1, actual))
  }
}
