// Privacy as part of a federation: what the accountant is told, the noise that a target asks for, and
// the hooks of a round.
internal import Communication
internal import Sparsity

/// What privacy did in a round.
public struct PrivacyRecord: Sendable, Equatable {
  /// The clip C of the round's uploads.
  public var clip: Double
  /// The share of the cohort whose uploads were scaled down.
  public var clippedShare: Double
  /// The standard deviation of the noise in each coordinate of the pseudo-gradient.
  public var meanNoiseDeviation: Double
  /// The epsilon of all rounds so far, at the plan's delta.
  public var epsilon: Double
}

extension FederationPlan {
  /// The rate with which a client takes part in a round, as the accountant sees it: cohort over
  /// population, the simulated ones where they are given. Cohorts from a file are not random, so
  /// nothing is claimed for them: 1.
  public func samplingRate(_ privacy: Privacy, population: Int) -> Double {
    guard case .uniform(let size) = cohort else { return 1 }
    return Double(privacy.simulatedCohort(size)) / Double(privacy.population ?? population)
  }

  /// The accountant of the plan's rounds; nil without privacy.
  ///
  /// - Precondition: The noise is a multiplier.
  public func accountant(population: Int) -> PrivacyAccountant? {
    guard let privacy else { return nil }
    guard let multiplier = privacy.noiseMultiplier else {
      preconditionFailure("the noise is not settled: \(privacy.noise)")
    }
    return PrivacyAccountant(
      samplingRate: samplingRate(privacy, population: population), noiseMultiplier: multiplier)
  }

  /// The plan with the noise multiplier that its target epsilon asks for; the plan itself where it
  /// has no target.
  ///
  /// - Throws: `FederationError` where no noise multiplier reaches the target, or where it leaves
  ///   nothing for the clip's count.
  public func settlingNoise(population: Int) throws -> FederationPlan {
    guard let privacy, case .targetEpsilon(let epsilon) = privacy.noise else { return self }
    guard
      let multiplier = PrivacyAccountant.noiseMultiplier(
        targetEpsilon: epsilon, delta: privacy.delta,
        samplingRate: samplingRate(privacy, population: population), rounds: rounds)
    else {
      throw FederationError([
        PlanProblem(
          "privacy.target_epsilon",
          "\(short(epsilon)) at delta \(privacy.delta) is not allowed; give more, for no noise multiplier up"
            + " to \(Int(PrivacyAccountant.largestSearchedMultiplier)) reaches it",
          with: ["privacy.delta"])
      ])
    }
    var settled = self
    settled.privacy?.noise = .multiplier(multiplier)
    try settled.check(population: population)
    return settled
  }
}

extension RoundContext {
  /// The clip of this round, on every rank; nil without privacy.
  ///
  /// - Parameter server: Needed on rank 0.
  /// - Communication: A broadcast of 8 bytes where the clip changes from round to round.
  func agreedClip(of server: ServerState?) throws -> Double? {
    switch plan.privacy?.clipping {
    case nil: return nil
    case .fixed(let clip): return clip
    case .adaptive:
      var clip = [server?.clip ?? 0]
      try communicator.broadcast(&clip)
      return clip[0]
    }
  }

  /// The mean of the cohort's uploads, with noise where privacy is on.
  func noisyMean(of sum: FixedPointSum, clip: Double?) -> [Float] {
    guard let privacy = plan.privacy, let clip else { return sum.mean() }
    return privacy.noisyMean(of: sum, clip: clip, seed: plan.seed, round: round)
  }

  /// The clip of the next round.
  ///
  /// - Throws: `FederationError` when it leaves what a clip can be.
  func adaptedClip(_ clip: Double?, norms: [Double]) throws -> Double? {
    guard let privacy = plan.privacy, let clip else { return nil }
    let next = privacy.nextClip(
      clip, within: norms.count { $0 <= clip }, cohort: norms.count, seed: plan.seed, round: round)
    if let next, !(next >= FloatRange.smallest && next.isFinite) {
      throw FederationError(
        round: round,
        reason: "the adaptive clip went from \(clip) to \(next); try a lower clip_learning_rate")
    }
    return next
  }

  /// What privacy did in this round.
  func privacyRecord(clip: Double?, norms: [Double]) -> PrivacyRecord? {
    guard let privacy = plan.privacy, let clip, let accountant else { return nil }
    let deviation = privacy.noiseDeviation(clip: clip, cohort: norms.count)
    return PrivacyRecord(
      clip: clip,
      clippedShare: Double(norms.count { $0 > clip }) / Double(norms.count),
      meanNoiseDeviation: deviation / Double(norms.count),
      epsilon: accountant.epsilon(rounds: round + 1, delta: privacy.delta).epsilon)
  }
}
