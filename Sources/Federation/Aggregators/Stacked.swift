// FLoRA's aggregation (Wang et al. 2024, arXiv 2409.05976): the factors of all clients side by side,
// whose product is the weighted mean of B_k A_k (FactorStack.swift). The stack is encoded once on rank
// 0 and broadcast; one rank of each node adds its product to a new copy of the adapted matrices in
// memory that the node's ranks share, and all of them compute with it from then on. Clients start each
// round from new factors. The mean in all other coordinates.
internal import Communication
internal import Sparsity

extension AggregationKind {
  /// Stacked factors, merged into the base weights.
  package static let stacked = AggregationKind(
    name: "stacked",
    help: "all clients' factors stacked and merged into the base weights (FLoRA)", needs: .each,
    needsFactors: true, factors: .asStack
  ) { _ in Stacked() }
}

extension AggregationRule {
  /// FLoRA's stacked factors, merged into the base weights; the mean elsewhere.
  package static let stacked = AggregationKind.stacked.rule
}

private struct Stacked: Aggregator {
  private var name: String { AggregationKind.stacked.name }

  func problems(of method: Method) -> [PlanProblem] {
    var checks = ValueChecks("method")
    func refuse(_ isPresent: Bool, with others: String..., text: String) {
      if isPresent {
        checks.refuse("aggregation", "\(name) \(text)", with: others.map { "method.\($0)" })
      }
    }
    refuse(
      method.download != .all || method.tiers.contains { $0.downloadDensity != nil },
      with: "download.select", "tiers",
      text: "sends the whole stack to all clients: download select must be all, without a density"
        + " in tiers")
    refuse(
      method.persistence == .nested, with: "persistence",
      text: "starts each round with new factors, so a mask cannot persist; give persistence: anew")
    refuse(
      method.trained == .downloaded, with: "trainable",
      text: "sends new factors each round, so there is no downloaded part; give trainable: all")
    refuse(
      method.upload == .downloaded
        && (method.tiers.isEmpty || method.tiers.contains { $0.uploadDensity == nil }),
      with: "upload.select", "tiers",
      text: "sends new factors each round, so there is no downloaded part; give another upload"
        + " select")
    refuse(
      method.residual == .kept, with: "residual",
      text: "starts each round with new factors, which a residual does not fit; give"
        + " residual: dropped")
    refuse(
      method.downloadIndices == .difference, with: "download.indices",
      text: "has no indices in its downloads; give download indices: complete")
    if method.rankPruning != nil {
      checks.refuse(
        "rank_pruning.factor",
        "rank_pruning compares ranks with those that were received; aggregation \(name) starts from "
          + "new factors", with: ["method.aggregation"])
    }
    return checks.problems
  }

  func problems(of plan: FederationPlan) -> [PlanProblem] {
    guard plan.server.momentCount > 0 else { return [] }
    return [
      PlanProblem(
        "federation.server.optimizer",
        "aggregation \(name) adds the mean product to the base weights, without "
          + "moments; the server's optimizer must be sgd (learning_rate 1 is the mean itself)",
        with: ["method.aggregation"])
    ]
  }

  func check(_ objective: any LocalObjective, _ server: ServerState?) throws {
    guard let server, let factors = objective.factors else { return }
    guard [0, factors.baseCount].contains(server.mergedBase.count) else {
      throw FederationError(
        reason: "the server's state has \(server.mergedBase.count) merged base weights; "
          + "the adapted layers have \(factors.baseCount)")
    }
  }

  func problems(ofStart vector: [Float], _ factors: FactorLayout) -> [PlanProblem] {
    let isZero = factors.pairs.allSatisfy { pair in
      vector[pair.bOffset..<(pair.bOffset + pair.outputs * factors.loraRank)].allSatisfy { $0 == 0 }
    }
    if isZero { return [] }
    return [
      PlanProblem(
        "adapter.initial",
        "merging factors starts from the base model; the initial adapter has a B that is "
          + "not zero: merge it into a model first (export --merge)", with: ["method.aggregation"])
    ]
  }

  /// Takes up the merged weights of a saved state; nothing if it has none.
  ///
  /// - Communication: A broadcast of the weights, and those of `nodeShared`.
  func restore(_ server: inout ServerState?, in context: RoundContext) throws {
    guard let factors = context.objective.factors else { return }
    var merged = server?.mergedBase ?? []
    try context.communicator.broadcast(&merged)
    guard !merged.isEmpty else { return }
    try useBase(factors, &server, context) { $0.update(from: merged, count: merged.count) }
  }

  func writeStart(
    of client: Int, loraRank: Int, to start: UnsafeMutableBufferPointer<Float>,
    in context: RoundContext
  ) {
    context.objective.factors?.writeNewFactors(
      to: start, ranksBelow: loraRank, seed: context.plan.seed, round: context.round,
      client: client)
  }

  /// The stack of the clients' factors, times the server's learning rate, and the mean without
  /// what goes into the stack.
  func pseudoGradient(of uploads: AggregatedUploads) -> PseudoGradient {
    guard let factors = uploads.factors else {
      preconditionFailure("a stack of factors without factors")
    }
    var vector = uploads.mean
    for pair in factors.pairs {
      for i in 0..<factors.loraRank * pair.inputs { vector[pair.aOffset + i] = 0 }
      for i in 0..<factors.loraRank * pair.outputs { vector[pair.bOffset + i] = 0 }
    }
    let total = Double(uploads.clients.reduce(0) { $0 + $1.weight })
    let stack = FactorStack(
      uploads.clients.map {
        ($0.trained(), $0.loraRank, Float(uploads.learningRate * Double($0.weight) / total))
      }, layout: factors)
    return PseudoGradient(vector: vector, stack: stack)
  }

  /// Brings the stack to all ranks and into their base weights.
  ///
  /// - Communication: A broadcast of the message, and those of `nodeShared`.
  func finish(
    _ stack: FactorStack?, rankCount: Int, server: inout ServerState?, in context: RoundContext
  ) throws {
    guard let factors = context.objective.factors, let old = context.objective.baseMatrices else {
      return
    }
    let ends = FactorStack.tensorEnds(ranks: rankCount, factors)
    let count = FactorStack.count(ranks: rankCount, factors)
    var message: [UInt8] = []
    if let stack {
      var rounding = context.rounding(.stack)
      let encoded = stack.values.withUnsafeBufferPointer {
        VectorCodec.encode(
          SparseVector(dense: $0), format: context.plan.method.values.download, tensorEnds: ends,
          rounding: &rounding)
      }
      message = encoded.bytes
      server?.lastStack = StackSize(payload: encoded.size, count: count)
    }
    try context.communicator.broadcastAlongHosts(&message, context.hosts)
    try useBase(factors, &server, context) { base in
      let values = try VectorCodec.decode(message, expectedLength: count, tensorEnds: ends).dense()
      for ((pair, offset), matrix) in zip(zip(factors.pairs, factors.baseOffsets), old) {
        (base + offset).update(from: matrix, count: pair.inputs * pair.outputs)
      }
      FactorStack(values: values, rankCount: rankCount, layout: factors).merge(into: base)
    }
    if let merged = server?.mergedBase,
      merged.withUnsafeBufferPointer({ firstNonFinite(in: $0) }) != nil
    {
      throw FederationError(
        round: context.round,
        reason: "a base weight is not finite after the merge; try lower learning rates")
    }
  }

  /// Fills new base matrices once a node and computes with them.
  private func useBase(
    _ factors: FactorLayout, _ server: inout ServerState?, _ context: RoundContext,
    fill: (UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let memory = try context.communicator.nodeShared(
      byteCount: factors.baseCount * MemoryLayout<Float>.stride
    ) { try fill($0.assumingMemoryBound(to: Float.self).baseAddress!) }
    let matrices = memory.bytes.assumingMemoryBound(to: Float.self)
    context.objective.replaceBase(by: matrices.baseAddress!, owner: memory)
    server?.mergedBase = Array(matrices)
  }
}
