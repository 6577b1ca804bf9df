// The coordinate-wise median of the uploads (Yin et al. 2018, arXiv 1803.01498, Algorithm 1, option
// I): coordinate by coordinate the median of the clients' values, for an even number of values the
// mean of the two in the middle.
//
// Clients send few coordinates, so two medians are of use. With `absent: zero` a client that did not
// send a coordinate counts with 0 there, as in the mean: a coordinate that less than half of the
// clients send has the median 0. With `absent: left_out` only the clients that sent it count, and a
// coordinate that no client sent is 0.
internal import Sparsity

extension AggregationKind {
  /// The coordinate-wise median.
  package static let coordinateMedian = AggregationKind(
    name: "coordinate_median", help: "median of each coordinate", settings: [.absent],
    needs: .each
  ) { CoordinateMedian(absent: AbsentValues(rule: $0)) }
}

private struct CoordinateMedian: Aggregator {
  let absent: AbsentValues

  func problems(of plan: FederationPlan) -> [PlanProblem] {
    absent.problems(of: plan, AggregationKind.coordinateMedian.name)
  }

  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    PseudoGradient(
      vector: absent.reduced(uploads.clients.map(\.upload), length: uploads.mean.count) {
        median(ofSorted: $0)
      })
  }
}

/// The median of ascending values; 0 of none. Halves are added in Double and rounded once.
private func median(ofSorted values: [Float]) -> Float {
  guard !values.isEmpty else { return 0 }
  let middle = values.count / 2
  if values.count % 2 == 1 { return values[middle] }
  return Float((Double(values[middle - 1]) + Double(values[middle])) / 2)
}
