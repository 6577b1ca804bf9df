import Corpora
import Federation
import RandomStreams
import TestSupport
import Testing

/// An objective whose gradients are given, one a step.
private final class GivenGradients: CoordinateObjective {
  let gradients: [[Float]]
  var step = 0
  init(_ gradients: [[Float]]) { self.gradients = gradients }
  var parameterCount: Int { gradients[0].count }
  func exampleCount(_ split: Split) -> Int { 1 }
  func tokenCount(ofTrainingExample example: Int) -> Int { 1 }
  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) -> LossSums {
    _ = gradient.update(fromContentsOf: gradients[step])
    step += 1
    return LossSums(loss: 1, correct: 0, count: 1, tokens: 1)
  }
  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) {}
}

@Suite struct LocalTrainingTests {
  /// Trains on the golden's gradients with `training` and compares after each number of steps.
  private func follow(
    _ expected: OptimizerGolden.Case, _ golden: OptimizerGolden, _ training: LocalTraining,
    roundings: Double = 4
  ) throws {
    for steps in 1...golden.gradients.count {
      let trainer = LocalTrainer(objective: GivenGradients(golden.gradients))
      _ = trainer.start.update(fromContentsOf: golden.start)
      var local = training
      (local.epochs, local.batchSize) = (steps, 1)
      let outcome = try trainer.train(
        local, examples: [0], terms: terms(of: local), round: 0, client: 0, seed: 0)
      let trained = zip(golden.start, outcome.clientDelta).map { $0 - $1 }
      let error = largestError(trained, expected.vectors[steps - 1], start: golden.start)
      // One rounding more a step, and two for forming the delta and undoing it.
      #expect(
        error <= roundings * Double(steps) + 2,
        "\(training), \(steps) steps: off by \(error); \(OptimizerGolden.command)")
      #expect(outcome.steps == steps)
    }
  }

  private func terms(of local: LocalTraining) -> [any LocalTerm] {
    ProximalTerm(mu: local.proximal).map { [$0] } ?? []
  }

  @Test("local steps are those of torch.optim.SGD with momentum, with and without FedProx's term")
  func torchSGD() throws {
    let golden = try OptimizerGolden.load()
    for expected in golden.cases("sgd") + golden.cases("sgd_proximal") {
      let v = expected.values.map { Float($0) }
      try follow(
        expected, golden,
        LocalTraining(
          learningRate: v[0], optimizer: .sgd(momentum: v[1]), proximal: v.count > 2 ? v[2] : 0))
    }
  }

  @Test("local steps are those of torch.optim.AdamW, with and without FedProx's term")
  func torchAdamW() throws {
    let golden = try OptimizerGolden.load()
    let cases = golden.cases("adamw") + golden.cases("adamw_proximal")
    #expect(cases.count == 4)
    for expected in cases {
      let v = expected.values
      try follow(
        expected, golden,
        LocalTraining(
          learningRate: Float(v[0]),
          optimizer: .adamW(beta1: v[1], beta2: v[2], epsilon: v[3], weightDecay: v[4]),
          proximal: v.count > 5 ? Float(v[5]) : 0))
    }
  }

  @Test("FedProx's term pulls towards the download, by hand; mu = 0 has the bits of no term")
  func proximal() throws {
    let objective = QuadraticObjective(scales: [1], train: [[4]])
    let trainer = LocalTrainer(objective: objective)
    trainer.start[0] = 2
    func delta(_ mu: Float, _ epochs: Int) throws -> Float {
      let local = LocalTraining(
        epochs: epochs, learningRate: 0.5, optimizer: .sgd(), proximal: mu)
      return try trainer.train(
        local, examples: [0], terms: terms(of: local), round: 0, client: 0, seed: 0
      ).clientDelta[0]
    }
    // g = -2, x = 3; then g = -1 + mu (3 - 2).
    #expect(try delta(0, 1) == -1)
    #expect(try delta(1, 1) == -1)
    #expect(try delta(1, 2) == -1)
    #expect(try delta(0.5, 2) == -1.25)
    #expect(try delta(0, 2) == -1.5)
    // The reported loss is the objective's, without the term.
    let local = LocalTraining(epochs: 2, learningRate: 0.5, optimizer: .sgd(), proximal: 1)
    let outcome = try trainer.train(
      local, examples: [0], terms: terms(of: local), round: 0, client: 0, seed: 0)
    #expect(outcome.sums.loss == 2 + 0.5)
  }

  @Test("AdamW's moments are fresh for each client, also after one with momentum")
  func freshMoments() throws {
    let golden = try OptimizerGolden.load()
    func delta(after warmUp: LocalTraining?) throws -> [Float] {
      let objective = GivenGradients(golden.gradients)
      let trainer = LocalTrainer(objective: objective)
      _ = trainer.start.update(fromContentsOf: golden.start)
      if let warmUp {
        _ = try trainer.train(warmUp, examples: [0], round: 0, client: 0, seed: 0)
      }
      objective.step = 0
      return Array(
        try trainer.train(
          LocalTraining(epochs: 3, optimizer: .adamW()), examples: [0], round: 0, client: 1,
          seed: 0
        ).clientDelta)
    }
    let expected = try delta(after: nil)
    #expect(try delta(after: LocalTraining(epochs: 2, momentum: 0.9)) == expected)
    #expect(try delta(after: LocalTraining(epochs: 2, optimizer: .adamW())) == expected)
  }

  @Test("an optimizer needs so many vectors: none, the momentum, or Adam's two moments")
  func momentCounts() {
    #expect(LocalOptimizer.sgd().momentCount == 0)
    #expect(LocalOptimizer.sgd(momentum: 0.5).momentCount == 1)
    #expect(LocalOptimizer.adamW().momentCount == 2)
  }

  @Test("the schedule's factor for the round scales the clients' learning rate")
  func schedule() throws {
    let objective = QuadraticObjective(scales: [1], train: [[8]])
    let trainer = LocalTrainer(objective: objective)
    let local = LocalTraining(
      learningRate: 0.5,
      schedule: LearningRateSchedule(decay: .exponential(factor: 0.5, period: 2), warmupRounds: 1),
      optimizer: .sgd())
    let deltas = try (0..<6).map { round in
      try trainer.train(local, examples: [0], round: round, client: 0, seed: 0).clientDelta[0]
    }
    #expect(deltas == [-2, -4, -4, -2, -2, -1])
  }

  @Test("momentum by hand: two epochs on one example, and no momentum left for the next client")
  func momentumByHand() throws {
    let objective = QuadraticObjective(scales: [1], train: [[1]])
    let trainer = LocalTrainer(objective: objective)
    let local = LocalTraining(epochs: 3, batchSize: 4, learningRate: 0.5, momentum: 0.5)
    for client in 0..<2 {
      let outcome = try trainer.train(local, examples: [0], round: 0, client: client, seed: 0)
      // g = -1, v = -1, p = 0.5; g = -0.5, v = -1, p = 1; g = 0, v = -0.5, p = 1.25.
      #expect(Array(outcome.clientDelta) == [-1.25])
      #expect(outcome.sums.loss == 0.5 + 0.125 + 0)
      #expect(outcome.sums.count == 3)
    }
  }

  @Test("batches take each example once an epoch and keep the short last one")
  func batches() {
    let examples = Array(stride(from: 3, to: 100, by: 3))
    let local = LocalTraining(epochs: 2, batchSize: 5)
    var orders: [[Int]] = []
    for (epoch, round, client) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)] {
      let batches = local.batches(
        of: examples, epoch: epoch, round: round, client: client, seed: 9)
      #expect(batches.dropLast().allSatisfy { $0.count == 5 })
      #expect(batches.last?.count == examples.count % 5)
      #expect(batches.flatMap { $0 }.sorted() == examples)
      orders.append(batches.flatMap { $0 })
      let again = local.batches(of: examples, epoch: epoch, round: round, client: client, seed: 9)
      #expect(again == batches)
    }
    #expect(Set(orders).count == orders.count)
    #expect(local.stepCount(examples: examples.count) == 2 * 7)
  }

  @Test("without shuffling every epoch is in ascending order")
  func ascending() {
    let local = LocalTraining(epochs: 2, batchSize: 4, shuffle: false)
    for epoch in 0..<2 {
      let batches = local.batches(of: [2, 3, 5, 7, 11], epoch: epoch, round: 3, client: 1, seed: 9)
      #expect(batches == [[2, 3, 5, 7], [11]])
    }
  }

  @Test("the objective is told seed, round, client and a step that counts on over epochs")
  func keys() throws {
    let objective = QuadraticObjective(scales: [1], train: [[1], [2], [3]])
    var keys: [RandomKey] = []
    objective.beforeBatch = { _, key in
      keys.append(key!)
      return 1
    }
    let trainer = LocalTrainer(objective: objective)
    _ = try trainer.train(
      LocalTraining(epochs: 2, batchSize: 2), examples: [0, 1, 2], round: 4, client: 7, seed: 11)
    #expect(keys == (0..<4).map { RandomKey(seed: 11, round: 4, client: 7, step: $0) })
  }
}
