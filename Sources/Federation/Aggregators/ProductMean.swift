// FlexLoRA's aggregation (Bai et al. 2024, arXiv 2402.11505): layer by layer, the factors of the
// largest singular values of the weighted mean of B_k A_k; the mean in all other coordinates.

extension AggregationKind {
  /// The factors of the mean product.
  package static let productMean = AggregationKind(
    name: "product_mean", help: "factors of the mean of B A by singular values (FlexLoRA)",
    needs: .each, needsFactors: true
  ) { _ in ProductMean() }
}

extension AggregationRule {
  /// FlexLoRA's factors of the mean product, the mean elsewhere.
  package static let productMean = AggregationKind.productMean.rule
}

private struct ProductMean: Aggregator {
  /// P minus the target in the factors' coordinates, so that a step of length 1 arrives at the target.
  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    guard let factors = uploads.factors else {
      preconditionFailure("a mean of products without factors")
    }
    var vector = uploads.mean
    factors.takeProductMean(
      of: uploads.clients.map { $0.trained() }, weights: uploads.clients.map(\.weight),
      from: uploads.server, into: &vector)
    return PseudoGradient(vector: vector)
  }
}
