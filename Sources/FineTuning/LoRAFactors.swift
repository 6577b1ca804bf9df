// LoRA's factors as the federation sees them, and the matrix library that multiplies them.

package import Adapters
package import Federation
internal import Kernels

extension FactorLayout {
  /// The pairs of an adapter; nil if nothing is adapted.
  package init?(_ layout: TrainableLayout) {
    let pairs = layout.segments.compactMap { a -> Pair? in
      guard case .loraA(let role) = a.kind,
        let b = layout.segments.first(where: { $0.kind == .loraB(role) && $0.layer == a.layer })
      else { return nil }
      return Pair(
        aOffset: a.range.lowerBound, bOffset: b.range.lowerBound, inputs: a.shape[1],
        outputs: b.shape[0])
    }
    guard !pairs.isEmpty else { return nil }
    self.init(
      length: layout.parameterCount, loraRank: layout.lora.loraRank, scale: layout.lora.scale,
      pairs: pairs, products: MatrixFactorProducts())
  }
}

/// Products of factors by `addLowRankProduct`, sums of them by `LowRankSum`.
package struct MatrixFactorProducts: FactorProducts {
  /// The products.
  package init() {}

  /// One product.
  package func addProduct(
    b: UnsafePointer<Float>, a: UnsafePointer<Float>, ranks: Int, scale: Float,
    outputs: Int, inputs: Int, to matrix: UnsafeMutablePointer<Float>
  ) {
    addLowRankProduct(
      to: matrix, b: b, a: a, loraRank: ranks, scale: scale, outputs: outputs, inputs: inputs)
  }

  /// The truncated singular value decomposition of the sum, which is never formed.
  package func nearestFactors(
    toSumOf terms: [FactorTerm], ranks: Int, outputs: Int, inputs: Int
  ) -> (b: [Float], a: [Float]) {
    var sum = LowRankSum(outputs: outputs, inputs: inputs)
    for term in terms { sum.add(b: term.b, a: term.a, loraRank: ranks, scale: term.scale) }
    var b = [Float](repeating: 0, count: outputs * ranks)
    var a = [Float](repeating: 0, count: ranks * inputs)
    sum.truncate(toB: &b, a: &a, loraRank: ranks)
    return (b, a)
  }
}
