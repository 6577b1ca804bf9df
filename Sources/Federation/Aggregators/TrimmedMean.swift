// The coordinate-wise trimmed mean of the uploads (Yin et al. 2018, arXiv 1803.01498, Algorithm 1,
// option II): coordinate by coordinate the mean of the clients' m values without the floor(beta m)
// largest and the floor(beta m) smallest, 0 <= beta < 1/2. What `absent` does is told in
// CoordinateMedian.swift.
internal import Sparsity

extension AggregationKind {
  /// The coordinate-wise trimmed mean.
  package static let trimmedMean = AggregationKind(
    name: "trimmed_mean",
    help: "mean of each coordinate without the largest and the smallest values",
    settings: [
      AggregationSetting(
        name: "trim", allowed: .number(atLeast: 0, below: 0.5), standard: .number(0.1)),
      .absent,
    ], needs: .each
  ) { TrimmedMean(trim: $0.number("trim"), absent: AbsentValues(rule: $0)) }
}

private struct TrimmedMean: Aggregator {
  /// beta: the share of the values that is cut at each end.
  let trim: Double
  let absent: AbsentValues

  func problems(of plan: FederationPlan) -> [PlanProblem] {
    absent.problems(of: plan, AggregationKind.trimmedMean.name)
  }

  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    PseudoGradient(
      vector: absent.reduced(uploads.clients.map(\.upload), length: uploads.mean.count) {
        mean(ofSorted: $0)
      })
  }

  /// The mean of ascending values without both ends; 0 of none. Summed in Double from the smallest
  /// to the largest, rounded once.
  private func mean(ofSorted values: [Float]) -> Float {
    guard !values.isEmpty else { return 0 }
    let cut = Int(trim * Double(values.count))
    let kept = values[cut..<(values.count - cut)]
    return Float(kept.reduce(0.0) { $0 + Double($1) } / Double(kept.count))
  }
}
