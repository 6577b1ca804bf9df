// The server's state between two rounds and the step that ends a round; the rules of the step are
// in ServerOptimizer.swift.
internal import Digests
public import Sparsity

/// Everything that the server needs to go on: a value that can be saved and started from.
public struct ServerState: Sendable, Equatable {
  /// The rounds finished, which is also the number of the next round.
  public private(set) var round: Int
  /// Of the rounds finished, those in which the server made no step.
  public private(set) var emptyRounds = 0
  /// The last rounds in a row in which every upload was refused.
  public internal(set) var refusedRounds = 0
  /// What is saved, digested and pruned, by name.
  private var entries: [StateName: StateEntry]

  /// The entry of a name; nil if it is absent.
  package internal(set) subscript(name: StateName) -> StateEntry? {
    get { entries[name] }
    set { entries[name] = newValue }
  }

  /// The state before round 0.
  public init(vector: [Float], optimizer: ServerOptimizer, clip: Double? = nil) {
    func moment(_ number: Int, _ value: Float) -> StateEntry {
      .floats(
        [Float](repeating: value, count: optimizer.momentCount < number ? 0 : vector.count))
    }
    round = 0
    entries = [
      .vector: .floats(vector), .firstMoment: moment(1, 0),
      .secondMoment: moment(2, optimizer.initialSecondMoment),
    ]
    entries[.clip] = clip.map { .number($0) }
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
    try self.init(
      round: round, emptyRounds: emptyRounds, refusedRounds: refusedRounds,
      entries: [
        .vector: .floats(vector), .firstMoment: .floats(firstMoment),
        .secondMoment: .floats(secondMoment),
      ])
    self.clip = clip
    self.mergedBase = mergedBase
    self.lastStack = lastStack
    self.clientRanks = clientRanks
    entries[.support] = support.map { .mask($0) }
    try check()
  }

  /// A state that was saved after `round` rounds, by the names of its entries.
  ///
  /// - Throws: `FederationError` when the lengths of moments or support do not fit each other or
  ///   the vector, or the clip is none.
  package init(
    round: Int, emptyRounds: Int, refusedRounds: Int, entries: [StateName: StateEntry]
  ) throws {
    self.round = round
    self.emptyRounds = emptyRounds
    self.refusedRounds = refusedRounds
    self.entries = entries
    try check()
  }

  private func check() throws {
    guard round >= 0, (0...round).contains(emptyRounds) else {
      throw FederationError(
        reason: "a server state has round \(round) and \(emptyRounds) rounds without a step; "
          + "they must be at least 0 and at most as many")
    }
    let count = vector.count
    let (first, second) = (firstMoment.count, secondMoment.count)
    guard [first, second].allSatisfy({ $0 == 0 || $0 == count }), first >= second else {
      throw FederationError(
        reason: "a server state has moments of \(first) and \(second) "
          + "coordinates; each must have 0 or the vector's \(count), and the second none "
          + "without the first")
    }
    if let support, support.length != count {
      throw FederationError(
        reason: "a server state has a support of \(support.length) coordinates; "
          + "its vector has \(count)")
    }
    if let clip, !(clip > 0 && clip.isFinite) {
      throw FederationError(
        reason: "a server state has clip \(clip); it must be a number greater than 0")
    }
  }

  /// Ends a round in which nothing came: all stays as it is, and the optimizer counts no step.
  mutating func skipRound() {
    round += 1
    emptyRounds += 1
  }

  /// Prunes all coordinates outside of `mask` for good: they and their moments are zero from now on.
  mutating func restrict(to mask: SupportMask) {
    entries[.support] = .mask(mask)
    for name in StateName.all where name.isPruned { entries[name]?.restrict(to: mask) }
  }

  /// Whether it has the moments that `optimizer` keeps, no more and no fewer.
  package func fits(_ optimizer: ServerOptimizer) -> Bool {
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

  /// The XXH64, as 16 hex digits, over the bytes of all entries in the order of `StateName.all`.
  public var digest: String {
    var hash = XXHash64()
    for name in StateName.all { entries[name]?.update(&hash) }
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

  /// The floats of an entry, taken out until `put` brings them back, so that they change in place.
  private mutating func take(_ name: StateName) -> [Float] {
    guard case .floats(let values)? = entries.updateValue(.floats([]), forKey: name) else {
      preconditionFailure("a server state without \(name.name)")
    }
    return values
  }

  private mutating func put(_ values: [Float], _ name: StateName) {
    entries[name] = .floats(values)
  }

  @inline(__always)
  private mutating func forVector(
    _ gradient: [Float], _ body: (_ vector: inout Float, _ gradient: Float) -> Void
  ) {
    var vector = take(.vector)
    vector.withUnsafeMutableBufferPointer { vector in
      gradient.withUnsafeBufferPointer { gradient in
        guard let p = vector.baseAddress, let g = gradient.baseAddress else { return }
        for i in 0..<vector.count { body(&p[i], g[i]) }
      }
    }
    put(vector, .vector)
  }

  @inline(__always)
  private mutating func forFirstMoment(
    _ gradient: [Float],
    _ body: (_ vector: inout Float, _ first: inout Float, _ gradient: Float) -> Void
  ) {
    var (vector, first) = (take(.vector), take(.firstMoment))
    vector.withUnsafeMutableBufferPointer { vector in
      first.withUnsafeMutableBufferPointer { first in
        gradient.withUnsafeBufferPointer { gradient in
          guard let p = vector.baseAddress, let m = first.baseAddress,
            let g = gradient.baseAddress
          else { return }
          for i in 0..<vector.count { body(&p[i], &m[i], g[i]) }
        }
      }
    }
    put(vector, .vector)
    put(first, .firstMoment)
  }

  @inline(__always)
  private mutating func forBothMoments(
    _ gradient: [Float],
    _ body: (
      _ vector: inout Float, _ first: inout Float, _ second: inout Float, _ gradient: Float
    ) -> Void
  ) {
    var (vector, first, second) = (take(.vector), take(.firstMoment), take(.secondMoment))
    vector.withUnsafeMutableBufferPointer { vector in
      first.withUnsafeMutableBufferPointer { first in
        second.withUnsafeMutableBufferPointer { second in
          gradient.withUnsafeBufferPointer { gradient in
            guard let p = vector.baseAddress, let m = first.baseAddress,
              let v = second.baseAddress, let g = gradient.baseAddress
            else { return }
            for i in 0..<vector.count { body(&p[i], &m[i], &v[i], g[i]) }
          }
        }
      }
    }
    put(vector, .vector)
    put(first, .firstMoment)
    put(second, .secondMoment)
  }
}
