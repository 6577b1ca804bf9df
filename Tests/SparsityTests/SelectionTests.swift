// What each selection keeps of a vector, alone and within a support.

import Sparsity
import Testing

@Suite struct SelectionTests {
  @Test("a selection keeps what its schedule says")
  func schedule() {
    var random = SeededGenerator(5)
    var bits = SeededGenerator(1)
    let vector = (0..<1000).map { _ in random.value() }
    vector.withUnsafeBufferPointer { vector in
      #expect(Selection.all.mask(of: vector, round: 2, using: &bits) == .all(length: 1000))
      let schedule = DensitySchedule.geometric(initial: 1, factor: 0.5, period: 1)
      for round in 0..<12 {
        let mask = Selection.topMagnitude(schedule).mask(of: vector, round: round, using: &bits)
        #expect(mask == largestMagnitudes(of: vector, count: max(1, 1000 >> round)))
        let drawn = Selection.random(schedule).mask(of: vector, round: round, using: &bits)
        #expect(drawn.count == mask.count)
      }
      let received = SupportMask(length: 1000, indices: [3, 17, 999])
      let mask = Selection.downloaded.mask(
        of: vector, round: 0, downloaded: received, using: &bits)
      #expect(mask == received)
    }
  }

  @Test("within a support the largest of it are kept, ties in it to the lowest")
  func within() {
    var bits = SeededGenerator(1)
    let vector: [Float] = [9, 0, -3, 0, 1, 0, 8, 0]
    let support = SupportMask(length: 8, indices: [1, 2, 4, 5, 7])
    vector.withUnsafeBufferPointer { vector in
      let selection = Selection.topMagnitude(.constant(0.6))
      // 0.6 of the 5 candidates.
      #expect(
        selection.mask(of: vector, round: 0, among: support, using: &bits).indices == [1, 2, 4])
      // 0.6 of all 8 are 4.
      #expect(
        selection.mask(of: vector, round: 0, limit: support, using: &bits).indices == [1, 2, 4, 5])
      let all = Selection.topMagnitude(.constant(1))
      #expect(all.mask(of: vector, round: 0, limit: support, using: &bits) == support)
      #expect(Selection.all.mask(of: vector, round: 0, among: support, using: &bits) == support)
      for _ in 0..<50 {
        let drawn = Selection.random(.constant(0.4)).mask(
          of: vector, round: 0, among: support, using: &bits)
        #expect(drawn.count == 2 && drawn.indices.allSatisfy(support.indices.contains))
      }
    }
  }

  @Test("random coordinates are drawn alike")
  func fair() {
    var bits = SeededGenerator(7)
    var counts = [Int](repeating: 0, count: 10)
    let draws = 20_000
    for _ in 0..<draws {
      for index in randomCoordinates(of: 10, count: 3, using: &bits).indices {
        counts[Int(index)] += 1
      }
    }
    // Each is in a sample with probability 0.3: within five standard deviations.
    let deviation = (Double(draws) * 0.3 * 0.7).squareRoot()
    for count in counts { #expect(abs(Double(count) - 0.3 * Double(draws)) < 5 * deviation) }
    #expect(randomCoordinates(of: 5, count: 0, using: &bits).count == 0)
    #expect(randomCoordinates(of: 5, count: 5, using: &bits).isAll)
  }
}
