import Federation
import Testing

/// An objective whose gradients are given, one a step.
private final class GivenGradients: LocalObjective {
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
  @Test("local steps are those of torch.optim.SGD with momentum")
  func torchSGD() throws {
    let golden = try OptimizerGolden.load()
    for expected in golden.cases("sgd") {
      for steps in 1...golden.gradients.count {
        let trainer = LocalTrainer(objective: GivenGradients(golden.gradients))
        _ = trainer.start.update(fromContentsOf: golden.start)
        let local = LocalTraining(
          epochs: steps, batchSize: 1, learningRate: Float(expected.values[0]),
          momentum: Float(expected.values[1]))
        let outcome = try trainer.train(local, examples: [0], round: 0, client: 0, seed: 0)
        let trained = zip(golden.start, outcome.clientDelta).map { $0 - $1 }
        let error = largestError(trained, expected.vectors[steps - 1], start: golden.start)
        // One rounding more a step, and two for forming the delta and undoing it.
        #expect(error <= 4 * Double(steps) + 2, "off by \(error); \(OptimizerGolden.command)")
        #expect(outcome.steps == steps)
      }
    }
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
