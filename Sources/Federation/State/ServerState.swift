// The server's state between two rounds and the step that ends a round; the rules of the step are
// in ServerOptimizer.swift.
public import Sparsity

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
  /// The clip of the next round, where privacy adapts it; nil otherwise.
  public internal(set) var clip: Double?
  /// Of the rounds finished, those in which the server made no step.
  public private(set) var emptyRounds = 0
  /// The last rounds in a row in which every upload was refused.
  public internal(set) var refusedRounds = 0
  /// The base matrices with all that was merged into them, one after the other in the order of the
  /// factors' pairs; empty while nothing was.
  public internal(set) var mergedBase: [Float]
  /// What was merged last, which the clients of the next round have to receive; nil where nothing was.
  public internal(set) var lastStack: StackSize?
  /// The ranks that are left to clients that have pruned some.
  public internal(set) var clientRanks: [Int: Int]

  /// The state before round 0.
  public init(vector: [Float], optimizer: ServerOptimizer, clip: Double? = nil) {
    func moment(_ number: Int, _ value: Float) -> [Float] {
      [Float](repeating: value, count: optimizer.momentCount < number ? 0 : vector.count)
    }
    self.round = 0
    self.vector = vector
    firstMoment = moment(1, 0)
    secondMoment = moment(2, optimizer.initialSecondMoment)
    self.clip = clip
    mergedBase = []
    clientRanks = [:]
  }

  /// A state that was saved after `round` rounds.
  ///
  /// - Throws: `FederationError` when the lengths of moments or support do not fit each other or
  ///   the vector, or the clip is none.
  public init(
    round: Int, vector: [Float], firstMoment: [Float], secondMoment: [Float],
    support: SupportMask? = nil, clip: Double? = nil, emptyRounds: Int = 0,
    refusedRounds: Int = 0,
    mergedBase: [Float] = [], lastStack: StackSize? = nil, clientRanks: [Int: Int] = [:]
  ) throws {
    guard round >= 0, (0...round).contains(emptyRounds) else {
      throw FederationError(
        reason: "a server state has round \(round) and \(emptyRounds) rounds without a step; "
          + "they must be at least 0 and at most as many")
    }
    let fits = [firstMoment, secondMoment].allSatisfy { $0.isEmpty || $0.count == vector.count }
    guard fits, firstMoment.count >= secondMoment.count else {
      throw FederationError(
        reason: "a server state has moments of \(firstMoment.count) and \(secondMoment.count) "
          + "coordinates; each must have 0 or the vector's \(vector.count), and the second none "
          + "without the first")
    }
    guard support == nil || support?.length == vector.count else {
      throw FederationError(
        reason: "a server state has a support of \(support?.length ?? 0) coordinates; "
          + "its vector has \(vector.count)")
    }
    if let clip, !(clip > 0 && clip.isFinite) {
      throw FederationError(
        reason: "a server state has clip \(clip); it must be a number greater than 0")
    }
    self.round = round
    self.vector = vector
    self.firstMoment = firstMoment
    self.secondMoment = secondMoment
    self.support = support
    self.clip = clip
    self.emptyRounds = emptyRounds
    self.refusedRounds = refusedRounds
    self.mergedBase = mergedBase
    self.lastStack = lastStack
    self.clientRanks = clientRanks
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

  /// Whether it has the moments that `optimizer` keeps, no more and no fewer.
  public func fits(_ optimizer: ServerOptimizer) -> Bool {
    firstMoment.count == (optimizer.momentCount < 1 ? 0 : vector.count)
      && secondMoment.count == (optimizer.momentCount < 2 ? 0 : vector.count)
  }

  /// One server step; ends the round.
  ///
  /// - Parameter rateFactor: The learning rate is multiplied by it: the schedule's factor.
  /// - Precondition: The pseudo-gradient is as long as the vector, and the state has the
  ///   optimizer's moments.
  public mutating func step(
    _ optimizer: ServerOptimizer, pseudoGradient: [Float], rateFactor: Double = 1
  ) {
    precondition(
      pseudoGradient.count == vector.count,
      "a pseudo-gradient of \(pseudoGradient.count) for a vector of \(vector.count)")
    precondition(
      fits(optimizer),
      "moments of \(firstMoment.count) and \(secondMoment.count) for \(optimizer) and a vector of "
        + "\(vector.count)")
    switch optimizer {
    case .sgd(let learningRate):
      let rate = Float(learningRate * rateFactor)
      forVector(pseudoGradient) { vector, gradient in vector -= rate * gradient }
    case .fedAvgM(let learningRate, let momentum):
      let (rate, momentum) = (Float(learningRate * rateFactor), Float(momentum))
      forFirstMoment(pseudoGradient) { vector, first, gradient in
        first = momentum * first + gradient
        vector -= rate * first
      }
    case .fedAdagrad(let learningRate, let beta1, let tau):
      adapt(pseudoGradient, learningRate * rateFactor, beta1, 0, tau) { _, second, gradient in
        second += gradient * gradient
      }
    case .fedYogi(let learningRate, let beta1, let beta2, let tau):
      adapt(pseudoGradient, learningRate * rateFactor, beta1, beta2, tau) {
        $0.updateSecondBySign(&$1, $2)
      }
    case .fedAdam(let learningRate, let beta1, let beta2, let tau):
      adapt(pseudoGradient, learningRate * rateFactor, beta1, beta2, tau) {
        $0.updateSecond(&$1, $2)
      }
    case .adamW(let learningRate, let beta1, let beta2, let epsilon, let weightDecay):
      let step = AdamWStep(
        learningRate: learningRate * rateFactor, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: weightDecay, step: round - emptyRounds + 1)
      forBothMoments(pseudoGradient) { step.apply(&$0, &$1, &$2, $3) }
    }
    round += 1
  }

  /// The XXH64, as 16 hex digits, over the bytes of the vector, the first and the second moment, and
  /// the indices of the support where coordinates are pruned, the clip where there is one, the merged
  /// base matrices with the size of the last stack, and the ranks of clients that pruned some.
  public var digest: String {
    var hash = XXHash64()
    hash.update(vector)
    hash.update(firstMoment)
    hash.update(secondMoment)
    if let support, !support.isAll { hash.update(support.indices.map(Int.init)) }
    if let clip { hash.update([clip]) }
    hash.update(mergedBase)
    if let lastStack { hash.update(lastStack.numbers) }
    hash.update(clientRanks.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
    return hash.hexDigits
  }

  /// m <- b1 m + (1-b1) g, v by `updateSecond`, P <- P - eta m / (sqrt v + tau).
  @inline(__always)
  private mutating func adapt(
    _ gradient: [Float], _ learningRate: Double, _ beta1: Double, _ beta2: Double, _ tau: Double,
    _ updateSecond: (_ moments: MomentRates, _ second: inout Float, _ gradient: Float) -> Void
  ) {
    let (rate, tau) = (Float(learningRate), Float(tau))
    let moments = MomentRates(beta1, beta2)
    forBothMoments(gradient) { vector, first, second, gradient in
      moments.updateFirst(&first, gradient)
      updateSecond(moments, &second, gradient)
      vector -= rate * first / (second.squareRoot() + tau)
    }
  }

  // MARK: - Loops over the coordinates

  @inline(__always)
  private mutating func forVector(
    _ gradient: [Float], _ body: (_ vector: inout Float, _ gradient: Float) -> Void
  ) {
    vector.withUnsafeMutableBufferPointer { vector in
      gradient.withUnsafeBufferPointer { gradient in
        guard let p = vector.baseAddress, let g = gradient.baseAddress else { return }
        for i in 0..<vector.count { body(&p[i], g[i]) }
      }
    }
  }

  @inline(__always)
  private mutating func forFirstMoment(
    _ gradient: [Float],
    _ body: (_ vector: inout Float, _ first: inout Float, _ gradient: Float) -> Void
  ) {
    vector.withUnsafeMutableBufferPointer { vector in
      firstMoment.withUnsafeMutableBufferPointer { first in
        gradient.withUnsafeBufferPointer { gradient in
          guard let p = vector.baseAddress, let m = first.baseAddress,
            let g = gradient.baseAddress
          else { return }
          for i in 0..<vector.count { body(&p[i], &m[i], g[i]) }
        }
      }
    }
  }

  @inline(__always)
  private mutating func forBothMoments(
    _ gradient: [Float],
    _ body: (
      _ vector: inout Float, _ first: inout Float, _ second: inout Float, _ gradient: Float
    ) -> Void
  ) {
    vector.withUnsafeMutableBufferPointer { vector in
      firstMoment.withUnsafeMutableBufferPointer { first in
        secondMoment.withUnsafeMutableBufferPointer { second in
          gradient.withUnsafeBufferPointer { gradient in
            guard let p = vector.baseAddress, let m = first.baseAddress,
              let v = second.baseAddress, let g = gradient.baseAddress
            else { return }
            for i in 0..<vector.count { body(&p[i], &m[i], &v[i], g[i]) }
          }
        }
      }
    }
  }
}
