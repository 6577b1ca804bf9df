import Sparsity
import Testing

@Suite("Top-k by magnitude")
struct LargestMagnitudesTests {
  /// The definition: sort by descending magnitude, then ascending index, and keep the first.
  func bySorting(_ vector: [Float], _ count: Int) -> SupportMask {
    let order = vector.indices.sorted {
      (vector[$1].magnitude, $0) < (vector[$0].magnitude, $1)
    }
    return SupportMask(
      length: vector.count, indices: order.prefix(count).sorted().map { UInt32($0) })
  }

  func check(_ vector: [Float], _ name: String) {
    let n = vector.count
    let counts = Set([0, 1, 2, n / 256, n / 64, n / 4, n / 2, n * 3 / 4, n - 1, n])
    for count in counts.sorted() where (0...n).contains(count) {
      let mask = vector.withUnsafeBufferPointer { largestMagnitudes(of: $0, count: count) }
      #expect(mask == bySorting(vector, count), "\(name), \(count) of \(n)")
    }
  }

  @Test("it agrees with sorting for every kind of value", arguments: lengths)
  func agreesWithSorting(length: Int) {
    var random = SeededGenerator(length + 1)
    func vector(_ value: (inout SeededGenerator) -> Float) -> [Float] {
      (0..<length).map { _ in value(&random) }
    }
    check(vector { $0.value() }, "normal")
    check(vector { $0.anyFinite() }, "any exponent")
    check(vector { _ in 1 }, "all equal")
    check(vector { _ in 0 }, "all zero")
    check(vector { Bool.random(using: &$0) ? 0 : -0.0 }, "zeros of both signs")
    check(vector { Float(Int.random(in: -3...3, using: &$0)) }, "many ties")
    check(vector { Bool.random(using: &$0) ? 0 : $0.value() }, "half zero")
    check(
      vector { Float(bitPattern: UInt32.random(in: 0..<2000, using: &$0)) }, "subnormals")
    check(
      vector { Float(bitPattern: 0x3F80_0000 | UInt32.random(in: 0..<64, using: &$0)) },
      "equal but for the lowest bits")
    check(
      vector { [0, -0.0, 1, -1, .infinity, -.infinity].randomElement(using: &$0)! },
      "infinities")
  }

  @Test("ties go to the lowest indices")
  func ties() {
    let vector: [Float] = [0, -2, 1, 2, -1, 2, -0.0, 1]
    vector.withUnsafeBufferPointer { vector in
      #expect(largestMagnitudes(of: vector, count: 2).indices == [1, 3])
      #expect(largestMagnitudes(of: vector, count: 4).indices == [1, 2, 3, 5])
      #expect(largestMagnitudes(of: vector, count: 7).indices == [0, 1, 2, 3, 4, 5, 7])
    }
  }

  @Test(
    "long vectors, of which a sample guesses the threshold, agree with sorting",
    arguments: [262_144, 300_007])
  func longVectors(length: Int) {
    var random = SeededGenerator(length)
    func vector(_ value: (Int, inout SeededGenerator) -> Float) -> [Float] {
      (0..<length).map { value($0, &random) }
    }
    check(vector { $1.value() }, "normal")
    check(vector { $1.anyFinite() }, "any exponent")
    check(vector { i, _ in Float(i) }, "ascending")
    check(vector { i, _ in Float(i % 8) }, "a short period")
    check(vector { $0 % 8 == 0 ? 1 : $1.value() * 1e-3 }, "large ones at a regular distance")
    check(vector { $0 % 2 == 0 ? 0 : $1.value() }, "half zero")
    check(vector { $0 < 2000 ? $1.value() : 0 }, "nearly all zero")
    check(vector { Float(Int.random(in: -100...100, using: &$1)) * Float($0 % 3) }, "many ties")
    check(vector { _, _ in -1 }, "all equal")
    // What the sample sees is small, and what is large it hardly sees.
    check(vector { $0 < length / 64 ? 1 + $1.value() : $1.value() * 1e-6 }, "large ones in front")
  }
}
