// Clipping, noise and adaptive clips: closed forms, an independent program, and the same bits on any
// number of ranks.
import Communication
import Corpora
import Federation
import Sparsity
import TestSupport
import Testing

private struct RoundsGolden: Decodable {
  struct Case: Decodable {
    let clip: Double
    let noise_multiplier: Double
    /// quantile, learning rate, count deviation or -1; or nothing
    let adaptive: [Double]
    let noise_cohort_size: Int
    let clips: [Double]
    let clipped_shares: [Double]
    let vectors: [[Double]]
  }
  let scales: [Float]
  let centers: [[Float]]
  let start: [Float]
  let cohorts: [[Int]]
  let seed: UInt64
  let local_learning_rate: Float
  let cases: [Case]
}

@Suite struct PrivacyTests {
  private static let length = 301
  private static let partition = Partition(clients: [
    [0, 1], [2], [3, 4, 5], [6], [7, 8], [9], [10],
  ])

  private static func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: wobble(length, salt: 7).map { 0.1 + $0.magnitude },
      train: (0..<11).map { wobble(length, salt: 100 + $0) })
  }

  private static func smallPlan(
    _ privacy: Privacy?, method: Method = .flasc(download: 0.5, upload: 0.2),
    weighting: Weighting = .uniform
  ) -> FederationPlan {
    FederationPlan(
      rounds: 4, cohort: .uniform(size: 4), weighting: weighting, method: method,
      server: .fedAdam(learningRate: 0.05), local: LocalTraining(batchSize: 2, learningRate: 0.1),
      privacy: privacy, evaluation: EvaluationPlan(splits: []), seed: 5)
  }

  /// Plays a plan on so many ranks; rank 0's records and state.
  private static func play(
    _ plan: FederationPlan, ranks: Int = 1
  ) throws -> (records: [RoundRecord], state: ServerState) {
    let played = try ThreadCommunicators.run(size: ranks) { communicator in
      let run = try FederatedRun(
        plan: plan, partition: partition, objective: objective(),
        initialVector: communicator.rank == 0 ? wobble(length, salt: 1) : [],
        communicator: communicator)
      var records: [RoundRecord] = []
      let final = try run.run { records.append($0) }
      return (records, final.state)
    }
    return (played[0].0, try #require(played[0].1))
  }

  // MARK: - Clipping

  private func sparse(_ values: [Float]) -> SparseVector {
    SparseVector(
      length: 3 * values.count, indices: values.indices.map { UInt32(3 * $0) }, values: values)
  }

  @Test("a clipped vector has at most the norm, nearly all of it, and its direction")
  func clipped() {
    for (count, bound) in [(1, 0.1), (2, 0.3), (7, 1e-20), (1000, 0.7), (1000, 1.9), (4099, 1e9)] {
      let vector = sparse(wobble(count, salt: count))
      let clipped = vector.clipped(toNorm: bound)
      let norm = vector.euclideanNorm
      guard norm > bound else {
        #expect(clipped == vector)
        continue
      }
      #expect(clipped.euclideanNorm <= bound)
      #expect(clipped.euclideanNorm >= bound * (1 - 0x1p-22))
      #expect(clipped.indices == vector.indices)
      for (before, after) in zip(vector.values, clipped.values) {
        let expected = Double(before) * bound / norm
        #expect((Double(after) - expected).magnitude <= expected.magnitude * 0x1p-22)
      }
    }
  }

  @Test("norms by hand; the norm itself is no reason to clip")
  func norms() {
    let vector = sparse([3, -4, 0])
    #expect(vector.euclideanNorm == 5)
    #expect(vector.clipped(toNorm: 5) == vector)
    #expect(vector.clipped(toNorm: .infinity) == vector)
    #expect(vector.clipped(toNorm: 2.5) == sparse([1.5, -2, 0]))
    #expect(sparse([]).clipped(toNorm: 1) == sparse([]))
    // Squares beyond Float's range on both sides.
    #expect(sparse([3e25, 4e25]).euclideanNorm.distance(to: 5e25).magnitude < 5e18)
    #expect(sparse([3e-30, 4e-30]).clipped(toNorm: 1e-30).euclideanNorm <= 1e-30)
  }

  // MARK: - Off is off

  @Test("no noise and a clip that nobody reaches are no privacy, bit for bit")
  func off() throws {
    let expected = try Self.play(Self.smallPlan(nil))
    #expect(expected.records.allSatisfy { $0.privacy == nil })
    for clip in [Double.infinity, 1e6] {
      let found = try Self.play(
        Self.smallPlan(Privacy(clipping: .fixed(clip), noise: .multiplier(0))))
      #expect(found.state == expected.state)
      #expect(found.records.map(\.digest) == expected.records.map(\.digest))
      let privacy = try #require(found.records.last?.privacy)
      #expect(privacy.clippedShare == 0 && privacy.meanNoiseDeviation == 0)
      #expect(privacy.epsilon == .infinity)
    }
  }

  // MARK: - Against another program

  @Test("rounds with fixed and adaptive clips are those of an independent program")
  func rounds() throws {
    let golden: RoundsGolden = try loadGolden("privacy/rounds.json")
    #expect(golden.cases.count == 6)
    for expected in golden.cases {
      let clipping: Privacy.Clipping =
        expected.adaptive.isEmpty
        ? .fixed(expected.clip)
        : .adaptive(
          AdaptiveClip(
            initial: expected.clip, quantile: expected.adaptive[0],
            learningRate: expected.adaptive[1],
            countDeviation: expected.adaptive[2] < 0 ? nil : expected.adaptive[2]))
      let size = expected.noise_cohort_size
      var plan = plan(
        rounds: golden.cohorts.count, cohort: .file(golden.cohorts),
        local: LocalTraining(learningRate: golden.local_learning_rate, momentum: 0),
        seed: golden.seed)
      plan.privacy = Privacy(
        clipping: clipping, noise: .multiplier(expected.noise_multiplier),
        noiseCohortSize: size == 0 ? nil : size, population: size == 0 ? nil : 10 * size)
      let run = try FederatedRun(
        plan: plan, partition: Partition(clients: golden.centers.indices.map { [$0] }),
        objective: QuadraticObjective(scales: golden.scales, train: golden.centers),
        initialVector: golden.start, communicator: SingleProcessCommunicator())
      var round = 0
      _ = try run.run { record in
        let privacy = try #require(record.privacy)
        let clip = expected.clips[round]
        #expect((privacy.clip - clip).magnitude <= 1e-12 * clip, "\(expected), round \(round)")
        #expect(privacy.clippedShare == expected.clipped_shares[round])
        for (x, y) in zip(run.state!.vector, expected.vectors[round]) {
          // Deltas of a few units in Float, and the vector's own rounding in each round.
          #expect(
            (Double(x) - y).magnitude <= Double(round + 1) * 0x1p-20 * max(1, y.magnitude),
            "clip \(expected.clip), round \(round); python Tests/Goldens/privacy/generate.py")
        }
        round += 1
      }
      #expect(round == golden.cohorts.count)
    }
  }

  // MARK: - Noise

  /// A sum of nothing over so many clients.
  private func empty(length: Int, cohort: Int) -> FixedPointSum {
    FixedPointSum(
      words: Array(repeating: 0, count: length),
      scale: FixedPointScale(largestMagnitude: 0, totalWeight: cohort))
  }

  @Test("noise on the mean is normal with deviation z C / m in every coordinate")
  func noise() {
    let (count, z, clip, cohort) = (200_000, 0.8, 2.5, 20)
    let privacy = Privacy(clipping: .fixed(clip), noise: .multiplier(z))
    let mean = privacy.noisyMean(
      of: empty(length: count, cohort: cohort), clip: clip, seed: 3, round: 0)
    let deviation = z * clip / Double(cohort)
    #expect(privacy.noiseDeviation(clip: clip, cohort: cohort) == z * clip)
    // Moments of n normal numbers: mean 0 +- 1, square 1 +- sqrt 2, fourth power 3 +- sqrt 96, all
    // over sqrt n; five deviations.
    let scaled = mean.map { Double($0) / deviation }
    func average(_ power: (Double) -> Double) -> Double {
      scaled.reduce(0) { $0 + power($1) } / Double(count)
    }
    let root = Double(count).squareRoot()
    #expect(average { $0 }.magnitude < 5 / root)
    #expect((average { $0 * $0 } - 1).magnitude < 5 * 2.0.squareRoot() / root)
    #expect((average { $0 * $0 * $0 * $0 } - 3).magnitude < 5 * 96.0.squareRoot() / root)
    // Neighbours have nothing to do with each other, nor has the next round.
    let neighbours = zip(scaled, scaled.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(neighbours.magnitude / Double(count) < 5 / root)
    let next = privacy.noisyMean(
      of: empty(length: count, cohort: cohort), clip: clip, seed: 3, round: 1)
    let across = zip(scaled, next).reduce(0) { $0 + $1.0 * Double($1.1) / deviation }
    #expect(across.magnitude / Double(count) < 5 / root)
    #expect(!mean.contains(0))
  }

  @Test("a simulated cohort of M has the noise of a mean over M; the clip's count takes its share")
  func deviations() {
    var privacy = Privacy(clipping: .fixed(2), noise: .multiplier(0.5))
    #expect(privacy.noiseDeviation(clip: 2, cohort: 10) == 1)
    privacy.noiseCohortSize = 1000
    #expect((privacy.noiseDeviation(clip: 2, cohort: 10) - 0.01).magnitude < 1e-15)
    // Andrew et al., Theorem 1: with z_Delta and the count's 2 sigma_b the total is z again.
    privacy.clipping = .adaptive(AdaptiveClip(initial: 2, countDeviation: 0.5))
    let z = privacy.vectorNoiseMultiplier(cohort: 10)
    #expect(z > 0.5)
    #expect((1 / (1 / (z * z) + 1 / (2 * 0.5 * 2 * 0.5)).squareRoot() - 0.5).magnitude < 1e-15)
    // By default the count's noise is a twentieth of the (simulated) cohort: it costs little.
    privacy.clipping = .adaptive(AdaptiveClip(initial: 2))
    #expect(privacy.vectorNoiseMultiplier(cohort: 10) - 0.5 < 1e-5)
  }

  @Test("noise covers every coordinate, whatever the uploads' support")
  func dense() throws {
    let method = Method.flasc(download: 1, upload: 0.02)
    let noisy = try Self.play(
      Self.smallPlan(Privacy(clipping: .fixed(1), noise: .multiplier(0.1)), method: method))
    let quiet = try Self.play(
      Self.smallPlan(Privacy(clipping: .fixed(1), noise: .multiplier(0)), method: method))
    let start = wobble(Self.length, salt: 1)
    let still = zip(quiet.state.vector, start).count { $0 == $1 }
    #expect(still > Self.length / 2)
    #expect(zip(noisy.state.vector, start).count { $0 == $1 } == 0)
    // The messages are as sparse as before.
    #expect(noisy.records.allSatisfy { $0.clients.allSatisfy { $0.uploadNonzeros == 6 } })
  }

  @Test(
    "values rounded on the way count with no more than the clip", arguments: ValueFormat.allCases)
  func narrowValues(format: ValueFormat) throws {
    var method = Method.flasc(download: 1, upload: 0.5)
    method.values.upload = format
    var plan = Self.smallPlan(
      Privacy(clipping: .fixed(0.125), noise: .multiplier(0)), method: method)
    plan.server = .sgd(learningRate: 1)
    (plan.rounds, plan.cohort) = (1, .file([[2]]))
    let found = try Self.play(plan)
    let start = wobble(Self.length, salt: 1)
    let moved = zip(start, found.state.vector).map { Double($0 - $1) }
    let norm = moved.reduce(0) { $0 + $1 * $1 }.squareRoot()
    // The server's vector is rounded to Float after the step.
    #expect(norm <= 0.125 + 1e-6 && norm > 0.1, "\(format): \(norm)")
    #expect(found.records[0].privacy?.clippedShare == 1)
    let again = try Self.play(plan, ranks: 3)
    #expect(again.state == found.state)
  }

  // MARK: - The same bits

  private static let settings: [Privacy] = [
    Privacy(clipping: .fixed(0.5), noise: .multiplier(0.7)),
    Privacy(
      clipping: .adaptive(AdaptiveClip(initial: 4, quantile: 0.3, learningRate: 1)),
      noise: .multiplier(0.3)),
    Privacy(
      clipping: .adaptive(AdaptiveClip(initial: 0.1)), noise: .targetEpsilon(3), delta: 1e-4,
      noiseCohortSize: 50, population: 10_000),
  ]

  @Test("1, 2, 3 and 8 ranks give the same bits", arguments: settings)
  func ranks(privacy: Privacy) throws {
    let expected = try Self.play(Self.smallPlan(privacy))
    #expect(Set(expected.records.map(\.digest)).count == 4)
    for ranks in [2, 3, 8] {
      let found = try Self.play(Self.smallPlan(privacy), ranks: ranks)
      #expect(found.state == expected.state)
      #expect(found.records.map(\.digest) == expected.records.map(\.digest))
      #expect(found.records.map(\.privacy) == expected.records.map(\.privacy))
    }
  }

  @Test("an interrupted run goes on with the clip that it had reached")
  func resume() throws {
    let plan = Self.smallPlan(Self.settings[1])
    let whole = try Self.play(plan)
    #expect(whole.state.clip != nil && whole.state.clip != 4)
    let states = try ThreadCommunicators.run(size: 2) { communicator -> ServerState? in
      let run = try FederatedRun(
        plan: plan, partition: Self.partition, objective: Self.objective(),
        initialVector: wobble(Self.length, salt: 1), communicator: communicator)
      for _ in 0..<2 { _ = try run.advance() }
      return run.state
    }
    let half = try #require(states[0])
    let saved = try ServerState(
      round: half.round, vector: half.vector, firstMoment: half.firstMoment,
      secondMoment: half.secondMoment, clip: half.clip)
    #expect(saved.digest == half.digest)
    let run = try FederatedRun(
      plan: plan, partition: Self.partition, objective: Self.objective(), state: saved,
      communicator: SingleProcessCommunicator())
    var epsilons: [Double?] = []
    let final = try run.run { epsilons.append($0.privacy?.epsilon) }
    #expect(final.state == whole.state)
    #expect(epsilons == whole.records.suffix(2).map { $0.privacy?.epsilon })
    // Another clip is another state.
    let other = try ServerState(
      round: half.round, vector: half.vector, firstMoment: half.firstMoment,
      secondMoment: half.secondMoment, clip: half.clip?.nextUp)
    #expect(other.digest != half.digest)
  }

  @Test("a state with a clip and a plan without one, or the other way round, do not go together")
  func misfit() throws {
    let vector = wobble(Self.length, salt: 1)
    let server = ServerOptimizer.fedAdam(learningRate: 0.05)
    func start(_ privacy: Privacy?, clip: Double?) throws {
      _ = try FederatedRun(
        plan: Self.smallPlan(privacy), partition: Self.partition, objective: Self.objective(),
        state: ServerState(vector: vector, optimizer: server, clip: clip),
        communicator: SingleProcessCommunicator())
    }
    try start(Self.settings[1], clip: 0.5)
    #expect(throws: FederationError.self) { try start(Self.settings[1], clip: nil) }
    #expect(throws: FederationError.self) { try start(Self.settings[0], clip: 0.5) }
    #expect(throws: FederationError.self) {
      try ServerState(
        round: 1, vector: vector, firstMoment: [], secondMoment: [], clip: .infinity)
    }
  }

  // MARK: - Plans

  @Test("epsilon of each round is the accountant's, with the plan's rate")
  func epsilons() throws {
    let found = try Self.play(Self.smallPlan(Self.settings[0]))
    let accountant = PrivacyAccountant(samplingRate: 4.0 / 7, noiseMultiplier: 0.7)
    #expect(
      found.records.map { $0.privacy?.epsilon }
        == (1...4).map { accountant.epsilon(rounds: $0, delta: 1e-5).epsilon })
  }

  @Test("a target is settled before the first round, and cohorts from a file are not amplified")
  func target() throws {
    let plan = Self.smallPlan(Self.settings[2])
    let run = try FederatedRun(
      plan: plan, partition: Self.partition, objective: Self.objective(),
      initialVector: wobble(Self.length, salt: 1), communicator: SingleProcessCommunicator())
    let multiplier = try #require(run.plan.privacy?.noiseMultiplier)
    #expect(
      multiplier
        == PrivacyAccountant.noiseMultiplier(
          targetEpsilon: 3, delta: 1e-4, samplingRate: 50.0 / 10_000, rounds: 4))
    let accountant = try #require(run.accountant)
    #expect(accountant.epsilon(rounds: 4, delta: 1e-4).epsilon <= 3)
    var listed = plan
    listed.cohort = .file([[0], [1], [2], [3]])
    #expect(listed.samplingRate(Self.settings[2], population: 7) == 1)
    #expect(plan.samplingRate(Self.settings[0], population: 7) == 4.0 / 7)
  }

  @Test("impossible privacy is refused by name")
  func problems() {
    func problems(
      _ privacy: Privacy, weighting: Weighting = .uniform
    ) -> [PlanProblem] {
      Self.smallPlan(privacy, weighting: weighting).problems(population: 7)
    }
    let one = Privacy(clipping: .fixed(1), noise: .multiplier(1))
    #expect(problems(one) == [])
    var cases: [(Privacy, String)] = []
    func refuse(_ text: String, _ change: (inout Privacy) -> Void) {
      var privacy = one
      change(&privacy)
      cases.append((privacy, text))
    }
    refuse("clip: 0 is") { $0.clipping = .fixed(0) }
    refuse("clip: inf is") {
      $0.clipping = .adaptive(AdaptiveClip(initial: .infinity, countDeviation: 1))
    }
    refuse("noise_multiplier: 1 is not allowed; give 0 without a clip") {
      $0.clipping = .fixed(.infinity)
    }
    refuse("clip_quantile: 1 is") {
      $0.clipping = .adaptive(AdaptiveClip(initial: 1, quantile: 1, countDeviation: 1))
    }
    refuse("clip_learning_rate: 0 is") {
      $0.clipping = .adaptive(AdaptiveClip(initial: 1, learningRate: 0, countDeviation: 1))
    }
    refuse("clip_count_deviation: 0.2 is not allowed; give a number above 0.5") {
      $0.clipping = .adaptive(AdaptiveClip(initial: 1))
    }
    refuse("noise_multiplier: -1 is") { $0.noise = .multiplier(-1) }
    refuse("target_epsilon: 0 is") { $0.noise = .targetEpsilon(0) }
    refuse("delta: 1 is") { $0.delta = 1 }
    refuse("noise_cohort_size: 8 is not allowed; give an integer from 1 to 7") {
      $0.noiseCohortSize = 8
    }
    refuse("population: 3 is not allowed; give an integer of at least 4") { $0.population = 3 }
    for (privacy, text) in cases {
      let found = problems(privacy)
      #expect(found.count == 1 && "\(found[0])".hasPrefix("privacy." + text), "\(text): \(found)")
    }
    let weighted = problems(one, weighting: .examples)
    #expect(
      weighted.map(\.key) == ["federation.weighting"] && weighted[0].text.hasPrefix("examples is"))
    var method = Method.flasc(download: 0.5, upload: 0.2)
    method.aggregation = .normWeighted
    let combined = Self.smallPlan(one, method: method).problems(population: 7)
    #expect(
      combined.map(\.key) == ["method.aggregation"]
        && combined[0].text.hasPrefix("norm_weighted is"))
    #expect(throws: FederationError.self) {
      var privacy = one
      (privacy.noise, privacy.delta) = (.targetEpsilon(1e-4), 1e-30)
      _ = try Self.smallPlan(privacy).settlingNoise(population: 7)
    }
  }
}
