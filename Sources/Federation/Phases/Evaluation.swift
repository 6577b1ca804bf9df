// Evaluation of the server's vector as clients would see it (masked by the round's download mask),
// as a whole, or both: on splits here, on clients in Evaluation+Clients.swift.
//
// Each rank evaluates a contiguous share of the blocks of examples; the sums are exact
// (EvaluationSums.swift). A block is computed as a whole on one rank, since an objective may batch
// what it is given, and the rounding of a batch may depend on its size.
internal import Communication
internal import Corpora
internal import Elementary
internal import Sparsity

/// The results of the evaluations after a round.
struct RoundEvaluation {
  /// The records on splits.
  var splits: [EvaluationRecord] = []
  /// The records on single clients.
  var clients: [ClientEvaluationRecord] = []
  /// The part of the vector that was evaluated, on rank 0; nil if no evaluation was due.
  var support: EvaluatedSupport?
}

/// The evaluation after a round.
struct Evaluation {
  let context: RoundContext
  /// Its start takes the evaluated vector.
  let trainer: LocalTrainer

  private var plan: EvaluationPlan { context.plan.evaluation }

  /// Whether this round is followed by an evaluation.
  var isDue: Bool { plan.isDue(after: context.round, of: context.plan.rounds) }

  /// Evaluates the server's vector as the plan says, if an evaluation is due; the same records on every
  /// rank, but for the seconds.
  ///
  /// - Parameters:
  ///   - server: The state after the step; needed on rank 0.
  ///   - mask: The round's download mask; nil if there are several, and then the vector is evaluated as
  ///     a whole.
  ///   - tierMasks: The download mask of each tier of which the vector is evaluated too, as many on
  ///     every rank; those of rank 0 count.
  ///   - seen: The clients seen so far; those of this round are added.
  func run(
    of server: ServerState?, within mask: SupportMask?, tierMasks: [SupportMask?],
    seen: inout SeenClients, onProgress: (RoundProgress) -> Void
  ) throws -> RoundEvaluation {
    var found = RoundEvaluation()
    guard isDue else { return found }
    if context.isServer { found.support = support(within: mask) }
    let groups = clients(&seen)
    for vector in mask == nil ? [.whole] : plan.vectors {
      switch vector {
      case .masked: try distribute(server, within: mask)
      case .whole: try distribute(server, within: nil)
      }
      for split in plan.splits {
        found.splits.append(try evaluate(vector, on: split, onProgress))
      }
      for (group, clients) in groups {
        let record = try evaluate(vector, on: clients, of: group, onProgress)
        if let record { found.clients.append(record) }
      }
    }
    for (tier, mask) in tierMasks.enumerated() {
      // A tier without a client in this round sent no mask to the other ranks.
      try distribute(server, within: nil, zeroOutside: mask)
      for split in plan.splits {
        var record = try evaluate(.masked, on: split, onProgress)
        record.tier = tier
        found.splits.append(record)
      }
    }
    return found
  }

  /// The download masks of all tiers before the server's step, if the vector is evaluated by tier after
  /// this round, otherwise none: as many on every rank, nil but on rank 0.
  func tierMasks(
    of server: ServerState?, kinds: ClientKinds, supports: Supports
  ) -> [SupportMask?] {
    guard plan.tiers, isDue else { return [] }
    return context.plan.method.tiers.indices.map { tier in
      server.map { supports.download(to: kinds.kind(ofTier: tier), of: $0) }
    }
  }

  /// The support of this evaluation: the mask, if the masked vector is evaluated.
  private func support(within mask: SupportMask?) -> EvaluatedSupport {
    // Factors that travel as a stack are zero in the vector, so that masking changes nothing.
    let isMasked =
      plan.vectors.contains(.masked)
      && context.plan.method.aggregation.kind.factors == .inDownload
    return EvaluatedSupport(rounds: context.round + 1, mask: isMasked ? mask : nil)
  }

  private func evaluate(
    _ vector: EvaluatedVector, on split: Split, _ onProgress: (RoundProgress) -> Void
  ) throws -> EvaluationRecord {
    let began = ContinuousClock.now
    let (objective, round) = (context.objective, context.round)
    let examples = plan.examples(
      of: split, count: objective.exampleCount(split), seed: context.plan.seed)
    let sums = try sums(
      over: [examples], of: split, labels: objective.labelCount,
      stage: .evaluation(split), onProgress)[0]
    return EvaluationRecord(
      round: round, split: split, examples: sums.examples, count: sums.count,
      correct: sums.correct, loss: sums.meanLoss, vector: vector,
      f1: sums.labelCounts.map(F1Scores.init), confusion: sums.confusion,
      perplexity: objective.labelCount == 0 && !sums.hasScores
        ? sums.meanLoss.map { Elementary.exp($0) } : nil,
      exactMatch: sums.exactMatch, pearson: sums.pearson, hasScores: sums.hasScores,
      choiceAccuracy: sums.choices?.plain, choiceAccuracyNormalized: sums.choices?.normalized,
      seconds: (ContinuousClock.now - began).seconds)
  }

  /// The sums over each unit, a list of ascending indices into `split`, at the trainer's start.
  ///
  /// - Parameter labels: The labels to count; 0 for none.
  /// - Returns: One for each unit, on every rank.
  func sums(
    over units: [[Int]], of split: Split, labels: Int, stage: RoundProgress.Stage,
    _ onProgress: (RoundProgress) -> Void
  ) throws -> [EvaluationSums] {
    let round = context.round
    let began = ContinuousClock.now
    let share = share(of: units)
    var sums = units.map { _ in EvaluationSums(labels: labels) }
    var added = 0
    var progress = RoundProgress(
      round: round, rounds: context.plan.rounds, stage: stage, clientsFinished: 0,
      clientCount: 0, workFinished: 0, workCount: share.reduce(0) { $0 + $1.examples.count },
      stageSeconds: 0)
    do {
      for block in share {
        context.onActivity(.evaluation(round: round, split))
        try context.objective.evaluate(
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
        guard context.isServer else { continue }
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
    try EvaluationSums.reduce(&sums, over: context.communicator)
    return sums
  }

  /// Writes the server's vector, zero outside of `mask`, into the trainer's start on every rank.
  ///
  /// - Parameter zeroOutside: A mask that only rank 0 needs to have, for which the whole vector is sent.
  /// - Communication: A broadcast of the mask's values; every rank has the mask from the download.
  private func distribute(
    _ server: ServerState?, within mask: SupportMask?, zeroOutside: SupportMask? = nil
  ) throws {
    guard let mask, !mask.isAll else {
      if let server { _ = trainer.start.update(fromContentsOf: server.vector) }
      zeroOutside?.apply(to: trainer.start)
      try context.communicator.broadcast(UnsafeMutableRawBufferPointer(trainer.start), root: 0)
      return
    }
    var values = [Float](repeating: 0, count: mask.count)
    server?.vector.withUnsafeBufferPointer {
      values = SparseVector(gathering: $0, at: mask).values
    }
    try values.withUnsafeMutableBytes { try context.communicator.broadcast($0, root: 0) }
    SparseVector(mask: mask, values: values).scatter(into: trainer.start)
  }

  /// Examples of one block: enough to fill a micro-batch, few enough to spread over many ranks.
  static var evaluationBlock: Int { 16 }

  /// This rank's blocks of the units' examples; no block spans two units.
  private func share(of units: [[Int]]) -> [(unit: Int, examples: [Int])] {
    let blocks = units.enumerated().flatMap { unit, examples in
      stride(from: 0, to: examples.count, by: Self.evaluationBlock).map { (unit, $0) }
    }
    let (rank, size) = (context.communicator.rank, context.communicator.size)
    return blocks[(rank * blocks.count / size)..<((rank + 1) * blocks.count / size)].map {
      unit, start in
      let examples = units[unit]
      return (unit, Array(examples[start..<min(start + Self.evaluationBlock, examples.count)]))
    }
  }
}
