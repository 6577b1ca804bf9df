import Sparsity
import Testing

@Suite("Fixed-point sums")
struct FixedPointSumTests {
  struct Cohort {
    var length: Int
    var vectors: [SparseVector]
    var weights: [Int]
    var totalWeight: Int { weights.reduce(0, +) }
    var largest: Float { vectors.map(\.largestMagnitude).max() ?? 0 }
    var scale: FixedPointScale {
      FixedPointScale(largestMagnitude: largest, totalWeight: totalWeight)
    }

    init(
      _ random: inout SeededGenerator, length: Int = 257, clients: Int, weights: ClosedRange<Int>,
      density: Double = 0.5, value: (inout SeededGenerator) -> Float
    ) {
      self.length = length
      vectors = (0..<clients).map { _ in
        let mask = random.mask(length: length, density: density)
        return SparseVector(mask: mask, values: mask.indices.map { _ in value(&random) })
      }
      self.weights = (0..<clients).map { _ in Int.random(in: weights, using: &random) }
    }

    func words(_ clients: some Sequence<Int>) -> [Int64] {
      var words = [Int64](repeating: 0, count: length)
      words.withUnsafeMutableBufferPointer {
        for client in clients { scale.add(vectors[client], weight: weights[client], to: $0) }
      }
      return words
    }

    func sum(_ clients: some Sequence<Int>) -> FixedPointSum {
      FixedPointSum(words: words(clients), scale: scale)
    }
  }

  /// Values of every kind: a narrow range, every exponent, subnormals.
  static let kinds: [(name: String, value: @Sendable (inout SeededGenerator) -> Float)] = [
    ("normal", { $0.value() }), ("any exponent", { $0.anyFinite() }),
    ("subnormal", { Float(bitPattern: UInt32.random(in: 0..<0x80_0000, using: &$0)) }),
    (
      "both ends",
      { Bool.random(using: &$0) ? .greatestFiniteMagnitude : -.leastNonzeroMagnitude }
    ),
  ]

  @Test("any order and any grouping give the same bits", arguments: kinds.indices)
  func orderIndependence(kind: Int) {
    var random = SeededGenerator(kind + 300)
    for clients in [1, 2, 3, 10, 64] {
      let cohort = Cohort(
        &random, clients: clients, weights: 1...500, value: Self.kinds[kind].value)
      let reference = cohort.sum(0..<clients)
      let mean = reference.mean().map(\.bitPattern)
      for ranks in [1, 2, 3, 7] {
        let order = (0..<clients).shuffled(using: &random)
        var parts = [[Int]](repeating: [], count: ranks)
        for client in order { parts[Int.random(in: 0..<ranks, using: &random)].append(client) }
        var words = cohort.words([])
        for part in parts.shuffled(using: &random) {
          for (place, word) in cohort.words(part).enumerated() { words[place] &+= word }
        }
        let whole = FixedPointSum(words: words, scale: cohort.scale)
        #expect(whole == reference)
        #expect(whole.mean().map(\.bitPattern) == mean)
      }
    }
  }

  @Test(
    "sums and means stay within the documented bound of the exact ones", arguments: kinds.indices)
  func errorBound(kind: Int) {
    var random = SeededGenerator(kind + 400)
    for weights in [1...1, 1...1000, 1_000_000...2_000_000] {
      let cohort = Cohort(&random, clients: 20, weights: weights, value: Self.kinds[kind].value)
      let sum = cohort.sum(0..<20)
      let mean = sum.mean()
      let total = Double(cohort.totalWeight)
      #expect(sum.unit / 2 < total * Double(cohort.largest) * 0x1p-61)
      for coordinate in 0..<cohort.length {
        let (exact, remainder) = exactSum(cohort, coordinate)
        // The words differ by at most W / 2 units; exact + remainder is right to 2^-100.
        let difference =
          (Double(sum.words[coordinate] >> 32) * 0x1p32 * sum.unit - exact)
          + Double(sum.words[coordinate] & 0xFFFF_FFFF) * sum.unit - remainder
        let slack = abs(exact) * 0x1p-50
        #expect(abs(difference) <= total / 2 * sum.unit + slack)
        let exactMean = (exact + remainder) / total
        let bound = sum.unit / 2 + abs(exactMean) * 0x1.0001p-24 + 0x1p-150
        #expect(abs(Double(mean[coordinate]) - exactMean) <= bound)
      }
    }
  }

  /// The weighted sum of a coordinate as an unevaluated sum of two Doubles (Knuth's TwoSum).
  func exactSum(_ cohort: Cohort, _ coordinate: Int) -> (Double, Double) {
    var high = 0.0
    var low = 0.0
    for (vector, weight) in zip(cohort.vectors, cohort.weights) {
      guard let at = vector.indices.firstIndex(of: UInt32(coordinate)) else { continue }
      // Exact: 24 bits times a weight of at most 21.
      let addend = Double(vector.values[at]) * Double(weight)
      let sum = high + addend
      let part = sum - high
      low += (high - (sum - part)) + (addend - part)
      high = sum
    }
    return (high, low)
  }

  @Test("values within 2^34 of the largest are summed without any error")
  func exactRange() {
    let values: [Float] = [1, 0x1p-33, -0x1p-33, 3, 0x1.fffffep-9, -1]
    let vector = SparseVector(
      length: values.count, indices: (0..<6).map { UInt32($0) }, values: values)
    let sum = sum(Array(repeating: (vector, 1), count: 16), largest: 3, totalWeight: 16)
    #expect(sum.mean() == values)
    #expect(sum.mean(dividedBy: 1) == values.map { $0 * 16 })
  }

  @Test("the extremes neither overflow nor lose the sign")
  func extremes() {
    for largest in [
      Float.greatestFiniteMagnitude, 1, .leastNormalMagnitude, .leastNonzeroMagnitude,
    ] {
      for total in [1, 2, 3, 1 << 20, FixedPointScale.largestTotalWeight] {
        let vector = SparseVector(length: 4, indices: [1, 3], values: [largest, -largest])
        let sum = sum(
          [(vector, total - total / 2), (vector, total / 2)], largest: largest, totalWeight: total)
        #expect(sum.mean() == [0, largest, 0, -largest])
        #expect(sum.words.allSatisfy { $0.magnitude <= 1 << 62 })
      }
    }
  }

  @Test("a cohort of zeros has a mean of zero")
  func zeros() {
    let vector = SparseVector(length: 3, indices: [0, 2], values: [0, -0.0])
    let sum = sum([(vector, 5)], largest: 0, totalWeight: 5)
    #expect(sum.mean().map(\.bitPattern) == [0, 0, 0])
    let nothing = FixedPointSum(
      words: [], scale: FixedPointScale(largestMagnitude: 0, totalWeight: 1))
    #expect(nothing.mean().isEmpty)
  }

  /// The sum of vectors with their weights.
  private func sum(
    _ vectors: [(SparseVector, Int)], largest: Float, totalWeight: Int
  ) -> FixedPointSum {
    let scale = FixedPointScale(largestMagnitude: largest, totalWeight: totalWeight)
    var words = [Int64](repeating: 0, count: vectors[0].0.length)
    words.withUnsafeMutableBufferPointer {
      for (vector, weight) in vectors { scale.add(vector, weight: weight, to: $0) }
    }
    return FixedPointSum(words: words, scale: scale)
  }
}
