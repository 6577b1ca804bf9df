// The section `privacy`: differentially private federated averaging (docs/privacy.md).

package import Federation

extension Experiment {
  /// What is clipped and how much noise is added.
  package struct PrivacySection: Sendable, Equatable {
    /// How uploads are clipped; without it there is no privacy.
    package var clipping = Clipping.none
    /// The largest L2 norm of an upload, at first where it adapts.
    package var clip = 1.0
    /// The share of clients whose uploads are to be within the clip.
    var clipQuantile = 0.5
    /// The step of the clip's logarithm.
    var clipLearningRate = 0.2
    /// Noise in the count of clients within the clip; nil means a twentieth of the cohort.
    var clipCountDeviation: Double?
    /// The epsilon to stay within; nil where the noise is given.
    package var targetEpsilon: Double?
    /// Noise over clip.
    package var noiseMultiplier = 1.0
    /// The delta of the guarantee.
    package var delta = 1e-5
    /// The cohort whose noise is simulated; nil means the one that is run.
    package var noiseCohortSize: Int?
    /// The population of the guarantee; nil means the one that is run.
    package var population: Int?

    /// The ways in which uploads are clipped.
    package enum Clipping: String, Sendable, CaseIterable { case none, fixed, adaptive }
  }
}

extension ExperimentKey {
  static let privacyKeys: [ExperimentKey] = [
    ExperimentKey(
      "privacy.clipping", \.privacy.clipping, .choice,
      "how uploads are clipped in L2 norm: not at all (no privacy), to a fixed norm (McMahan et"
        + " al. 2018), or to an adaptive norm (Andrew et al. 2021)"),
    ExperimentKey(
      "privacy.clip", \.privacy.clip, .number(.positiveFloat), required: true,
      only: clipping(.fixed, .adaptive),
      "the largest L2 norm of an upload; with adaptive clipping the norm of the first round"),
    ExperimentKey(
      "privacy.clip_quantile", \.privacy.clipQuantile, .number(.innerShare),
      only: clipping(.adaptive),
      "the target share of clients whose uploads are not clipped"),
    ExperimentKey(
      "privacy.clip_learning_rate", \.privacy.clipLearningRate, .number(.positive),
      only: clipping(.adaptive), "step size of the logarithm of the clip in a round"),
    ExperimentKey(
      "privacy.clip_count_deviation", \.privacy.clipCountDeviation,
      .either("auto", or: .number(.notNegative)), only: clipping(.adaptive),
      "standard deviation of the noise on the count of unclipped clients; auto: a twentieth of"
        + " the cohort size"),
    ExperimentKey(
      "privacy.target_epsilon", \.privacy.targetEpsilon, .either("none", or: .number(.positive)),
      only: clipping(.fixed, .adaptive),
      "the epsilon that all rounds together must not exceed; the program finds the noise"
        + " multiplier"),
    ExperimentKey(
      "privacy.noise_multiplier", \.privacy.noiseMultiplier, .number(.float), required: true,
      only: clipping(.fixed, .adaptive),
      and: Condition(
        path: "privacy.target_epsilon", values: ["none"],
        current: { $0.privacy.targetEpsilon.map(short) ?? "none" }),
      "standard deviation of the noise on each coordinate of the cohort's sum, as a multiple of"
        + " the clip"),
    ExperimentKey(
      "privacy.delta", \.privacy.delta, .number(.innerShare),
      only: clipping(.fixed, .adaptive),
      "delta of the guarantee; choose it well below 1 / population"),
    ExperimentKey(
      "privacy.noise_cohort_size", \.privacy.noiseCohortSize,
      .either("auto", or: .integer(atLeast: 1, atMost: 1 << 31)),
      only: clipping(.fixed, .adaptive),
      "scale noise and accounting for a cohort of this size, to simulate a larger federation;"
        + " auto: the size of the real cohort"),
    ExperimentKey(
      "privacy.population", \.privacy.population,
      .either("auto", or: .integer(atLeast: 1, atMost: 1 << 53)),
      only: clipping(.fixed, .adaptive),
      "population size for the accounting, to simulate a larger federation; auto: the real"
        + " population"),
  ]

  private static func clipping(
    _ values: Experiment.PrivacySection.Clipping...
  ) -> Condition {
    Condition(
      path: "privacy.clipping", values: values.map(\.rawValue),
      current: { $0.privacy.clipping.rawValue })
  }
}

extension Experiment.PrivacySection {
  package var plan: Privacy? {
    let clipping: Privacy.Clipping
    switch self.clipping {
    case .none: return nil
    case .fixed: clipping = .fixed(clip)
    case .adaptive:
      clipping = .adaptive(
        AdaptiveClip(
          initial: clip, quantile: clipQuantile, learningRate: clipLearningRate,
          countDeviation: clipCountDeviation))
    }
    return Privacy(
      clipping: clipping,
      noise: targetEpsilon.map { .targetEpsilon($0) } ?? .multiplier(noiseMultiplier),
      delta: delta, noiseCohortSize: noiseCohortSize, population: population)
  }
}
