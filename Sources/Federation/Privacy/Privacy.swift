// Differentially private federated averaging as a value (McMahan, Ramage, Talwar & Zhang 2018,
// "Learning differentially private recurrent language models"; adaptive clipping from Andrew,
// Thakkar, McMahan & Ramaswamy 2021, "Differentially private learning with adaptive clipping").
// With cohort c = 1...m, clip C and noise multiplier z, in this order:
//
//   client   u_c <- upload selection of its delta
//            u_c <- u_c min(1, C / ||u_c||)                  what is sent has an L2 norm <= C
//   server   s   <- sum_c u_c, exact
//            g   <- (s + N(0, (z C)^2) in each of the n coordinates) / m
//
// One client changes s by at most C, wherever its support lies, so s + noise is a Gaussian mechanism
// of noise multiplier z; everything after it (server optimizer, download masks) is post-processing.
// docs/privacy.md says what that protects and what it does not.

/// What is clipped, how much noise is added, and what the accountant assumes.
public struct Privacy: Sendable, Equatable {
  /// The bound on a client's upload.
  public var clipping: Clipping
  /// How much noise.
  public var noise: Noise
  /// The delta of the guarantee.
  public var delta: Double
  /// The cohort whose noise and sampling are simulated; nil for the one that is run.
  public var noiseCohortSize: Int?
  /// The population that cohorts are drawn from, as the accountant sees it; nil for the run's.
  public var population: Int?

  /// The bound on a client's upload.
  public enum Clipping: Sendable, Equatable {
    /// The same L2 norm in every round; infinite is no clipping.
    case fixed(Double)
    /// A norm that follows a quantile of the clients' norms.
    case adaptive(AdaptiveClip)
  }

  /// How much noise.
  public enum Noise: Sendable, Equatable {
    /// The noise multiplier z of a round: noise over sensitivity.
    case multiplier(Double)
    /// The smallest z, in steps of 0.0001, with which all rounds together stay within this epsilon;
    /// `FederatedRun` finds it before its first round.
    case targetEpsilon(Double)
  }

  /// Privacy of these values.
  public init(
    clipping: Clipping, noise: Noise, delta: Double = 1e-5, noiseCohortSize: Int? = nil,
    population: Int? = nil
  ) {
    self.clipping = clipping
    self.noise = noise
    self.delta = delta
    self.noiseCohortSize = noiseCohortSize
    self.population = population
  }

  /// The noise multiplier z of a round; nil while it is still to be found.
  public var noiseMultiplier: Double? {
    if case .multiplier(let multiplier) = noise { multiplier } else { nil }
  }

  /// The clip before round 0 where it changes from round to round; nil where it does not.
  var initialAdaptiveClip: Double? {
    if case .adaptive(let clip) = clipping { clip.initial } else { nil }
  }

  /// The cohort whose noise is simulated, for a real one of `cohort` clients.
  func simulatedCohort(_ cohort: Int) -> Int { noiseCohortSize ?? cohort }

  /// The noise multiplier of the vector: z, or more where the clip's count takes a share of the
  /// privacy (Andrew et al., Theorem 1: z_Delta = (z^-2 - (2 sigma_b)^-2)^(-1/2)).
  ///
  /// - Precondition: The noise is a multiplier.
  public func vectorNoiseMultiplier(cohort: Int) -> Double {
    guard let z = noiseMultiplier else { preconditionFailure("the noise is not settled: \(noise)") }
    guard z > 0, case .adaptive(let clip) = clipping else { return z }
    let count = 2 * clip.countDeviation(cohort: simulatedCohort(cohort))
    return 1 / (1 / (z * z) - 1 / (count * count)).squareRoot()
  }

  /// The standard deviation of the noise in each coordinate of the cohort's sum: z C, and where a
  /// larger cohort of M is simulated m / M of that, so that the mean's noise is z C / M.
  public func noiseDeviation(clip: Double, cohort: Int) -> Double {
    let multiplier = vectorNoiseMultiplier(cohort: cohort)
    guard multiplier > 0 else { return 0 }
    return multiplier * clip * Double(cohort) / Double(simulatedCohort(cohort))
  }
}

/// A clip that moves towards a quantile of the norms of the clients' uploads: each client says
/// whether its norm is within C, and with b the noised share of those
///
///   C <- C exp(-eta (b - gamma))       (Andrew et al. 2021, Algorithm 1)
public struct AdaptiveClip: Sendable, Equatable {
  /// The clip of round 0.
  public var initial: Double
  /// The quantile gamma.
  public var quantile: Double
  /// The step eta.
  public var learningRate: Double
  /// The standard deviation sigma_b of the noise in the count of clients within C; nil for a
  /// twentieth of the cohort.
  public var countDeviation: Double?

  /// A clip of these values; the defaults are Andrew et al.'s.
  public init(
    initial: Double, quantile: Double = 0.5, learningRate: Double = 0.2,
    countDeviation: Double? = nil
  ) {
    self.initial = initial
    self.quantile = quantile
    self.learningRate = learningRate
    self.countDeviation = countDeviation
  }

  /// sigma_b for a cohort of so many clients.
  public func countDeviation(cohort: Int) -> Double { countDeviation ?? Double(cohort) / 20 }
}

extension Privacy {
  /// What is wrong with its values, and with those of a plan that has it.
  func problems(in plan: FederationPlan) -> [PlanProblem] {
    var checks = ValueChecks("privacy")
    checks.require(clipping)
    switch noise {
    case .multiplier(let multiplier):
      checks.require("noise_multiplier", multiplier, in: .float)
      if case .fixed(let clip) = clipping, clip == .infinity {
        checks.require(
          multiplier == 0, "noise_multiplier", short(multiplier), give: "0 without a clip")
      }
    case .targetEpsilon(let epsilon): checks.require("target_epsilon", epsilon, in: .positive)
    }
    checks.require("delta", delta, in: .innerShare)
    if let population { checks.require("population", population, atLeast: 1) }
    if let noiseCohortSize {
      checks.require("noise_cohort_size", noiseCohortSize, atLeast: 1)
    }
    return checks.problems + countProblems(plan.cohort) + meanProblems(plan)
      + lossProblems(plan.system)
  }

  /// What is wrong with it for a population of so many clients.
  func problems(cohort: CohortPlan, population: Int) -> [PlanProblem] {
    let assumed = self.population ?? population
    let others = ["privacy.population"] + PlanProblem.populationKeys
    if let size = noiseCohortSize {
      guard size > max(1, assumed) else { return [] }
      return [
        PlanProblem(
          "privacy.noise_cohort_size", size,
          give: "an integer from 1 to \(assumed), as the population is \(assumed)", with: others)
      ]
    }
    guard self.population != nil, case .uniform(let size) = cohort, size > assumed else {
      return []
    }
    return [
      PlanProblem(
        "privacy.population", assumed,
        give: "an integer of at least \(size), as federation.cohort_size is \(size)",
        with: ["federation.cohort_size"])
    ]
  }

  /// The noise is for the mean of clients that count alike.
  private func meanProblems(_ plan: FederationPlan) -> [PlanProblem] {
    let kind = plan.method.aggregation.kind
    var found: [PlanProblem] = []
    func refuse(_ key: String, _ value: String, give allowed: String) {
      found.append(
        PlanProblem(
          key,
          "\(value) is not allowed with privacy; give \(allowed), for the noise is for a mean of"
            + " clients that count alike", with: ["privacy.clipping"]))
    }
    if plan.weighting != .uniform {
      refuse("federation.weighting", plan.weighting.rawValue, give: Weighting.uniform.rawValue)
    }
    if !kind.allowsNoise {
      refuse("method.aggregation", kind.name, give: Aggregators.namesWithNoise)
    }
    if plan.method.rankPruning != nil {
      found.append(
        PlanProblem(
          "method.rank_pruning.factor",
          "rank_pruning does not work with privacy: the pruned ranks reveal something about a client's data",
          with: ["privacy.clipping"]))
    }
    return found
  }

  /// The noise is for cohorts of one size.
  private func lossProblems(_ system: SystemModel?) -> [PlanProblem] {
    (system?.losses ?? []).map { name in
      PlanProblem(
        "system." + name,
        "is not allowed with privacy.clipping: \(clipping.name), whose noise is for cohorts of one"
          + " size; leave it out", with: ["privacy.clipping"])
    }
  }

  /// The count of the clients within the clip cannot take more of the privacy than there is.
  private func countProblems(_ cohort: CohortPlan) -> [PlanProblem] {
    guard case .adaptive(let clip) = clipping, let z = noiseMultiplier, z > 0,
      let size = simulatedSize(cohort)
    else { return [] }
    let deviation = clip.countDeviation(cohort: size)
    guard !(2 * deviation > z) else { return [] }
    return [
      PlanProblem(
        "privacy.clip_count_deviation", short(deviation),
        give:
          "a number above \(short(z / 2)), half of the noise multiplier, for the count takes its"
          + " part of the privacy",
        with: [
          "privacy.noise_multiplier", "federation.cohort_size", "privacy.noise_cohort_size",
          "privacy.target_epsilon",
        ])
    ]
  }

  /// The smallest cohort whose noise is simulated; nil for cohorts of a file that was not read yet.
  private func simulatedSize(_ cohort: CohortPlan) -> Int? {
    switch cohort {
    case .uniform(let size): simulatedCohort(size)
    case .file(let cohorts): cohorts.map(\.count).min().map { simulatedCohort($0) }
    }
  }
}

extension Privacy.Clipping {
  /// The value of `privacy.clipping`.
  var name: String {
    switch self {
    case .fixed: "fixed"
    case .adaptive: "adaptive"
    }
  }
}

extension ValueChecks {
  /// The values of a bound on uploads make sense.
  fileprivate mutating func require(_ clipping: Privacy.Clipping) {
    switch clipping {
    case .fixed(let clip): if clip != .infinity { require("clip", clip, in: .positiveFloat) }
    case .adaptive(let clip):
      require("clip", clip.initial, in: .positiveFloat)
      require("clip_quantile", clip.quantile, in: .innerShare)
      require("clip_learning_rate", clip.learningRate, in: .positive)
      if let deviation = clip.countDeviation {
        require("clip_count_deviation", deviation, in: .notNegative)
      }
    }
  }
}
