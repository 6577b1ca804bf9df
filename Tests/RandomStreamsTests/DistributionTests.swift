// Moments of the distributions with fixed seeds; the bounds are 5 standard errors, so a wrong
// formula shows and a right one passes for good.

import Foundation
import RandomStreams
import Testing

@Suite("distributions")
struct DistributionTests {
  private let count = 200_000

  /// Mean and variance of `count` draws, each with its standard error from the same draws.
  private func moments(_ draw: () -> Double) -> (
    mean: Double, meanError: Double, variance: Double, varianceError: Double
  ) {
    let values = (0..<count).map { _ in draw() }
    let mean = values.reduce(0, +) / Double(count)
    let squares = values.map { ($0 - mean) * ($0 - mean) }
    let variance = squares.reduce(0, +) / Double(count)
    let fourth = squares.reduce(0) { $0 + ($1 - variance) * ($1 - variance) } / Double(count)
    return (
      mean, (variance / Double(count)).squareRoot(), variance, (fourth / Double(count)).squareRoot()
    )
  }

  @Test("uniform numbers are in [0, 1) with mean 1/2 and variance 1/12")
  func uniform() {
    var stream = RandomStream(seed: 1, purpose: .noise)
    var outside = 0
    let found = moments {
      let value = stream.uniform()
      if !(value >= 0 && value < 1) { outside += 1 }
      return value
    }
    #expect(outside == 0)
    #expect(abs(found.mean - 0.5) < 5 * found.meanError)
    #expect(abs(found.variance - 1.0 / 12) < 5 * found.varianceError)
  }

  @Test("normal numbers have mean 0, variance 1, and the normal share beyond 1, 2 and 3")
  func normal() {
    var stream = RandomStream(seed: 2, purpose: .noise)
    var beyond = [0, 0, 0]
    let found = moments {
      let value = stream.normal()
      for limit in 1...3 where abs(value) > Double(limit) { beyond[limit - 1] += 1 }
      return value
    }
    #expect(abs(found.mean) < 5 * found.meanError)
    #expect(abs(found.variance - 1) < 5 * found.varianceError)
    for (limit, share) in [(1, 0.317310508), (2, 0.045500264), (3, 0.002699796)] {
      let error = (share * (1 - share) / Double(count)).squareRoot()
      #expect(abs(Double(beyond[limit - 1]) / Double(count) - share) < 5 * error)
    }
  }

  @Test(
    "gamma numbers have mean and variance equal to their shape",
    arguments: [0.01, 0.1, 0.5, 0.999, 1, 1.5, 10, 1000])
  func gamma(shape: Double) {
    var stream = RandomStream(seed: 3, purpose: .noise)
    let found = moments { stream.gamma(shape: shape) }
    #expect(abs(found.mean - shape) < 5 * found.meanError)
    #expect(abs(found.variance - shape) < 5 * found.varianceError)
  }

  @Test("the logarithm of a gamma number of a tiny shape is finite, with mean near -1/shape")
  func logGamma() {
    var stream = RandomStream(seed: 4, purpose: .noise)
    for shape in [1e-3, 1e-8, 1e-300] {
      let found = moments { stream.logGamma(shape: shape) * shape }
      // digamma(a) is -1/a - 0.577 + O(a).
      #expect(abs(found.mean + 1 + 0.5772 * shape) < 5 * found.meanError + shape * shape * 2)
    }
  }

  @Test(
    "Dirichlet proportions sum to 1 and have the right means and variances",
    arguments: [0.01, 0.1, 1, 100])
  func dirichlet(alpha: Double) {
    var stream = RandomStream(seed: 5, purpose: .partition)
    let concentrations = [alpha, 2 * alpha, 5 * alpha]
    let total = concentrations.reduce(0, +)
    var worstSum = 0.0
    var columns = [[Double]](repeating: [], count: 3)
    for _ in 0..<20_000 {
      let proportions = stream.dirichlet(concentrations: concentrations)
      worstSum = max(worstSum, abs(proportions.reduce(0, +) - 1))
      for column in 0..<3 { columns[column].append(proportions[column]) }
    }
    #expect(worstSum < 1e-14)
    for column in 0..<3 {
      let mean = concentrations[column] / total
      let variance = mean * (1 - mean) / (total + 1)
      let found = columns[column].reduce(0, +) / 20_000
      #expect(abs(found - mean) < 5 * (variance / 20_000).squareRoot())
      let squares = columns[column].map { ($0 - found) * ($0 - found) }
      let foundVariance = squares.reduce(0, +) / 20_000
      let fourth = squares.reduce(0) { $0 + ($1 - foundVariance) * ($1 - foundVariance) } / 20_000
      #expect(abs(foundVariance - variance) < 5 * (fourth / 20_000).squareRoot() + 1e-12)
    }
  }

  @Test("a Dirichlet over 500 clients with alpha 0.01 is never 0/0")
  func smallAlpha() {
    var stream = RandomStream(seed: 6, purpose: .partition)
    for alpha in [0.01, 1e-4, 1e-12] {
      for _ in 0..<200 {
        let proportions = stream.dirichlet(
          concentrations: [Double](repeating: alpha, count: 500))
        #expect(abs(proportions.reduce(0, +) - 1) < 1e-12)
      }
    }
  }
}
