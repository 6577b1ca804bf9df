// One rank's memory for local training, and the loops over it. Three vectors of n Floats, and one for
// each moment that the clients' optimizer keeps, are allocated once per run and serve every client: a
// rank's memory does not grow with clients or rounds.
internal import RandomStreams
package import Sparsity

/// Trains one client after the other from the downloaded vector.
public final class LocalTrainer {
  /// The downloaded vector, n long: every client's start, written by the round.
  public let start: UnsafeMutableBufferPointer<Float>
  private let objective: any LocalObjective
  private let parameters: UnsafeMutableBufferPointer<Float>
  private let gradient: UnsafeMutableBufferPointer<Float>
  /// The optimizer's moments, as many as the clients trained so far needed.
  private var moments: [UnsafeMutableBufferPointer<Float>] = []

  /// Allocates start, parameters and gradient for `objective`.
  public init(objective: any LocalObjective) {
    self.objective = objective
    start = Self.zeros(objective.parameterCount)
    parameters = Self.zeros(objective.parameterCount)
    gradient = Self.zeros(objective.parameterCount)
  }

  deinit {
    for buffer in [start, parameters, gradient] + moments { buffer.deallocate() }
  }

  private static func zeros(_ count: Int) -> UnsafeMutableBufferPointer<Float> {
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    buffer.initialize(repeating: 0)
    return buffer
  }

  /// What a client's training leaves behind.
  public struct Outcome {
    /// (downloaded) - (trained), n long; valid until the next client trains, and until then the
    /// caller's to change.
    package let clientDelta: UnsafeMutableBufferPointer<Float>
    /// What was trained, n long; valid until the next client trains.
    public let trained: UnsafeBufferPointer<Float>
    /// The sums over all batches, each at the parameters before its step, without
    /// further terms of the loss.
    public let sums: LossSums
    /// The local steps made.
    public let steps: Int
    /// The largest |gradient| of them.
    let largestGradient: Float
  }

  /// Trains `client` on `examples` from `start`.
  ///
  /// - Parameters:
  ///   - support: Only these coordinates are trained; nil for all.
  ///   - terms: Further terms of the loss, in the order in which their gradients are added.
  ///   - onBatch: Called after each step with the examples in it; what it throws ends the training.
  /// - Throws: `FederationError` naming round and client when the objective throws, or when a loss,
  ///   a gradient or the delta is not finite (around a `NonFiniteUpdate`).
  package func train(
    _ local: LocalTraining, examples: [Int], support: SupportMask? = nil,
    terms: [any LocalTerm] = [], round: Int, client: Int, seed: UInt64,
    onBatch: ([Int]) throws -> Void = { _ in }
  ) throws -> Outcome {
    prepare(for: local.optimizer)
    let rate = Double(local.learningRate) * local.schedule.factor(round: round)
    var sums = LossSums()
    var step = 0
    var largest: Float = 0
    let steps = local.stepCount(examples: examples.count)
    func notFinite(_ place: NonFiniteUpdate.Place) -> FederationError {
      FederationError(
        round: round, client: client,
        NonFiniteUpdate(
          place: place, step: step, steps: steps, largestGradient: largest, tokens: sums.tokens))
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
        for term in terms {
          term.addGradient(
            at: UnsafeBufferPointer(parameters), from: UnsafeBufferPointer(start), into: gradient)
        }
        support?.apply(to: gradient)
        let magnitude = update(local, rate: rate, step: step)
        guard magnitude.isFinite else {
          if largest == 0 { largest = magnitude }
          throw notFinite(.update)
        }
        largest = max(largest, magnitude)
        guard found.loss.isFinite else { throw notFinite(.loss) }
        try onBatch(batch)
      }
    }
    guard writeDelta().isFinite else { throw notFinite(.update) }
    return Outcome(
      clientDelta: gradient, trained: UnsafeBufferPointer(parameters), sums: sums, steps: step,
      largestGradient: largest)
  }

  /// Puts the parameters at the start, with as many zero moments as the optimizer needs.
  private func prepare(for optimizer: LocalOptimizer) {
    _ = parameters.update(fromContentsOf: start)
    while moments.count < optimizer.momentCount { moments.append(Self.zeros(start.count)) }
    for moment in moments { moment.update(repeating: 0) }
  }

  /// One optimizer step on `parameters`, the `step`-th from 1 of this client.
  ///
  /// - Returns: The largest |g|, which is infinite or NaN when any g is.
  private func update(_ local: LocalTraining, rate: Double, step: Int) -> Float {
    guard let p = parameters.baseAddress, let g = gradient.baseAddress else { return 0 }
    switch local.optimizer {
    case .sgd(let momentum):
      let rate = Float(rate)
      guard momentum != 0, let v = moments[0].baseAddress else {
        return forEach({ g[$0] }, { p[$0] -= rate * $1 })
      }
      return forEach({ g[$0] }) { i, slope in
        let velocity = momentum * v[i] + slope
        v[i] = velocity
        p[i] -= rate * velocity
      }
    case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
      guard let m = moments[0].baseAddress, let v = moments[1].baseAddress else { return 0 }
      let adam = AdamWStep(
        learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: weightDecay, step: step)
      return forEach({ g[$0] }, { adam.apply(&p[$0], &m[$0], &v[$0], $1) })
    }
  }

  /// Calls `body` with each coordinate and its slope; returns the slopes' largest magnitude.
  ///
  /// The maximum is taken over the bit patterns of |g| as integers (they are ordered like the
  /// numbers, and infinities and NaNs lie above all of those): unlike a maximum of Floats, that
  /// reduction vectorizes, and no NaN slips through it.
  @inline(__always)
  private func forEach(
    _ slope: (Int) -> Float, _ body: (_ coordinate: Int, _ slope: Float) -> Void
  ) -> Float {
    var largest: Int32 = 0
    for i in 0..<parameters.count {
      let slope = slope(i)
      largest = max(largest, Int32(bitPattern: slope.bitPattern & 0x7FFF_FFFF))
      body(i, slope)
    }
    return Float(bitPattern: UInt32(bitPattern: largest))
  }

  /// Writes start - parameters over the gradient; returns its largest magnitude, like `forEach`.
  private func writeDelta() -> Float {
    guard let p = parameters.baseAddress, let s = start.baseAddress, let d = gradient.baseAddress
    else { return 0 }
    return forEach({ s[$0] - p[$0] }, { d[$0] = $1 })
  }
}
