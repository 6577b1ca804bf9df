import Federation
import Testing

@Suite struct ServerOptimizerTests {
  private let golden: OptimizerGolden
  init() throws { golden = try OptimizerGolden.load() }

  /// Steps along the golden's gradients, comparing after each with `expected`.
  private func follow(_ optimizer: ServerOptimizer, _ expected: OptimizerGolden.Case) {
    var state = ServerState(vector: golden.start, optimizer: optimizer)
    for (step, gradient) in golden.gradients.enumerated() {
      state.step(optimizer, pseudoGradient: gradient)
      // Each step rounds the vector once and its increment, which is smaller or of its size, a few
      // times.
      let error = largestError(state.vector, expected.vectors[step], start: golden.start)
      #expect(
        error <= 4 * Double(step + 1),
        "\(optimizer), step \(step): off by \(error) roundings; golden: \(OptimizerGolden.command)")
    }
    #expect(state.round == golden.gradients.count)
  }

  @Test("adamW takes the steps of torch.optim.AdamW")
  func adamW() {
    for expected in golden.cases("adamw") {
      let v = expected.values
      follow(
        .adamW(learningRate: v[0], beta1: v[1], beta2: v[2], epsilon: v[3], weightDecay: v[4]),
        expected)
    }
  }

  @Test("fedAdam takes the steps of Reddi et al., Algorithm 2")
  func fedAdam() {
    for expected in golden.cases("fed_adam") {
      let v = expected.values
      follow(.fedAdam(learningRate: v[0], beta1: v[1], beta2: v[2], tau: v[3]), expected)
    }
  }

  @Test("fedYogi takes the steps of Reddi et al., Algorithm 2")
  func fedYogi() {
    for expected in golden.cases("fed_yogi") {
      let v = expected.values
      follow(.fedYogi(learningRate: v[0], beta1: v[1], beta2: v[2], tau: v[3]), expected)
    }
  }

  @Test("fedAdagrad takes the steps of Reddi et al., Algorithm 2, and of torch.optim.Adagrad")
  func fedAdagrad() {
    for expected in golden.cases("fed_adagrad") {
      let v = expected.values
      follow(.fedAdagrad(learningRate: v[0], beta1: v[1], tau: v[2]), expected)
    }
    for expected in golden.cases("adagrad") {
      follow(.fedAdagrad(learningRate: expected.values[0], tau: expected.values[1]), expected)
    }
  }

  @Test("fedAvgM takes the steps of torch.optim.SGD with momentum, and without it those of sgd")
  func fedAvgM() {
    for expected in golden.cases("sgd") {
      follow(
        .fedAvgM(learningRate: expected.values[0], momentum: expected.values[1]), expected)
    }
  }

  @Test("fedYogi's second moment by hand: towards g^2 by a step of (1 - b2) g^2, from either side")
  func fedYogiByHand() {
    let optimizer = ServerOptimizer.fedYogi(
      learningRate: 1, beta1: 0.5, beta2: 0.75, tau: 1)
    var state = ServerState(vector: [0, 0, 0], optimizer: optimizer)
    state.step(optimizer, pseudoGradient: [2, 0.5, 1])
    // v was 1; g^2 = 4, 0.25 and 1.
    #expect(state.secondMoment == [2, 0.9375, 1])
    #expect(state.firstMoment == [1, 0.25, 0.5])
    #expect(state.vector[2] == -0.25)
  }

  @Test("a first moment without memory is the gradient itself, however small after a large one")
  func noMemory() {
    let optimizer = ServerOptimizer.fedAdam(learningRate: 1, beta1: 0, beta2: 0.5, tau: 1)
    var state = ServerState(vector: [0], optimizer: optimizer)
    for gradient: Float in [1000, 1.1e-7] {
      state.step(optimizer, pseudoGradient: [gradient])
      #expect(state.firstMoment == [gradient])
    }
  }

  @Test("an optimizer keeps the moments that it needs and no other")
  func moments() throws {
    let optimizers: [(ServerOptimizer, Int)] = [
      (.sgd(learningRate: 1), 0), (.fedAvgM(learningRate: 1), 1),
      (.fedAdagrad(learningRate: 1), 2), (.fedYogi(learningRate: 1), 2),
      (.fedAdam(learningRate: 1), 2), (.adamW(learningRate: 1), 2),
    ]
    for (optimizer, count) in optimizers {
      #expect(optimizer.momentCount == count)
      var state = ServerState(vector: [1, 2], optimizer: optimizer)
      state.step(optimizer, pseudoGradient: [1, -1])
      #expect(state.firstMoment.count == (count > 0 ? 2 : 0))
      #expect(state.secondMoment.count == (count > 1 ? 2 : 0))
      let again = try ServerState(
        round: state.round, vector: state.vector, firstMoment: state.firstMoment,
        secondMoment: state.secondMoment)
      #expect(again == state && again.digest == state.digest)
      for (other, otherCount) in optimizers {
        #expect(state.fits(other) == (otherCount == count))
      }
    }
  }

  @Test("a rate factor is another learning rate, in the decay of AdamW too")
  func rateFactor() {
    let pairs: [(ServerOptimizer, ServerOptimizer)] = [
      (.sgd(learningRate: 0.5), .sgd(learningRate: 0.125)),
      (.fedAvgM(learningRate: 0.5), .fedAvgM(learningRate: 0.125)),
      (.fedYogi(learningRate: 0.5), .fedYogi(learningRate: 0.125)),
      (.adamW(learningRate: 0.5), .adamW(learningRate: 0.125)),
    ]
    for (one, other) in pairs {
      var (scaled, expected) = (
        ServerState(vector: golden.start, optimizer: one),
        ServerState(vector: golden.start, optimizer: other)
      )
      for gradient in golden.gradients {
        scaled.step(one, pseudoGradient: gradient, rateFactor: 0.25)
        expected.step(other, pseudoGradient: gradient)
      }
      #expect(scaled == expected)
    }
  }

  @Test("sgd takes the steps of torch.optim.SGD without momentum")
  func sgd() {
    for expected in golden.cases("sgd") where expected.values[1] == 0 {
      follow(.sgd(learningRate: expected.values[0]), expected)
    }
  }

  @Test("fedAdam's first step is worked by hand: m = 0.1 g, v = 0.99 tau^2 + 0.01 g^2")
  func fedAdamByHand() {
    let optimizer = ServerOptimizer.fedAdam(learningRate: 0.5, beta1: 0.9, beta2: 0.99, tau: 0.5)
    var state = ServerState(vector: [1, 1], optimizer: optimizer)
    #expect(state.secondMoment == [0.25, 0.25])
    state.step(optimizer, pseudoGradient: [2, 0])
    // v = 0.99 * 0.25 + 0.01 * 4 = 0.2875; 1 - 0.5 * 0.2 / (0.536190265 + 0.5) = 0.903492628
    #expect((state.vector[0] - 0.903_492_6).magnitude < 2e-7)
    #expect(state.vector[1] == 1)
  }

  @Test("a saved state goes on as if it had not been saved")
  func resume() throws {
    let optimizer = ServerOptimizer.adamW(learningRate: 0.01)
    var whole = ServerState(vector: golden.start, optimizer: optimizer)
    for gradient in golden.gradients { whole.step(optimizer, pseudoGradient: gradient) }
    var first = ServerState(vector: golden.start, optimizer: optimizer)
    for gradient in golden.gradients.prefix(2) { first.step(optimizer, pseudoGradient: gradient) }
    var second = try ServerState(
      round: first.round, vector: first.vector, firstMoment: first.firstMoment,
      secondMoment: first.secondMoment)
    for gradient in golden.gradients.dropFirst(2) {
      second.step(optimizer, pseudoGradient: gradient)
    }
    #expect(second == whole)
    #expect(second.digest == whole.digest)
    #expect(first.digest != whole.digest)
  }

  @Test("the digest sees every bit of the vector and of both moments")
  func digest() throws {
    func digest(_ vector: [Float], _ m: [Float], _ v: [Float]) throws -> String {
      try ServerState(round: 1, vector: vector, firstMoment: m, secondMoment: v).digest
    }
    let digests = try [
      digest([1, 2], [0, 0], [0, 0]), digest([1, Float(2).nextUp], [0, 0], [0, 0]),
      digest([1, 2], [-0.0, 0], [0, 0]), digest([1, 2], [0, 0], [0, -0.0]),
      digest([1, 2], [], []), digest([1, 2], [0, 0], []), digest([1, 2], [0, -0.0], []),
    ]
    #expect(Set(digests).count == digests.count)
  }

  @Test("a state whose moments do not fit its vector is refused")
  func malformed() {
    #expect(throws: FederationError.self) {
      try ServerState(round: 1, vector: [1, 2], firstMoment: [1], secondMoment: [1])
    }
    #expect(throws: FederationError.self) {
      try ServerState(round: -1, vector: [1], firstMoment: [], secondMoment: [])
    }
    #expect(throws: FederationError.self) {
      try ServerState(round: 1, vector: [1, 2], firstMoment: [], secondMoment: [1, 1])
    }
  }
}
