// Evaluation of the server's vector as clients would see it: masked by the round's download mask.
// Each rank evaluates a contiguous share of the blocks of examples; the sums are exact
// (EvaluationSums.swift). A block is computed as a whole on one rank, since an objective may batch
// what it is given, and the rounding of a batch may depend on its size.
internal import Communication
internal import Sparsity

extension FederatedRun {
  /// Evaluates the state after `round` on the plan's splits; the same records on every rank, but for
  /// the seconds.
  func evaluate(
    after round: Int, within mask: SupportMask?, _ onProgress: (RoundProgress) -> Void
  ) throws -> [EvaluationRecord] {
    try distributeVector(within: plan.evaluation.masked ? mask : nil)
    return try plan.evaluation.splits.map { split in
      let began = ContinuousClock.now
      let examples = plan.evaluation.examples(
        of: split, count: objective.exampleCount(split), seed: plan.seed)
      let share = share(of: examples)
      var sums = EvaluationSums()
      var progress = RoundProgress(
        round: round, rounds: plan.rounds, stage: .evaluation(split), clientsFinished: 0,
        clientCount: 0, workFinished: 0, workCount: share.joined().count, stageSeconds: 0)
      do {
        for block in share {
          try objective.evaluate(split, examples: block, at: UnsafeBufferPointer(trainer.start)) {
            example, outcome in
            guard sums.add(outcome) else {
              throw FederationError(
                round: round,
                reason: "the loss of \(split.rawValue) example \(example) is \(outcome.loss) "
                  + "after the server's step; try lower learning rates")
            }
          }
          guard communicator.rank == 0 else { continue }
          progress.workFinished += block.count
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
        sums.examples == share.joined().count,
        "the objective reported \(sums.examples) of \(share.joined().count) \(split.rawValue) examples"
      )
      try sums.reduce(over: communicator)
      return EvaluationRecord(
        round: round, split: split, examples: sums.examples, count: sums.count,
        correct: sums.correct, loss: sums.count == 0 ? 0 : sums.loss / Double(sums.count),
        masked: plan.evaluation.masked, seconds: (ContinuousClock.now - began).seconds)
    }
  }

  /// Writes the server's vector, zero outside of `mask`, into the trainer's start on every rank.
  ///
  /// - Communication: A broadcast of the mask's values; every rank has the mask from the download.
  private func distributeVector(within mask: SupportMask?) throws {
    guard let mask, !mask.isAll else {
      if let state { _ = trainer.start.update(fromContentsOf: state.vector) }
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

  /// This rank's blocks of `examples`.
  private func share(of examples: [Int]) -> [[Int]] {
    let starts = Array(stride(from: 0, to: examples.count, by: Self.evaluationBlock))
    let (rank, size) = (communicator.rank, communicator.size)
    return starts[(rank * starts.count / size)..<((rank + 1) * starts.count / size)].map {
      Array(examples[$0..<min($0 + Self.evaluationBlock, examples.count)])
    }
  }
}
