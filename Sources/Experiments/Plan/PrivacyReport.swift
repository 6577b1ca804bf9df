// What a run and `plan` say of privacy: remarks before the first round, the table of `plan`, the line
// at the end and the manifest's entry.

internal import Configuration
internal import Federation
internal import Files
internal import RunFiles
internal import Sparsity

/// Privacy as a run has it, with the noise found where a target was given.
struct PrivacyReport {
  private let plan: FederationPlan
  private let privacy: Privacy
  private let population: Int
  private let accountant: PrivacyAccountant

  /// Nil without privacy.
  /// - Precondition: The plan's noise is settled.
  init?(_ plan: FederationPlan, population: Int) {
    guard let privacy = plan.privacy, let accountant = plan.accountant(population: population)
    else { return nil }
    self.plan = plan
    self.privacy = privacy
    self.population = population
    self.accountant = accountant
  }

  private var assumedPopulation: Int { privacy.population ?? population }

  private func epsilon(rounds: Int) -> Double {
    accountant.epsilon(rounds: rounds, delta: privacy.delta).epsilon
  }

  /// What a user should know before trusting the numbers.
  var notices: [String] {
    var found: [String] = []
    if accountant.noiseMultiplier == 0 {
      found.append("privacy: uploads are clipped, but without noise epsilon is infinite")
    }
    if case .topMagnitude = plan.method.upload {
      found.append(
        "privacy: uploads keep the coordinates of largest magnitude, a choice that depends on a"
          + " client's data. The noise covers all coordinates of the sum, so epsilon holds for what"
          + " leaves the aggregation; who sees a message before it sees that client's choice")
    }
    if privacy.delta * Double(assumedPopulation) >= 1 {
      found.append(
        "privacy: delta \(short(privacy.delta)) is not below 1 / population"
          + " (\(assumedPopulation)), so that it allows to give a client away")
    }
    if privacy.noiseCohortSize != nil || privacy.population != nil {
      found.append(
        "privacy: noise and epsilon are those of a simulated federation, with"
          + " \(sampleText) a round; they are no guarantee for this run's own clients")
    }
    if case .file = plan.cohort {
      found.append(
        "privacy: cohorts come from a file, so nothing is gained by sampling: epsilon is that of"
          + " clients who take part in every round")
    }
    return found
  }

  private var sampleText: String {
    guard case .uniform(let size) = plan.cohort else { return "all clients" }
    return "\(grouped(privacy.noiseCohortSize ?? size)) of \(grouped(assumedPopulation)) clients"
  }

  /// The table of `plan`.
  var table: String {
    let cohort = plan.cohort.cohort(round: 0, population: population, seed: plan.seed).count
    let cost = accountant.epsilon(rounds: plan.rounds, delta: privacy.delta)
    var rows = [
      ["quantity", "value", "of"],
      [
        "epsilon", significant(cost.epsilon),
        "all \(grouped(plan.rounds)) rounds at delta \(short(privacy.delta))"
          + " (order \(short(cost.order)))",
      ],
      ["", significant(epsilon(rounds: 1)), "one round"],
      ["sampling rate", significant(accountant.samplingRate), "\(sampleText) a round"],
      ["noise multiplier", short(accountant.noiseMultiplier), "a round: noise over clip"],
    ]
    let clip: Double
    switch privacy.clipping {
    case .fixed(let value):
      clip = value
      rows.append(["clip", short(clip), "the L2 norm of an upload"])
    case .adaptive(let adaptive):
      clip = adaptive.initial
      rows += [
        [
          "", significant(privacy.vectorNoiseMultiplier(cohort: cohort)),
          "the vector: more, as the count for the clip takes its share",
        ],
        ["clip", short(clip), "the L2 norm of an upload in round 0"],
      ]
    }
    let deviation = privacy.noiseDeviation(clip: clip, cohort: cohort) / Double(cohort)
    rows.append(
      ["noise", significant(deviation), "deviation in each coordinate of the mean, round 0"])
    return "\nprivacy\n" + alignedText(rows, indent: "  ")
  }

  /// The line at the end of a run.
  func text(rounds: Int) -> String {
    "privacy epsilon \(significant(epsilon(rounds: rounds))) at delta \(short(privacy.delta)) after"
      + " \(rounds) rounds: \(sampleText) a round, noise multiplier \(short(accountant.noiseMultiplier))\n"
  }

  /// The manifest's entry; epsilon is that of the whole plan.
  var manifest: Manifest.Privacy {
    Manifest.Privacy(
      noiseMultiplier: accountant.noiseMultiplier, samplingRate: accountant.samplingRate,
      delta: privacy.delta, epsilon: "\(epsilon(rounds: plan.rounds))", rounds: plan.rounds)
  }
}

/// Four significant digits.
private func significant(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return value == 0 ? "0" : "infinite" }
  var (scale, digits) = (1.0, 0)
  while (value * scale).magnitude < 1000, digits < 12 { (scale, digits) = (scale * 10, digits + 1) }
  return fixed(value, digits)
}
