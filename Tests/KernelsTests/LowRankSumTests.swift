// The factors of a sum of products against the sum itself, formed in Double.

import COpenBLAS
import Kernels
import Testing

@Suite("Factors of a sum of low-rank products")
struct LowRankSumTests {
  /// Numbers without a pattern, in -1 ..< 1.
  private func numbers(_ count: Int, seed: UInt32) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(Int32(bitPattern: state)) / Float(Int32.max)
    }
  }

  private func product(_ b: [Float], _ a: [Float], _ outputs: Int, _ inputs: Int) -> [Double] {
    let loraRank = b.count / outputs
    return (0..<outputs * inputs).map { index in
      (0..<loraRank).reduce(0.0) {
        $0 + Double(b[index / inputs * loraRank + $1]) * Double(a[$1 * inputs + index % inputs])
      }
    }
  }

  /// A sum of scaled products of pseudorandom factors, and the matrix that it is.
  private func sumOfTerms(
    _ outputs: Int, _ inputs: Int, _ loraRank: Int, _ terms: Int, scale: Double,
    seeds: (b: Int, a: Int)
  ) -> (LowRankSum, [Double]) {
    var sum = LowRankSum(outputs: outputs, inputs: inputs)
    var matrix = [Double](repeating: 0, count: outputs * inputs)
    for term in 0..<terms {
      let b = numbers(outputs * loraRank, seed: UInt32(seeds.b + term))
      let a = numbers(loraRank * inputs, seed: UInt32(seeds.a + term))
      sum.add(b: b, a: a, loraRank: loraRank, scale: scale)
      for (i, x) in product(b, a, outputs, inputs).enumerated() { matrix[i] += scale * x }
    }
    return (sum, matrix)
  }

  @Test(
    "a sum within the rank is exact, whichever side is short",
    arguments: [(7, 5, 2, 2), (5, 9, 1, 3), (3, 20, 4, 2), (20, 3, 4, 2), (1, 1, 1, 1)])
  func exact(_ outputs: Int, _ inputs: Int, _ loraRank: Int, _ terms: Int) {
    let (sum, expected) = sumOfTerms(
      outputs, inputs, loraRank, terms, scale: 0.25, seeds: (1, 100))
    let enough = terms * loraRank
    var b = [Float](repeating: .nan, count: outputs * enough)
    var a = [Float](repeating: .nan, count: enough * inputs)
    sum.truncate(toB: &b, a: &a, loraRank: enough)
    let largest = expected.reduce(0) { max($0, abs($1)) }
    for (x, y) in zip(product(b, a, outputs, inputs), expected) {
      #expect(abs(x - y) <= 2e-6 * largest)
    }
  }

  @Test("of diagonal products the largest are kept, in their order, with positive rows of A")
  func truncated() {
    var sum = LowRankSum(outputs: 4, inputs: 4)
    for (index, value) in [Float(2), -5, 1, 3].enumerated() {
      var b = [Float](repeating: 0, count: 4)
      var a = b
      (b[index], a[index]) = (value, 1)
      sum.add(b: b, a: a, loraRank: 1, scale: 1)
    }
    var b = [Float](repeating: .nan, count: 8)
    var a = b
    sum.truncate(toB: &b, a: &a, loraRank: 2)
    // Ranks are columns of B and rows of A: -5 at 1, then 3 at 3.
    let expectedB: [Float] = [0, 0, -5, 0, 0, 0, 0, 3]
    let expectedA: [Float] = [0, 1, 0, 0, 0, 0, 0, 1]
    for (x, y) in zip(b + a, expectedB + expectedA) { #expect(abs(x - y) < 1e-6) }
  }

  /// LAPACK's dgesdd on the sum itself is the independent reference.
  @Test(
    "the kept part is that of LAPACK's decomposition",
    arguments: [(40, 60, 4, 6, 3), (60, 40, 4, 12, 8), (33, 17, 8, 5, 16), (9, 30, 16, 3, 9)])
  func lapack(_ outputs: Int, _ inputs: Int, _ loraRank: Int, _ terms: Int, _ kept: Int) {
    let (sum, matrix) = sumOfTerms(
      outputs, inputs, loraRank, terms, scale: 0.5, seeds: (7, 70))
    var b = [Float](repeating: .nan, count: outputs * kept)
    var a = [Float](repeating: .nan, count: kept * inputs)
    sum.truncate(toB: &b, a: &a, loraRank: kept)
    let (expected, singular) = lapackTruncation(matrix, outputs, inputs, kept: kept)
    for (x, y) in zip(product(b, a, outputs, inputs), expected) {
      #expect(abs(x - y) <= 2e-6 * singular[0])
    }
    for rank in 0..<kept {
      let norm = (0..<outputs).reduce(0.0) {
        $0 + Double(b[$1 * kept + rank]) * Double(b[$1 * kept + rank])
      }
      #expect(abs(norm.squareRoot() - singular[rank]) <= 2e-6 * singular[0])
      for other in 0...rank {
        let dot = (0..<inputs).reduce(0.0) {
          $0 + Double(a[rank * inputs + $1]) * Double(a[other * inputs + $1])
        }
        #expect(abs(dot - (other == rank ? 1 : 0)) < 1e-6)
      }
    }
  }

  /// The matrix's part of rank `kept` and the singular values, by LAPACK.
  private func lapackTruncation(_ matrix: [Double], _ outputs: Int, _ inputs: Int, kept: Int) -> (
    [Double], [Double]
  ) {
    // Row-major (outputs, inputs) is column-major (inputs, outputs): its left vectors are V.
    let least = min(outputs, inputs)
    var copy = matrix
    var singular = [Double](repeating: 0, count: least)
    var left = [Double](repeating: 0, count: inputs * least)
    var right = [Double](repeating: 0, count: least * outputs)
    var job = CChar(UInt8(ascii: "S"))
    var (m, n, k) = (blasint(inputs), blasint(outputs), blasint(least))
    var (leadingA, leadingU) = (m, m)
    var length = blasint(100_000)
    var work = [Double](repeating: 0, count: Int(length))
    var integers = [blasint](repeating: 0, count: 8 * least)
    var status = blasint(0)
    dgesdd_(
      &job, &m, &n, &copy, &leadingA, &singular, &left, &leadingU, &right, &k, &work, &length,
      &integers, &status)
    precondition(status == 0)
    let part = (0..<outputs * inputs).map { index in
      let (output, input) = (index / inputs, index % inputs)
      return (0..<kept).reduce(0.0) {
        $0 + singular[$1] * left[$1 * inputs + input] * right[output * least + $1]
      }
    }
    return (part, singular)
  }

  @Test("a sum of nothing has factors of zeros")
  func empty() {
    var b = [Float](repeating: .nan, count: 6)
    var a = [Float](repeating: .nan, count: 4)
    LowRankSum(outputs: 3, inputs: 2).truncate(toB: &b, a: &a, loraRank: 2)
    #expect(b == [0, 0, 0, 0, 0, 0])
    #expect(a == [0, 0, 0, 0])
  }
}
