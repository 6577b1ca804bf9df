// Integers, orders and samples: every outcome equally likely (chi-square with fixed seeds), in
// bounds, in time.

import Foundation
import RandomStreams
import Testing

@Suite("integers, orders and samples")
struct ChoiceTests {
  /// The chi-square statistic of counts that should be equal, in standard deviations above its
  /// mean.
  private func excess(_ counts: [Int]) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    let statistic = counts.reduce(0.0) {
      $0 + (Double($1) - expected) * (Double($1) - expected) / expected
    }
    let freedom = Double(counts.count - 1)
    return (statistic - freedom) / (2 * freedom).squareRoot()
  }

  @Test("integers below 1, 2, 7 and 1000 are all equally likely", arguments: [1, 2, 7, 1000])
  func integers(bound: Int) {
    var stream = RandomStream(seed: 1, purpose: .selection)
    var counts = [Int](repeating: 0, count: bound)
    for _ in 0..<200_000 { counts[stream.integer(below: bound)] += 1 }
    if bound > 1 { #expect(abs(excess(counts)) < 5) }
  }

  @Test("a bound that does not divide 2^64 brings no bias")
  func noBias() {
    // Without rejection, the lower half of 0 ..< 3 * 2^61 would get 2/3 ... or 1/3 more than its
    // share.
    var stream = RandomStream(seed: 2, purpose: .selection)
    let bound = 3 << 61
    var thirds = [0, 0, 0]
    for _ in 0..<100_000 { thirds[stream.integer(below: bound) / (1 << 61)] += 1 }
    #expect(abs(excess(thirds)) < 5)
    #expect((0..<1000).allSatisfy { _ in (0..<Int.max).contains(stream.integer(below: .max)) })
  }

  @Test("all 24 orders of four elements are equally likely")
  func shuffle() {
    var stream = RandomStream(seed: 3, purpose: .batches)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<48_000 {
      var array = [0, 1, 2, 3]
      stream.shuffle(&array)
      counts[array, default: 0] += 1
    }
    #expect(counts.count == 24)
    #expect(abs(excess(Array(counts.values))) < 5)
  }

  @Test("shuffling is the documented algorithm, and leaves short arrays alone")
  func shuffleAlgorithm() {
    var stream = RandomStream(seed: 4, purpose: .batches)
    var copy = stream
    var array = Array(0..<100)
    stream.shuffle(&array)
    var expected = Array(0..<100)
    for last in (1...99).reversed() { expected.swapAt(last, copy.integer(below: last + 1)) }
    #expect(array == expected)
    #expect(array.sorted() == Array(0..<100) && array != Array(0..<100))
    #expect(stream.next() == copy.next())
    var empty: [Int] = []
    stream.shuffle(&empty)
    var one = [9]
    stream.shuffle(&one)
    #expect(empty.isEmpty && one == [9])
    #expect(stream.next() == copy.next())
  }

  @Test("all samples of 3 of 7 are equally likely, ascending and without repetition")
  func sample() {
    var stream = RandomStream(seed: 5, purpose: .cohort)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<70_000 { counts[stream.sample(3, of: 7), default: 0] += 1 }
    #expect(counts.count == 35)
    #expect(abs(excess(Array(counts.values))) < 5)
    for sample in counts.keys { #expect(sample == Set(sample).sorted() && sample.count == 3) }
  }

  @Test("each of 350 clients is in a cohort of 10 equally often")
  func cohorts() {
    var counts = [Int](repeating: 0, count: 350)
    for round in 0..<20_000 {
      var stream = RandomStream(seed: 6, purpose: .cohort, round: round)
      for client in stream.sample(10, of: 350) { counts[client] += 1 }
    }
    #expect(abs(excess(counts)) < 5)
  }

  @Test("samples of none, of all, and of a billion")
  func edges() {
    var stream = RandomStream(seed: 7, purpose: .cohort)
    #expect(stream.sample(0, of: 0) == [])
    #expect(stream.sample(0, of: 5) == [])
    #expect(stream.sample(5, of: 5) == [0, 1, 2, 3, 4])
    let start = ContinuousClock.now
    let before = residentKilobytes()
    let large = stream.sample(10_000, of: 1_000_000_000)
    #expect(Set(large).count == 10_000 && large == large.sorted())
    #expect(large.first! >= 0 && large.last! < 1_000_000_000)
    #expect(abs(large.reduce(0, +) / 10_000 - 500_000_000) < 15_000_000)
    // A table of the population would take gigabytes and seconds.
    #expect(residentKilobytes() - before < 200_000)
    #expect(ContinuousClock.now - start < .seconds(2))
  }

  /// The peak resident memory of this process.
  private func residentKilobytes() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
  }

  @Test("samples among the allowed are uniform, ascending and as large as they can be")
  func allowed() {
    var counts = [Int](repeating: 0, count: 12)
    for round in 0..<6000 {
      var stream = RandomStream(seed: 2, purpose: .cohort, round: round)
      let found = stream.sample(upTo: 3, of: 12) { $0 % 2 == 0 }
      #expect(found.count == 3 && Set(found).count == 3 && found == found.sorted())
      for number in found { counts[number] += 1 }
    }
    // 3 of 6 each time: 3000, standard deviation 39.
    for (number, count) in counts.enumerated() {
      #expect(number % 2 == 0 ? abs(count - 3000) < 200 : count == 0, "\(counts)")
    }
    var stream = RandomStream(seed: 2, purpose: .cohort)
    #expect(stream.sample(upTo: 9, of: 12) { $0 > 9 } == [10, 11])
    #expect(stream.sample(upTo: 12, of: 12) { _ in true } == Array(0..<12))
    #expect(stream.sample(upTo: 3, of: 0) { _ in true } == [])
    #expect(stream.sample(upTo: 2, of: 1 << 40) { _ in true }.count == 2)
  }
}
