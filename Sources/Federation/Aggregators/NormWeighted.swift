// HetLoRA's aggregation (Cho et al. 2024, arXiv 2401.06432, section 4, "sparsity-weighted
// aggregation"): the mean of the uploads, each client weighted by the norm of its product,
// ||B_k A_k||_F over all layers.
internal import Sparsity

extension AggregationKind {
  /// The mean weighted by the norm of the products.
  package static let normWeighted = AggregationKind(
    name: "norm_weighted", help: "weighted by the norm of B A (HetLoRA)", needsFactors: true
  ) { _ in NormWeighted() }
}

extension AggregationRule {
  /// HetLoRA's mean, weighted by the norm of each client's product.
  package static let normWeighted = AggregationKind.normWeighted.rule
}

private struct NormWeighted: Aggregator {
  /// ||B A||_F of what a client trained.
  func measure(
    _ trained: UnsafeBufferPointer<Float>, loraRank: Int, factors: FactorLayout?
  ) -> Double {
    factors?.squaredProductNorm(of: trained, ranksBelow: loraRank).squareRoot() ?? 0
  }

  /// Norms as 20-bit fractions of the largest, of fewer bits for very large cohorts, so that the
  /// weighted sum stays exact.
  func weights(examples: [Int], measures: [Double]) -> [Int] {
    let total = max(1, examples.reduce(0, +))
    var parts = 1_048_576
    while parts > 1, total > FixedPointScale.largestTotalWeight / parts { parts /= 2 }
    let largest = measures.reduce(0, max)
    return zip(examples, measures).map { weight, norm in
      largest > 0 ? weight * max(1, Int((norm / largest * Double(parts)).rounded())) : weight
    }
  }

  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    PseudoGradient(vector: uploads.mean)
  }
}
