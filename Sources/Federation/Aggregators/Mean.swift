// The weighted mean of the uploads, zeros where nothing was sent: federated averaging (McMahan et
// al. 2017, arXiv 1602.05629) with the server optimizer of the plan.

extension AggregationKind {
  /// The weighted mean.
  package static let mean = AggregationKind(
    name: "mean", help: "mean of the uploads", allowsNoise: true
  ) { _ in Mean() }
}

extension AggregationRule {
  /// The weighted mean of the uploads, zeros where nothing was sent.
  public static let mean = AggregationKind.mean.rule
}

private struct Mean: Aggregator {
  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    PseudoGradient(vector: uploads.mean)
  }
}
