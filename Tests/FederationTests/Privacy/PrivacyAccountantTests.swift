// What rounds cost, against Google's dp-accounting, numbers in print, and integrals.
import Federation
import Foundation
import Testing

private struct AccountantGolden: Decodable {
  /// rate, noise multiplier, rounds, delta, epsilon, order
  let epsilons: [[Double]]
  /// rate, noise multiplier, order, dp-accounting's RDP or -1 for infinite, the integral's
  let divergences: [[Double]]
  /// target epsilon, delta, rate, rounds, noise multiplier
  let multipliers: [[Double]]

  static let command = "python Tests/Goldens/privacy/generate.py"
}

/// Whether two numbers agree to so many parts of the second.
private func agree(_ a: Double, _ b: Double, to tolerance: Double) -> Bool {
  a == b || (a - b).magnitude <= tolerance * b.magnitude
}

@Suite struct PrivacyAccountantTests {
  private let golden: AccountantGolden
  init() throws { golden = try loadGolden("privacy/accountant.json") }

  @Test("epsilons are those of Google's dp-accounting to 1e-6 of their size, over a grid")
  func grid() {
    #expect(golden.epsilons.count == 588)
    var accountants: [[Double]: PrivacyAccountant] = [:]
    var nonzero = 0
    for row in golden.epsilons {
      let key = [row[0], row[1]]
      let accountant =
        accountants[key] ?? PrivacyAccountant(samplingRate: row[0], noiseMultiplier: row[1])
      accountants[key] = accountant
      let found = accountant.epsilon(rounds: Int(row[2]), delta: row[3])
      #expect(
        agree(found.epsilon, row[4], to: 1e-6),
        "\(row): found \(found); \(AccountantGolden.command)")
      if row[4] > 0 {
        nonzero += 1
        #expect(found.order == row[5], "\(row): found \(found)")
      }
    }
    #expect(nonzero > 400)
  }

  @Test(
    "a round's RDP is dp-accounting's, and the integral's or, at fractional orders, a bound of it")
  func divergences() {
    for row in golden.divergences {
      let found = PrivacyAccountant.divergence(
        order: row[2], samplingRate: row[0], noiseMultiplier: row[1])
      #expect(row[3] < 0 ? found == .infinity : agree(found, row[3], to: 1e-9), "\(row): \(found)")
      #expect(found >= row[4] * (1 - 1e-9), "\(row): \(found)")
      if row[2] == row[2].rounded() { #expect(agree(found, row[4], to: 1e-9), "\(row): \(found)") }
    }
  }

  @Test("epsilons in print: Abadi et al. 2016, and the examples of TensorFlow Privacy's tests")
  func published() {
    /// Mironov 2017's conversion, that of older programs: RDP + log(1 / delta) / (order - 1).
    func older(_ accountant: PrivacyAccountant, rounds: Int, delta: Double) -> Double {
      PrivacyAccountant.orders.map { order in
        Double(rounds)
          * PrivacyAccountant.divergence(
            order: order, samplingRate: accountant.samplingRate,
            noiseMultiplier: accountant.noiseMultiplier) - log(delta) / (order - 1)
      }.min()!
    }
    // Abadi et al., "Deep learning with differential privacy", section 3.2 and figure 2: q = 0.01,
    // sigma = 4, delta = 1e-5: 1.26 after 100 epochs, that is 10 000 steps.
    let abadi = PrivacyAccountant(samplingRate: 0.01, noiseMultiplier: 4)
    #expect((older(abadi, rounds: 10_000, delta: 1e-5) - 1.26).magnitude < 0.005)
    #expect(abadi.epsilon(rounds: 10_000, delta: 1e-5).epsilon < 1.26)
    // compute_dp_sgd_privacy_lib_test.py: (examples, batch, noise multiplier, epochs, delta); the
    // first number with the conversion of 2020, the second with the one before.
    for (examples, batch, multiplier, epochs, delta, expected, before, order) in [
      (60_000, 150, 1.3, 15, 1e-5, 0.724_223_402_610_959_5, 0.941_870_567, 19.0),
      (100_000, 100, 1.0, 30, 1e-7, 1.415_498_849_544_484_5, 1.709_287_34, 13.0),
    ] {
      let accountant = PrivacyAccountant(
        samplingRate: Double(batch) / Double(examples), noiseMultiplier: multiplier)
      let rounds = epochs * examples / batch
      let found = accountant.epsilon(rounds: rounds, delta: delta)
      #expect((found.epsilon - expected).magnitude < 1e-7)
      #expect(found.order == order)
      #expect((older(accountant, rounds: rounds, delta: delta) - before).magnitude < 1e-7)
    }
  }

  @Test("every client in every round is the plain Gaussian mechanism: RDP alpha / (2 z^2) a round")
  func fullParticipation() {
    for order in [1.5, 2, 8.7, 64] {
      let found = PrivacyAccountant.divergence(order: order, samplingRate: 1, noiseMultiplier: 2)
      #expect(agree(found, order / 8, to: 1e-15))
      // The limit of the sampled mechanism.
      let near = PrivacyAccountant.divergence(
        order: order.rounded(.up), samplingRate: 1 - 1e-12, noiseMultiplier: 2)
      #expect(agree(near, order.rounded(.up) / 8, to: 1e-9))
    }
  }

  @Test("epsilon grows with the rounds and the rate and falls with the noise and delta")
  func monotone() {
    func epsilon(_ rate: Double, _ noise: Double, _ rounds: Int, _ delta: Double) -> Double {
      PrivacyAccountant(samplingRate: rate, noiseMultiplier: noise)
        .epsilon(rounds: rounds, delta: delta).epsilon
    }
    let base = epsilon(0.02, 1, 100, 1e-5)
    #expect(epsilon(0.02, 1, 101, 1e-5) > base)
    #expect(epsilon(0.021, 1, 100, 1e-5) > base)
    #expect(epsilon(0.02, 1.01, 100, 1e-5) < base)
    #expect(epsilon(0.02, 1, 100, 2e-5) < base)
    #expect(epsilon(0.02, 1, 0, 1e-5) == 0)
    #expect(epsilon(0.02, 0, 1, 1e-5) == .infinity)
  }

  @Test("the noise multiplier of a target is dp-accounting's, rounded up to 0.0001")
  func target() throws {
    for row in golden.multipliers {
      let found = try #require(
        PrivacyAccountant.noiseMultiplier(
          targetEpsilon: row[0], delta: row[1], samplingRate: row[2], rounds: Int(row[3])))
      #expect(found >= row[4] - 1e-7 && found < row[4] + 1.01e-4, "\(row): \(found)")
      func epsilon(_ multiplier: Double) -> Double {
        PrivacyAccountant(samplingRate: row[2], noiseMultiplier: multiplier)
          .epsilon(rounds: Int(row[3]), delta: row[1]).epsilon
      }
      #expect(epsilon(found) <= row[0])
      #expect(epsilon(found - 1e-4) > row[0])
      #expect((found * 10_000).rounded() / 10_000 == found)
    }
  }

  @Test("a target that no noise reaches has no multiplier")
  func unreachable() {
    // Orders end at 1024: with a tiny delta something of log(1 / delta) / 1023 always remains.
    #expect(
      PrivacyAccountant.noiseMultiplier(
        targetEpsilon: 1e-3, delta: 1e-30, samplingRate: 1, rounds: 10) == nil)
  }
}

@Suite struct MuchNoiseTests {
  @Test("with much noise the divergence keeps its digits, and is about q^2 alpha / (2 z^2)")
  func digits() {
    for q in [0.01, 0.5] {
      for z in [1e3, 1e5, 1e7, 1e9] {
        // Whole ones to about three digits, fractional ones bounded from above to one.
        for order in PrivacyAccountant.orders where order < 64 {
          let found = PrivacyAccountant.divergence(
            order: order, samplingRate: q, noiseMultiplier: z)
          // The first term of the series in 1 / z^2; fractional orders have bounds from above.
          let expected = q * q * order / (2 * z * z)
          if order == order.rounded() {
            #expect((found - expected).magnitude <= 1e-3 * expected, "\(order) \(q) \(z)")
          } else {
            #expect(found >= 0.98 * expected, "\(order) \(q) \(z)")
          }
        }
      }
    }
  }

  @Test("a target is searched for up to a multiplier of a thousand million, and no further")
  func search() throws {
    func multiplier(_ epsilon: Double, _ delta: Double) -> Double? {
      PrivacyAccountant.noiseMultiplier(
        targetEpsilon: epsilon, delta: delta, samplingRate: 0.5, rounds: 1)
    }
    // More than the 10 000 at which an earlier version gave up.
    let found = try #require(multiplier(0.001, 1e-5))
    #expect(found > 10_000 && found < 100_000)
    #expect(
      PrivacyAccountant(samplingRate: 0.5, noiseMultiplier: found)
        .epsilon(rounds: 1, delta: 1e-5).epsilon <= 0.001)
    #expect(multiplier(1e-4, 1e-30) == nil)
  }
}
