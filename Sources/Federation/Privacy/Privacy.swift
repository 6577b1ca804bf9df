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
  /// What is wrong with its values for such a federation, one line each; empty when nothing is.
  func problems(
    cohort: CohortPlan, weighting: Weighting, aggregation: AggregationKind, population: Int
  ) -> [String] {
    var checks = ValueChecks("privacy")
    switch clipping {
    case .fixed(let clip):
      checks.require(
        clip >= FloatRange.smallest, "clip", clip, "at least \(FloatRange.smallest)")
    case .adaptive(let clip):
      checks.requirePositiveFloat("clip", clip.initial)
      checks.require(
        clip.quantile > 0 && clip.quantile < 1, "clip_quantile", clip.quantile, "between 0 and 1")
      checks.requirePositive("clip_learning_rate", clip.learningRate)
      if let deviation = clip.countDeviation {
        checks.requireNotNegative("clip_count_deviation", deviation)
      }
    }
    switch noise {
    case .multiplier(let multiplier):
      checks.requireNotNegative("noise_multiplier", multiplier)
      if case .fixed(let clip) = clipping, clip == .infinity {
        checks.require(multiplier == 0, "noise_multiplier", multiplier, "0 without a clip")
      }
    case .targetEpsilon(let epsilon): checks.requirePositive("target_epsilon", epsilon)
    }
    checks.require(delta > 0 && delta < 1, "delta", delta, "between 0 and 1")
    checks.require(
      weighting == .uniform, "weighting", weighting.rawValue,
      "uniform: the noise is for clients that count alike")
    checks.require(
      aggregation.allowsNoise, "aggregation", aggregation.name,
      "\(Aggregators.namesWithNoise): the noise is for the mean of the uploads")
    let assumed = self.population ?? population
    checks.require(assumed >= 1, "population", assumed, "at least 1")
    if let size = noiseCohortSize {
      checks.require(
        (1...max(1, assumed)).contains(size), "noise_cohort_size", size,
        "at least 1 and at most the population, \(assumed)")
    } else if case .uniform(let size) = cohort, size > assumed {
      checks.require(false, "population", assumed, "at least the cohort_size, \(size)")
    }
    return checks.problems + countProblems(cohort)
  }

  /// The count of the clients within the clip cannot take more of the privacy than there is.
  private func countProblems(_ cohort: CohortPlan) -> [String] {
    guard case .adaptive(let clip) = clipping, let z = noiseMultiplier, z > 0 else { return [] }
    let smallest =
      switch cohort {
      case .uniform(let size): size
      case .file(let cohorts): cohorts.map(\.count).min() ?? 1
      }
    let deviation = clip.countDeviation(cohort: simulatedCohort(smallest))
    guard !(2 * deviation > z) else { return [] }
    return [
      "privacy clip_count_deviation is \(deviation); it must be greater than \(z / 2), half of the"
        + " noise multiplier, for the count takes its part of the privacy"
    ]
  }
}
