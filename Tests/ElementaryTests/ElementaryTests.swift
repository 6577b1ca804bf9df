// The elementary functions against the C library's, which are within one unit in the last place.

import Elementary
import Foundation
import Testing

@Suite("Elementary functions")
struct ElementaryTests {
  /// Units in the last place between two values.
  private func distance(_ found: Double, _ expected: Double) -> Double {
    found == expected ? 0 : abs(found - expected) / expected.ulp
  }

  /// `count` values between `low` and `high`, evenly spaced with a step that is no round number.
  private func values(_ low: Double, _ high: Double, _ count: Int) -> [Double] {
    (0..<count).map { low + (high - low) * (Double($0) + 0.618) / Double(count) }
  }

  @Test("exp over its whole range")
  func exponential() {
    for x in values(-700, 709, 200_000) + values(-1, 1, 100_000) {
      #expect(distance(Elementary.exp(x), Foundation.exp(x)) <= 1)
    }
    #expect(Elementary.exp(0) == 1)
    #expect(Elementary.exp(710) == .infinity)
    #expect(Elementary.exp(-746) == 0)
    #expect(Elementary.exp(-.infinity) == 0)
    #expect(Elementary.exp(-744) == Foundation.exp(-744))
    #expect(Elementary.exp(.nan).isNaN)
  }

  @Test("log of small, middle and large values")
  func logarithm() {
    for x in values(0.4, 2.5, 200_000) + values(1e-5, 1, 100_000) + values(1, 1e12, 100_000) {
      #expect(distance(Elementary.log(x), Foundation.log(x)) <= 1)
    }
    for exponent in -1070...1023 {
      let x = Double(sign: .plus, exponent: exponent, significand: 1.3)
      #expect(distance(Elementary.log(x), Foundation.log(x)) <= 1)
    }
    #expect(Elementary.log(1) == 0)
    #expect(Elementary.log(0) == -.infinity)
    #expect(Elementary.log(-1).isNaN)
    #expect(Elementary.log(.infinity) == .infinity)
  }

  @Test("pow as rotary positions use it")
  func power() {
    for theta in [10_000.0, 500_000, 1e6] {
      for y in values(0, 1, 1000) {
        #expect(distance(Elementary.pow(theta, y), Foundation.pow(theta, y)) <= 16)
      }
    }
  }

  @Test("cos and sin up to a million")
  func circular() {
    for x in values(-7, 7, 200_000) + values(-1e6, 1e6, 200_000) {
      // Beside a zero the last place is tiny, and the reduction has 2^-119 n left.
      #expect(abs(Elementary.cos(x) - Foundation.cos(x)) <= 0x1p-53)
      #expect(abs(Elementary.sin(x) - Foundation.sin(x)) <= 0x1p-53)
    }
    for x in values(0, 1.5, 100_000) {
      #expect(distance(Elementary.sin(x), Foundation.sin(x)) <= 1)
    }
    #expect(Elementary.cos(0) == 1)
    #expect(Elementary.sin(0) == 0)
  }
}
