// Evaluation of the server's vector as clients would see it (masked by the round's download mask),
// as a whole, or both: on splits here, on clients in Evaluation+Clients.swift.
//
// Each rank evaluates a contiguous share of the blocks of examples; the sums are exact
// (EvaluationSums.swift). A block is computed as a whole on one rank, since an objective may batch
// what it is given, and the rounding of a batch may depend on its size.
internal import Communication
internal import Corpora
internal import Glibc
internal import Sparsity

/// What was found after a round.
struct RoundEvaluation {
  var splits: [EvaluationRecord] = []
  var clients: [ClientEvaluationRecord] = []
}

extension FederatedRun {
  /// Evaluates the state after `round` as the plan says; the same records on every rank, but for the
  /// seconds.
  ///
  /// - Parameter mask: The round's download mask; nil where tiers have different ones, and then the
  ///   vector is evaluated as a whole.
  /// - Parameter tierMasks: The download mask of each tier of which the vector is evaluated too, as
  ///   many on every rank; those of rank 0 count.
  func evaluate(
    after round: Int, within mask: SupportMask?, tierMasks: [SupportMask?],
    _ onProgress: (RoundProgress) -> Void
  ) throws -> RoundEvaluation {
    noteEvaluation(after: round, within: mask)
    var found = RoundEvaluation()
    let groups = evaluatedClients(after: round)
    for vector in mask == nil ? [.whole] : plan.evaluation.vectors {
      switch vector {
      case .masked: try distributeVector(within: mask)
      case .whole: try distributeVector(within: nil)
      }
      for split in plan.evaluation.splits {
        found.splits.append(try evaluate(vector, on: split, after: round, onProgress))
      }
      for (group, clients) in groups {
        let record = try evaluate(vector, on: clients, of: group, after: round, onProgress)
        if let record { found.clients.append(record) }
      }
    }
    for (tier, mask) in tierMasks.enumerated() {
      // A tier that nobody of the round is in sent no mask to the other ranks.
      try distributeVector(within: nil, zeroOutside: mask)
      for split in plan.evaluation.splits {
        var record = try evaluate(.masked, on: split, after: round, onProgress)
        record.tier = tier
        found.splits.append(record)
      }
    }
    return found
  }

  /// The download masks of all tiers where the vector is evaluated by tier after this round, else
  /// nothing: as many on every rank, nil but on rank 0.
  func tierMasksToEvaluate() -> [SupportMask?] {
    guard plan.evaluation.tiers, plan.evaluation.isDue(after: round, of: plan.rounds) else {
      return []
    }
    return plan.method.tiers.indices.map { tier in
      state.map { downloadMask(of: $0, tier: tier, structure: structure(of: kind(ofTier: tier))) }
    }
  }

  private func evaluate(
    _ vector: EvaluatedVector, on split: Split, after round: Int,
    _ onProgress: (RoundProgress) -> Void
  ) throws -> EvaluationRecord {
    let began = ContinuousClock.now
    let examples = plan.evaluation.examples(
      of: split, count: objective.exampleCount(split), seed: plan.seed)
    let sums = try sums(
      over: [examples], of: split, labels: objective.labelCount, after: round,
      stage: .evaluation(split), onProgress)[0]
    return EvaluationRecord(
      round: round, split: split, examples: sums.examples, count: sums.count,
      correct: sums.correct, loss: sums.meanLoss, vector: vector,
      f1: sums.labelCounts.map(F1Scores.init), confusion: sums.confusion,
      perplexity: objective.labelCount == 0 ? sums.meanLoss.map { exp($0) } : nil,
      seconds: (ContinuousClock.now - began).seconds)
  }

  /// The sums over each unit, a list of ascending indices into `split`, at the trainer's start.
  ///
  /// - Parameter labels: The labels to count; 0 for none.
  /// - Returns: One for each unit, on every rank.
  func sums(
    over units: [[Int]], of split: Split, labels: Int, after round: Int,
    stage: RoundProgress.Stage, _ onProgress: (RoundProgress) -> Void
  ) throws -> [EvaluationSums] {
    let began = ContinuousClock.now
    let share = share(of: units)
    var sums = units.map { _ in EvaluationSums(labels: labels) }
    var added = 0
    var progress = RoundProgress(
      round: round, rounds: plan.rounds, stage: stage, clientsFinished: 0,
      clientCount: 0, workFinished: 0, workCount: share.reduce(0) { $0 + $1.examples.count },
      stageSeconds: 0)
    do {
      for block in share {
        onActivity(.evaluation(round: round, split))
        try objective.evaluate(
          split, examples: block.examples, at: UnsafeBufferPointer(trainer.start)
        ) { example, outcome in
          guard sums[block.unit].add(outcome) else {
            throw FederationError(
              round: round,
              reason: "the loss of \(split.rawValue) example \(example) is \(outcome.loss) "
                + "after the server's step; try lower learning rates")
          }
          added += 1
        }
        guard communicator.rank == 0 else { continue }
        progress.workFinished += block.examples.count
        progress.stageSeconds = (ContinuousClock.now - began).seconds
        onProgress(progress)
      }
    } catch let error as FederationError {
      throw error
    } catch {
      throw FederationError(
        round: round, reason: "evaluation on \(split.rawValue): \(error)", underlying: error)
    }
    precondition(
      added == progress.workCount,
      "the objective reported \(added) of \(progress.workCount) \(split.rawValue) examples")
    try EvaluationSums.reduce(&sums, over: communicator)
    return sums
  }

  /// Writes the server's vector, zero outside of `mask`, into the trainer's start on every rank.
  ///
  /// - Communication: A broadcast of the mask's values; every rank has the mask from the download.
  ///
  /// - Parameter zeroOutside: A mask that only rank 0 needs to have, for which the whole vector is sent.
  private func distributeVector(within mask: SupportMask?, zeroOutside: SupportMask? = nil) throws {
    guard let mask, !mask.isAll else {
      if let state { _ = trainer.start.update(fromContentsOf: state.vector) }
      zeroOutside?.apply(to: trainer.start)
      try communicator.broadcast(UnsafeMutableRawBufferPointer(trainer.start), root: 0)
      return
    }
    var values = [Float](repeating: 0, count: mask.count)
    state?.vector.withUnsafeBufferPointer {
      values = SparseVector(gathering: $0, at: mask).values
    }
    try values.withUnsafeMutableBytes { try communicator.broadcast($0, root: 0) }
    SparseVector(mask: mask, values: values).scatter(into: trainer.start)
  }

  /// Examples of one block: enough to fill a micro-batch, few enough to spread over many ranks.
  static var evaluationBlock: Int { 16 }

  /// This rank's blocks of the units' examples; no block spans two units.
  private func share(of units: [[Int]]) -> [(unit: Int, examples: [Int])] {
    let blocks = units.enumerated().flatMap { unit, examples in
      stride(from: 0, to: examples.count, by: Self.evaluationBlock).map { (unit, $0) }
    }
    let (rank, size) = (communicator.rank, communicator.size)
    return blocks[(rank * blocks.count / size)..<((rank + 1) * blocks.count / size)].map {
      unit, start in
      let examples = units[unit]
      return (unit, Array(examples[start..<min(start + Self.evaluationBlock, examples.count)]))
    }
  }
}
