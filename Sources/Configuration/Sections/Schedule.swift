// A learning-rate schedule, as the server and the clients have one.

package import Federation

extension Experiment {
  /// How a step size changes with the round.
  package struct Schedule: Sendable, Equatable {
    /// What follows the warm-up.
    package var kind = Kind.constant
    /// Rounds in which the step size rises.
    package var warmupRounds = 0
    /// The share of the step size that the schedule ends at.
    package var final = 0.0
    /// The step size is multiplied by it after every period.
    package var factor = 0.5
    /// Rounds between two multiplications.
    package var period = 10

    /// The ways in which a step size falls.
    package enum Kind: String, Sendable, CaseIterable { case constant, linear, cosine, exponential }
  }
}

extension ExperimentKey {
  static let warmupMeaning =
    "rounds in which the step size rises from 1 / (warmup_rounds + 1) of its value; the schedule"
    + " starts after them"
  static let finalMeaning = "final factor of the step size (0: decay to zero)"
  static let factorMeaning = "the step size is multiplied by this factor after each period"
  static let periodMeaning = "rounds between two multiplications of the step size"
}

extension ValueForm where Value == Int {
  static var warmup: ValueForm { .integer(atLeast: 0, atMost: 1 << 31) }
  static var period: ValueForm { .integer(atLeast: 1, atMost: 1 << 31) }
}

extension ValueForm where Value == Double {
  static var finalShare: ValueForm { .number(.share) }
  static var shrinkage: ValueForm { .number(.positiveShare) }
}

extension Experiment.Schedule {
  package func plan(rounds: Int) -> LearningRateSchedule {
    let decay: LearningRateSchedule.Decay =
      switch kind {
      case .constant: .constant
      case .linear: .linear(final: final, rounds: rounds)
      case .cosine: .cosine(final: final, rounds: rounds)
      case .exponential: .exponential(factor: factor, period: period)
      }
    return LearningRateSchedule(decay: decay, warmupRounds: warmupRounds)
  }
}
