// The table of aggregations. A further one is a file beside this one and a row here.

/// All aggregations.
package enum Aggregators {
  /// The variants, in the order of the documentation.
  package static let all: [AggregationKind] = [
    .mean, .normWeighted, .productMean, .stacked, .coordinateMedian, .trimmedMean,
  ]

  /// What each variant computes, for the documentation of the key.
  package static var help: String {
    let phrases = all.map(\.help)
    return phrases.dropLast().joined(separator: "; ") + "; or " + (phrases.last ?? "")
  }

  /// The names of the variants that privacy's noise allows.
  static var namesWithNoise: String {
    all.filter(\.allowsNoise).map(\.name).joined(separator: " or ")
  }
}
