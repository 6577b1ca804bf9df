// How a learning rate changes with the round. With T rounds, w of them warm-up, the rate in round t
// (from 0) is the given one times
//
//   (t + 1) / (w + 1)                                                while t < w, and then with
//   u = t - w,  x = u / (T - w):
//   constant     1
//   linear       1 + (f - 1) x
//   cosine       f + (1 - f) (1 + cos(pi x)) / 2      Loshchilov & Hutter 2017 (SGDR), equation 5
//   exponential  gamma^(u div period)
//
// the factors of PyTorch's SequentialLR of LinearLR (start_factor 1 / (w + 1)) and LinearLR,
// CosineAnnealingLR (T_max = T - w) or StepLR. No round has the final factor f itself: it is what a
// round after the last one would have, so that no round is spent on a rate of 0.

internal import Sparsity

/// A factor on a learning rate as a function of the round.
public struct LearningRateSchedule: Sendable, Equatable {
  /// The rounds in which the rate rises to the given one.
  public var warmupRounds: Int
  /// What follows.
  public var decay: Decay

  /// How the rate falls after the warm-up.
  public enum Decay: Sendable, Equatable {
    /// Not at all.
    case constant
    /// In a straight line that would end at `final` after `rounds` rounds, warm-up included.
    case linear(final: Double, rounds: Int)
    /// Along half a wave that would end at `final` after `rounds` rounds, warm-up included.
    case cosine(final: Double, rounds: Int)
    /// By `factor` after every `period` rounds.
    case exponential(factor: Double, period: Int)
  }

  /// The given rate in every round.
  public static let constant = LearningRateSchedule(decay: .constant)

  /// A schedule of these values.
  public init(decay: Decay, warmupRounds: Int = 0) {
    self.decay = decay
    self.warmupRounds = warmupRounds
  }

  /// The factor of a round; after the schedule's rounds, the final one.
  ///
  /// - Precondition: `round` is not negative, and the schedule has no ``problems(_:rounds:)``.
  public func factor(round: Int) -> Double {
    precondition(round >= 0, "learning-rate schedule: round \(round) is negative")
    if round < warmupRounds { return Double(round + 1) / Double(warmupRounds + 1) }
    let past = round - warmupRounds
    func progress(_ rounds: Int) -> Double {
      min(1, Double(past) / Double(max(1, rounds - warmupRounds)))
    }
    switch decay {
    case .constant: return 1
    case .linear(let final, let rounds): return 1 + (final - 1) * progress(rounds)
    case .cosine(let final, let rounds): return final + (1 - final) * halfWave(progress(rounds))
    case .exponential(let factor, let period): return power(factor, past / period)
    }
  }

  /// What is wrong with its values for a run of so many rounds.
  ///
  /// - Parameter section: The section of whose rate it is: `federation.server` or `local`.
  public func problems(_ section: String, rounds: Int) -> [PlanProblem] {
    var checks = ValueChecks("\(section).schedule")
    let run = ["federation.rounds"]
    checks.require(
      warmupRounds >= 0 && (warmupRounds == 0 || warmupRounds < rounds), "warmup_rounds",
      warmupRounds,
      give: "an integer from 0 to \(max(1, rounds) - 1), as federation.rounds is \(rounds)",
      with: run)
    switch decay {
    case .constant: break
    case .linear(let final, let length), .cosine(let final, let length):
      checks.require("final", final, in: .share)
      checks.require(
        length >= rounds, "kind", "an end after \(length) rounds",
        give: "at least the run's, \(rounds)", with: run)
    case .exponential(let factor, let period):
      checks.require("factor", factor, in: .positiveShare)
      checks.require("period", period, atLeast: 1)
    }
    return checks.problems
  }
}

/// (1 + cos(pi x)) / 2 = cos(pi x / 2)^2 for x in 0...1, without libm: the Taylor series of cosine
/// (x <= 1/2) or sine (of the complement) on 0...pi/4 in a fixed order, so that every machine gets
/// the same bits. Within 5 units in the last place.
private func halfWave(_ x: Double) -> Double {
  let isNear = x <= 0.5
  let angle = (isNear ? x : 1 - x) * (.pi / 2)
  let square = angle * angle
  // 1 - s/(1*2) (1 - s/(3*4) (1 - ...)); sine has s/(2*3), s/(4*5), ... and the angle in front.
  var series = 1.0
  for term in stride(from: 9, through: 1, by: -1) {
    let n = Double(2 * term + (isNear ? 0 : 1))
    series = 1 - square / ((n - 1) * n) * series
  }
  let root = isNear ? series : angle * series
  return root * root
}
