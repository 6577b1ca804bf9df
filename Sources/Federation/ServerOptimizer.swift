// The server's step on the trainable vector P with the pseudo-gradient g (the cohort's mean of
// downloaded minus trained, so that the server descends along it as along a gradient).
//
//   sgd      P <- P - eta g
//   fedAdam  m <- b1 m + (1-b1) g,  v <- b2 v + (1-b2) g^2,  P <- P - eta m / (sqrt v + tau)
//            Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2 (there with
//            Delta = -g): no bias correction, m starts at 0 and v at tau^2.
//   adamW    P <- P (1 - eta w),  m and v as above from 0,
//            P <- P - eta / (1-b1^t) * m / (sqrt v / sqrt(1-b2^t) + epsilon),  t from 1.
//            Loshchilov & Hutter 2019, Algorithm 2, in the order of torch.optim.AdamW; it is what
//            the public FLASC scripts call FedAdam (with weight decay 0.01).
//
// All loops are element by element in Float without fused multiply-add: the same bits everywhere.
public import Sparsity

/// How the server turns a round's pseudo-gradient into a step.
public enum ServerOptimizer: Sendable, Equatable {
  /// Gradient descent; with learning rate 1 it is federated averaging.
  case sgd(learningRate: Double)
  /// Reddi et al.'s FedAdam.
  case fedAdam(learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.99, tau: Double = 1e-3)
  /// PyTorch's AdamW.
  case adamW(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0.01)

  /// How many moments of the vector's length it keeps: 0 or 2.
  public var momentCount: Int {
    switch self {
    case .sgd: 0
    case .fedAdam, .adamW: 2
    }
  }

  /// The value with which every coordinate of the second moment starts.
  public var initialSecondMoment: Float {
    switch self {
    case .fedAdam(_, _, _, let tau): Float(tau * tau)
    case .sgd, .adamW: 0
    }
  }

  /// What is wrong with its values, one line each; empty when nothing is.
  public var problems: [String] {
    var found: [String] = []
    func require(_ condition: Bool, _ name: String, _ value: Double, _ allowed: String) {
      if !condition { found.append("server \(name) is \(value); it must be \(allowed)") }
    }
    func requireRate(_ value: Double) {
      require(value > 0 && value.isFinite, "learning_rate", value, "greater than 0")
    }
    func requireBetas(_ beta1: Double, _ beta2: Double) {
      require((0..<1).contains(beta1), "beta1", beta1, "at least 0 and below 1")
      require((0..<1).contains(beta2), "beta2", beta2, "at least 0 and below 1")
    }
    switch self {
    case .sgd(let learningRate):
      requireRate(learningRate)
    case .fedAdam(let learningRate, let beta1, let beta2, let tau):
      requireRate(learningRate)
      requireBetas(beta1, beta2)
      require(tau > 0 && tau.isFinite, "tau", tau, "greater than 0")
    case .adamW(let learningRate, let beta1, let beta2, let epsilon, let weightDecay):
      requireRate(learningRate)
      requireBetas(beta1, beta2)
      require(epsilon > 0 && epsilon.isFinite, "epsilon", epsilon, "greater than 0")
      require(weightDecay >= 0 && weightDecay.isFinite, "weight_decay", weightDecay, "at least 0")
    }
    return found
  }
}

/// Everything that the server needs to go on: a value that can be saved and started from.
public struct ServerState: Sendable, Equatable {
  /// The rounds finished, which is also the number of the next round.
  public private(set) var round: Int
  /// The dense trainable vector P.
  public private(set) var vector: [Float]
  /// The optimizer's first moment, as long as the vector, or empty where it keeps none.
  public private(set) var firstMoment: [Float]
  /// The optimizer's second moment, as long as the vector, or empty where it keeps none.
  public private(set) var secondMoment: [Float]
  /// The coordinates that are not pruned; nil while none is.
  public private(set) var support: SupportMask?
  /// Of the rounds finished, those in which the server made no step.
  public private(set) var emptyRounds = 0

  /// The state before round 0.
  public init(vector: [Float], optimizer: ServerOptimizer) {
    let count = optimizer.momentCount == 0 ? 0 : vector.count
    self.round = 0
    self.vector = vector
    firstMoment = [Float](repeating: 0, count: count)
    secondMoment = [Float](repeating: optimizer.initialSecondMoment, count: count)
  }

  /// A state that was saved after `round` rounds.
  ///
  /// - Throws: `FederationError` when the moments' lengths do not fit each other or the vector.
  public init(
    round: Int, vector: [Float], firstMoment: [Float], secondMoment: [Float],
    support: SupportMask? = nil, emptyRounds: Int = 0
  ) throws {
    guard round >= 0, (0...round).contains(emptyRounds) else {
      throw FederationError(
        reason: "a server state has round \(round) and \(emptyRounds) rounds without a step; "
          + "they must be at least 0 and at most as many")
    }
    guard firstMoment.count == secondMoment.count,
      firstMoment.isEmpty || firstMoment.count == vector.count
    else {
      throw FederationError(
        reason: "a server state has moments of \(firstMoment.count) and \(secondMoment.count) "
          + "coordinates; both must have 0 or the vector's \(vector.count)")
    }
    self.round = round
    self.vector = vector
    self.firstMoment = firstMoment
    self.secondMoment = secondMoment
    guard support == nil || support?.length == vector.count else {
      throw FederationError(
        reason: "a server state has a support of \(support?.length ?? 0) coordinates; "
          + "its vector has \(vector.count)")
    }
    self.support = support
    self.emptyRounds = emptyRounds
  }

  /// Ends a round in which nothing came: all stays as it is, and the optimizer counts no step.
  mutating func skipRound() {
    round += 1
    emptyRounds += 1
  }

  /// Prunes all coordinates outside of `mask` for good: they and their moments are zero from now on.
  mutating func restrict(to mask: SupportMask) {
    support = mask
    vector.withUnsafeMutableBufferPointer { mask.apply(to: $0) }
    if !firstMoment.isEmpty { firstMoment.withUnsafeMutableBufferPointer { mask.apply(to: $0) } }
    if !secondMoment.isEmpty { secondMoment.withUnsafeMutableBufferPointer { mask.apply(to: $0) } }
  }

  /// One server step; ends the round.
  ///
  /// - Precondition: The pseudo-gradient is as long as the vector, and the state has the
  ///   optimizer's moments.
  public mutating func step(_ optimizer: ServerOptimizer, pseudoGradient: [Float]) {
    precondition(
      pseudoGradient.count == vector.count,
      "a pseudo-gradient of \(pseudoGradient.count) for a vector of \(vector.count)")
    precondition(
      firstMoment.count == (optimizer.momentCount == 0 ? 0 : vector.count),
      "moments of \(firstMoment.count) for \(optimizer) and a vector of \(vector.count)")
    switch optimizer {
    case .sgd(let learningRate):
      let rate = Float(learningRate)
      forEach(pseudoGradient) { vector, _, _, gradient in vector -= rate * gradient }
    case .fedAdam(let learningRate, let beta1, let beta2, let tau):
      let (rate, tau) = (Float(learningRate), Float(tau))
      let moments = MomentRates(beta1, beta2)
      forEach(pseudoGradient) { vector, first, second, gradient in
        moments.update(&first, &second, gradient)
        vector -= rate * first / (second.squareRoot() + tau)
      }
    case .adamW(let learningRate, let beta1, let beta2, let epsilon, let weightDecay):
      let step = round - emptyRounds + 1
      let rate = Float(learningRate / (1 - power(beta1, step)))
      let correction = Float((1 - power(beta2, step)).squareRoot())
      let (decay, epsilon) = (Float(1 - learningRate * weightDecay), Float(epsilon))
      let moments = MomentRates(beta1, beta2)
      forEach(pseudoGradient) { vector, first, second, gradient in
        moments.update(&first, &second, gradient)
        let scale = second.squareRoot() / correction + epsilon
        vector = vector * decay - rate * first / scale
      }
    }
    round += 1
  }

  /// The XXH64, as 16 hex digits, over the bytes of the vector, the first and the second moment, and
  /// the indices of the support where coordinates are pruned.
  public var digest: String {
    var hash = XXHash64()
    hash.update(vector)
    hash.update(firstMoment)
    hash.update(secondMoment)
    if let support, !support.isAll { hash.update(support.indices.map(Int.init)) }
    return hash.hexDigits
  }

  /// Applies `body` to each coordinate of the vector, its moments and the gradient; moments that the
  /// optimizer does not keep read as 0.
  @inline(__always)
  private mutating func forEach(
    _ gradient: [Float],
    _ body: (_ vector: inout Float, _ first: inout Float, _ second: inout Float, Float) -> Void
  ) {
    let hasMoments = !firstMoment.isEmpty
    vector.withUnsafeMutableBufferPointer { vector in
      firstMoment.withUnsafeMutableBufferPointer { first in
        secondMoment.withUnsafeMutableBufferPointer { second in
          gradient.withUnsafeBufferPointer { gradient in
            guard let p = vector.baseAddress, let g = gradient.baseAddress else { return }
            if hasMoments, let m = first.baseAddress, let v = second.baseAddress {
              for i in 0..<vector.count { body(&p[i], &m[i], &v[i], g[i]) }
            } else {
              var (none, nothing): (Float, Float) = (0, 0)
              for i in 0..<vector.count { body(&p[i], &none, &nothing, g[i]) }
            }
          }
        }
      }
    }
  }
}

/// The moving averages of the gradient and its square.
private struct MomentRates {
  private let take1: Float
  private let keep2: Float
  private let take2: Float

  init(_ beta1: Double, _ beta2: Double) {
    (take1, keep2, take2) = (Float(1 - beta1), Float(beta2), Float(1 - beta2))
  }

  @inline(__always)
  func update(_ first: inout Float, _ second: inout Float, _ gradient: Float) {
    // m + (1-b1)(g - m) rather than b1 m + (1-b1) g: exact where g equals m, as torch's lerp.
    first += take1 * (gradient - first)
    second = keep2 * second + take2 * (gradient * gradient)
  }
}

/// `base` to a whole power by squaring: no libm, so the same bits on every machine.
private func power(_ base: Double, _ exponent: Int) -> Double {
  var (result, square, rest) = (1.0, base, exponent)
  while rest > 0 {
    if rest & 1 == 1 { result *= square }
    square *= square
    rest >>= 1
  }
  return result
}
