// A client's local training: SGD with momentum as torch.optim.SGD(momentum=m) does it,
//
//   v <- m v + g,  p <- p - eta v,  v = 0 at the start of every client's every round,
//
// with g the gradient of a batch's mean loss. All coordinates are trained, whatever was downloaded;
// the client delta is (downloaded) - (trained), a descent direction like a gradient.
internal import RandomStreams

/// How a client trains in a round.
public struct LocalTraining: Sendable, Equatable {
  /// Passes over the client's examples.
  public var epochs: Int
  /// Examples in a step; the last batch of an epoch may be shorter.
  public var batchSize: Int
  /// The step length eta.
  public var learningRate: Float
  /// The momentum m, at least 0 and below 1.
  public var momentum: Float
  /// Whether each epoch has its own order; ascending otherwise.
  public var shuffle: Bool

  /// Training with these values.
  public init(
    epochs: Int = 1, batchSize: Int = 16, learningRate: Float = 0.005, momentum: Float = 0.9,
    shuffle: Bool = true
  ) {
    self.epochs = epochs
    self.batchSize = batchSize
    self.learningRate = learningRate
    self.momentum = momentum
    self.shuffle = shuffle
  }

  /// What is wrong with its values, one line each; empty when nothing is.
  public var problems: [String] {
    var found: [String] = []
    if epochs < 1 { found.append("local epochs is \(epochs); it must be at least 1") }
    if batchSize < 1 { found.append("local batch_size is \(batchSize); it must be at least 1") }
    if !(learningRate > 0 && learningRate.isFinite) {
      found.append("local learning_rate is \(learningRate); it must be greater than 0")
    }
    if !(0..<1).contains(momentum) {
      found.append("local momentum is \(momentum); it must be at least 0 and below 1")
    }
    return found
  }

  /// The local steps of a client with `examples` examples.
  public func stepCount(examples: Int) -> Int {
    epochs * ((examples + batchSize - 1) / batchSize)
  }

  /// The batches of one local epoch: `examples` in the given order, or shuffled by a stream that is
  /// a function of (seed, round, client, epoch) alone.
  public func batches(
    of examples: [Int], epoch: Int, round: Int, client: Int, seed: UInt64
  ) -> [[Int]] {
    var order = examples
    if shuffle {
      var stream = RandomStream(
        seed: seed, purpose: .batches, round: round, client: client, step: epoch)
      stream.shuffle(&order)
    }
    return stride(from: 0, to: order.count, by: batchSize).map {
      Array(order[$0..<min($0 + batchSize, order.count)])
    }
  }
}
