// A client's local training, with g the gradient of a batch's mean loss:
//
//   sgd    v <- m v + g,  p <- p - eta v         as torch.optim.SGD(momentum=m)
//   adamW  torch.optim.AdamW's step (Moments.swift)
//
// both from zero moments at the start of every client's every round. FedProx (Li et al. 2020,
// "Federated optimization in heterogeneous networks", equation 2) adds mu/2 ||p - start||^2 to the
// loss, so mu (p - start) to g. All coordinates are trained, whatever was downloaded; the client
// delta is (downloaded) - (trained), a descent direction like a gradient.
internal import RandomStreams

/// How a client steps.
public enum LocalOptimizer: Sendable, Equatable {
  /// Gradient descent with a momentum of at least 0 and below 1.
  case sgd(momentum: Float = 0)
  /// PyTorch's AdamW.
  case adamW(
    beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0.01)

  /// How many vectors of the trainable vector's length it needs beside the gradient.
  public var momentCount: Int {
    switch self {
    case .sgd(let momentum): momentum == 0 ? 0 : 1
    case .adamW: 2
    }
  }

  /// What is wrong with its values.
  public var problems: [PlanProblem] {
    var checks = ValueChecks("local")
    switch self {
    case .sgd(let momentum): checks.require("momentum", Double(momentum), in: .floatShare)
    case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
      checks.requireAdamW(beta1, beta2, epsilon, weightDecay)
    }
    return checks.problems
  }
}

/// How a client trains in a round.
public struct LocalTraining: Sendable, Equatable {
  /// Passes over the client's examples.
  public var epochs: Int
  /// Examples in a step; the last batch of an epoch may be shorter.
  public var batchSize: Int
  /// The step length eta, before the schedule's factor.
  public var learningRate: Float
  /// How eta changes with the round.
  public var schedule: LearningRateSchedule
  /// How a client steps.
  public var optimizer: LocalOptimizer
  /// FedProx's mu; 0 is no term at all.
  public var proximal: Float
  /// Whether each epoch has its own order; the population's otherwise.
  public var shuffle: Bool

  /// Training with these values.
  public init(
    epochs: Int = 1, batchSize: Int = 16, learningRate: Float = 0.005,
    schedule: LearningRateSchedule = .constant, optimizer: LocalOptimizer, proximal: Float = 0,
    shuffle: Bool = true
  ) {
    self.epochs = epochs
    self.batchSize = batchSize
    self.learningRate = learningRate
    self.schedule = schedule
    self.optimizer = optimizer
    self.proximal = proximal
    self.shuffle = shuffle
  }

  /// Training by SGD with momentum and a constant rate.
  public init(
    epochs: Int = 1, batchSize: Int = 16, learningRate: Float = 0.005, momentum: Float = 0.9,
    shuffle: Bool = true
  ) {
    self.init(
      epochs: epochs, batchSize: batchSize, learningRate: learningRate,
      optimizer: .sgd(momentum: momentum), shuffle: shuffle)
  }

  /// What is wrong with its values.
  public var problems: [PlanProblem] {
    var checks = ValueChecks("local")
    checks.require("epochs", epochs, atLeast: 1)
    checks.require("batch_size", batchSize, atLeast: 1)
    checks.require("learning_rate", Double(learningRate), in: .positiveFloat)
    checks.require("proximal", Double(proximal), in: .float)
    return checks.problems + optimizer.problems
  }

  /// The local steps of a client with `examples` examples.
  public func stepCount(examples: Int) -> Int {
    epochs * ((examples + batchSize - 1) / batchSize)
  }

  /// The batches of one local epoch: `examples` in the given order, or shuffled from ascending order by
  /// a stream that is a function of (seed, round, client, epoch) alone.
  public func batches(
    of examples: [Int], epoch: Int, round: Int, client: Int, seed: UInt64
  ) -> [[Int]] {
    var order = examples
    if shuffle {
      // The given order changes no shuffled one.
      order.sort()
      var stream = RandomStream(
        seed: seed, purpose: .batches, round: round, client: client, step: epoch)
      stream.shuffle(&order)
    }
    return stride(from: 0, to: order.count, by: batchSize).map {
      Array(order[$0..<min($0 + batchSize, order.count)])
    }
  }
}
