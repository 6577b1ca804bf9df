// What a round does to base weights where the method merges factors into them (FLoRA): the stack is
// encoded once on rank 0 and broadcast; one rank of each node adds its product to a new copy of the adapted
// matrices in memory that the node's ranks share, and all of them compute with it from then on.
internal import Communication
internal import Sparsity

extension FederatedRun {
  /// Brings the stack of a round to all ranks and into their base weights.
  ///
  /// - Parameters:
  ///   - stack: Needed on rank 0.
  ///   - rankCount: Its ranks, known everywhere.
  /// - Communication: A broadcast of the message, and those of `nodeShared`.
  func merge(_ stack: FactorStack?, rankCount: Int) throws {
    guard let factors = objective.factors, let old = objective.baseMatrices else { return }
    let ends = FactorStack.tensorEnds(ranks: rankCount, factors)
    let count = FactorStack.count(ranks: rankCount, factors)
    var message: [UInt8] = []
    if let stack {
      // Downloads take client 0's stream with their tier as the step, uploads steps from 2^20.
      var rounding = roundingStream(client: 0, step: (1 << 20) - 1)
      let encoded = stack.values.withUnsafeBufferPointer {
        VectorCodec.encode(
          SparseVector(dense: $0), format: plan.method.values.download, tensorEnds: ends,
          rounding: &rounding)
      }
      message = encoded.bytes
      state?.lastStack = StackSize(payload: encoded.size, count: count)
    }
    try communicator.broadcastAlongHosts(&message, layout)
    try useBase(factors) { base in
      let values = try VectorCodec.decode(message, expectedLength: count, tensorEnds: ends).dense()
      for ((pair, offset), matrix) in zip(zip(factors.pairs, factors.baseOffsets), old) {
        (base + offset).update(from: matrix, count: pair.inputs * pair.outputs)
      }
      FactorStack(values: values, rankCount: rankCount, layout: factors).merge(into: base)
    }
    if let state, state.mergedBase.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) != nil {
      throw FederationError(
        round: round,
        reason: "a base weight is not finite after the merge; try lower learning rates")
    }
  }

  /// Takes up the merged weights of a saved state; nothing where it has none.
  ///
  /// - Communication: A broadcast of the weights, and those of `nodeShared`.
  func restoreBase() throws {
    guard plan.method.aggregation.mergesFactors, let factors = objective.factors else { return }
    var merged = state?.mergedBase ?? []
    try communicator.broadcast(&merged)
    guard !merged.isEmpty else { return }
    try useBase(factors) { $0.update(from: merged, count: merged.count) }
  }

  /// Fills new base matrices once a node and computes with them.
  private func useBase(
    _ factors: FactorLayout, _ fill: (UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let memory = try communicator.nodeShared(
      byteCount: factors.baseCount * MemoryLayout<Float>.stride
    ) { try fill($0.assumingMemoryBound(to: Float.self).baseAddress!) }
    let matrices = memory.bytes.assumingMemoryBound(to: Float.self)
    objective.replaceBase(by: matrices.baseAddress!, owner: memory)
    state?.mergedBase = Array(matrices)
  }
}
