// One rank's memory for local training, and the loops over it. Four vectors of n Floats are
// allocated once per run and serve every client: a rank's memory does not grow with clients or
// rounds.
public import Sparsity

/// Trains one client after the other from the downloaded vector.
public final class LocalTrainer {
  /// The downloaded vector, n long: every client's start, written by the round.
  public let start: UnsafeMutableBufferPointer<Float>
  private let objective: any LocalObjective
  private let parameters: UnsafeMutableBufferPointer<Float>
  private let gradient: UnsafeMutableBufferPointer<Float>
  private let velocity: UnsafeMutableBufferPointer<Float>

  /// Allocates the four vectors for `objective`.
  public init(objective: any LocalObjective) {
    self.objective = objective
    func zeros() -> UnsafeMutableBufferPointer<Float> {
      let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: objective.parameterCount)
      buffer.initialize(repeating: 0)
      return buffer
    }
    start = zeros()
    parameters = zeros()
    gradient = zeros()
    velocity = zeros()
  }

  deinit {
    for buffer in [start, parameters, gradient, velocity] { buffer.deallocate() }
  }

  /// What a client's training leaves behind.
  public struct Outcome {
    /// (downloaded) - (trained), n long; valid until the next client trains, and until then the
    /// caller's to change.
    public let clientDelta: UnsafeMutableBufferPointer<Float>
    /// What was trained, n long; valid until the next client trains.
    public let trained: UnsafeBufferPointer<Float>
    /// The sums over all batches, each at the parameters before its step.
    public let sums: LossSums
    /// The local steps made.
    public let steps: Int
  }

  /// Trains `client` on `examples` from `start`.
  ///
  /// - Parameters:
  ///   - support: Only these coordinates are trained; nil for all.
  ///   - onBatch: Called after each step with the examples in it; what it throws ends the training.
  /// - Throws: `FederationError` naming round and client when the objective throws, or when a loss,
  ///   a gradient or the delta is not finite.
  public func train(
    _ local: LocalTraining, examples: [Int], support: SupportMask? = nil, round: Int, client: Int,
    seed: UInt64, onBatch: ([Int]) throws -> Void = { _ in }
  ) throws -> Outcome {
    _ = parameters.update(fromContentsOf: start)
    velocity.update(repeating: 0)
    var sums = LossSums()
    var step = 0
    var largest: Float = 0
    let steps = local.stepCount(examples: examples.count)
    func notFinite(_ what: String) -> FederationError {
      FederationError(
        round: round, client: client,
        reason: "\(what) is not finite (largest |gradient| \(largest) up to local step \(step) "
          + "of \(steps); try a lower learning_rate)")
    }
    for epoch in 0..<local.epochs {
      let batches = local.batches(
        of: examples, epoch: epoch, round: round, client: client, seed: seed)
      for batch in batches {
        let key = RandomKey(seed: seed, round: round, client: client, step: step)
        let found: LossSums
        do {
          found = try objective.gradient(
            ofTrainingExamples: batch, at: UnsafeBufferPointer(parameters), into: gradient,
            dropout: key)
        } catch {
          throw FederationError(
            round: round, client: client, reason: "\(error)", underlying: error)
        }
        step += 1
        sums += found
        support?.apply(to: gradient)
        let magnitude = momentumStep(local)
        guard magnitude.isFinite else {
          if largest == 0 { largest = magnitude }
          throw notFinite("the update")
        }
        largest = max(largest, magnitude)
        guard found.loss.isFinite else { throw notFinite("the training loss") }
        try onBatch(batch)
      }
    }
    guard writeDelta().isFinite else { throw notFinite("the update") }
    return Outcome(
      clientDelta: gradient, trained: UnsafeBufferPointer(parameters), sums: sums, steps: step)
  }

  /// v <- m v + g and p <- p - eta v in one pass; returns the largest |g|, which is infinite or NaN
  /// when any g is.
  ///
  /// The maximum is taken over the bit patterns of |g| as integers (they are ordered like the
  /// numbers, and infinities and NaNs lie above all of those): unlike a maximum of Floats, that
  /// reduction vectorizes, and no NaN slips through it.
  private func momentumStep(_ local: LocalTraining) -> Float {
    guard let p = parameters.baseAddress, let v = velocity.baseAddress,
      let g = gradient.baseAddress
    else { return 0 }
    let (rate, momentum) = (local.learningRate, local.momentum)
    var largest: Int32 = 0
    for i in 0..<parameters.count {
      let slope = g[i]
      largest = max(largest, Int32(bitPattern: slope.bitPattern & 0x7FFF_FFFF))
      let velocity = momentum * v[i] + slope
      v[i] = velocity
      p[i] -= rate * velocity
    }
    return Float(bitPattern: UInt32(bitPattern: largest))
  }

  /// Writes start - parameters over the gradient; returns its largest magnitude, like
  /// `momentumStep`.
  private func writeDelta() -> Float {
    guard let p = parameters.baseAddress, let s = start.baseAddress, let d = gradient.baseAddress
    else { return 0 }
    var largest: Int32 = 0
    for i in 0..<parameters.count {
      let delta = s[i] - p[i]
      largest = max(largest, Int32(bitPattern: delta.bitPattern & 0x7FFF_FFFF))
      d[i] = delta
    }
    return Float(bitPattern: UInt32(bitPattern: largest))
  }
}
