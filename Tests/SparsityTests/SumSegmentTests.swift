import Sparsity
import Testing

@Suite("Segments of sums")
struct SumSegmentTests {
  static let counts = [0, 1, 2, 127, 128, 129, 1000, 70_001]

  /// Words of every kind, by name.
  static let kinds: [(name: String, word: @Sendable (inout SeededGenerator) -> Int64)] = [
    ("zero", { _ in 0 }), ("any", { Int64(bitPattern: $0.next()) }),
    ("ends", { [.max, .min, 0, 1, -1, 1 << 62, -(1 << 62)].randomElement(using: &$0)! }),
    ("low", { Int64.random(in: -3...3, using: &$0) }),
    ("high", { Int64.random(in: -300...300, using: &$0) << 50 }),
    ("floats", { Int64(Double($0.value()) * 0x1p55) }),
    ("55 bits", { Int64.random(in: -(1 << 54)..<(1 << 54), using: &$0) }),
    ("56 bits", { Int64.random(in: -(1 << 55)..<(1 << 55), using: &$0) }),
    ("57 bits", { Int64.random(in: -(1 << 56)..<(1 << 56), using: &$0) }),
  ]

  static func words(
    _ count: Int, density: Double, _ random: inout SeededGenerator,
    _ word: (inout SeededGenerator) -> Int64
  ) -> [Int64] {
    (0..<count).map { _ in
      Double.random(in: 0..<1, using: &random) < density ? word(&random) : 0
    }
  }

  static func message(_ words: [Int64]) -> [UInt8] {
    var scratch = SumSegment.Scratch()
    let capacity = SumSegment.largestBytes(count: words.count)
    return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let room = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: capacity)
      count = words.withUnsafeBufferPointer {
        SumSegment.encode($0, into: room, using: &scratch)
      }
    }
  }

  static func add(_ message: [UInt8], to words: inout [Int64]) throws {
    try message.withUnsafeBytes { message in
      try words.withUnsafeMutableBufferPointer { try SumSegment.add(message, to: $0) }
    }
  }

  @Test("a message adds the very words that it was made of", arguments: counts)
  func roundTrip(_ count: Int) throws {
    var random = SeededGenerator(count)
    for (name, word) in Self.kinds {
      for density in densities {
        let sent = Self.words(count, density: density, &random, word)
        let there = Self.words(count, density: 0.5, &random) { Int64(bitPattern: $0.next()) }
        let message = Self.message(sent)
        #expect(message.count <= SumSegment.largestBytes(count: count) - 16, "\(name) \(density)")
        var found = there
        try Self.add(message, to: &found)
        #expect(found == zip(there, sent).map { $0 &+ $1 }, "\(name), density \(density)")
      }
    }
  }

  @Test("words go without those that are zero until all of them are shorter")
  func denseSwitch() {
    var random = SeededGenerator(7)
    var previous = 0
    for density in [0, 0.01, 0.1, 0.25, 0.5, 0.9, 0.97, 0.995, 1] {
      let words = Self.words(100_000, density: density, &random) {
        // 32 bits each, so that the sizes can be told beforehand.
        Int64.random(in: (1 << 30)..<(1 << 31), using: &$0) << 20
      }
      let message = Self.message(words)
      let kept = words.count { $0 != 0 }
      let isDense = message[0] == 0
      let denseBytes = 12 + 4 * 100_000 + 2 * 782
      let bitmapBytes = 12 + 4 * kept + 2 * ((kept + 127) / 128) + 12_500
      #expect(message.count <= min(denseBytes, bitmapBytes), "density \(density)")
      #expect(isDense == (density >= 0.97), "density \(density): \(message.count) bytes")
      #expect(message.count >= previous, "density \(density)")
      previous = message.count
    }
    // The sum of two that are sparse is dense.
    let halves = (0..<2).map { half in (0..<1000).map { $0 % 2 == half ? Int64($0 + 1) << 40 : 0 } }
    #expect(halves.map { Self.message($0)[0] } == [1, 1])
    #expect(Self.message(zip(halves[0], halves[1]).map(+))[0] == 0)
  }

  @Test("a sum of segments in any order and grouping is the sum of all vectors")
  func exactness() throws {
    for seed in 0..<20 {
      var random = SeededGenerator(seed)
      let cohort = FixedPointSumTests.Cohort(
        &random, length: 1000, clients: 9, weights: 1...1000, density: 0.2,
        value: FixedPointSumTests.kinds[seed % FixedPointSumTests.kinds.count].value)
      let expected = cohort.sum(0..<9)
      let scale = expected.scale
      // Two hosts of some of the clients each, one of none, one of the rest.
      let owners = (0..<9).map { _ in [0, 1, 3].randomElement(using: &random)! }
      var words = (0..<4).map { _ in [Int64](repeating: 0, count: 1000) }
      for client in (0..<9).shuffled(using: &random) {
        words[owners[client]].withUnsafeMutableBufferPointer {
          if client % 2 == 0 {
            scale.add(cohort.vectors[client], weight: cohort.weights[client], to: $0)
          } else {
            scale.addAtomically(cohort.vectors[client], weight: cohort.weights[client], to: $0)
          }
        }
      }
      for (from, to) in [(3, 1), (1, 2), (2, 0)] {
        try Self.add(Self.message(words[from]), to: &words[to])
      }
      #expect(FixedPointSum(words: words[0], scale: scale) == expected, "seed \(seed)")
    }
  }

  @Test("a sum of clients' values takes little more than floats would")
  func size() {
    var random = SeededGenerator(3)
    let values = (0..<100_000).map { _ in random.value() * 1e-3 }
    let vector = SparseVector(
      mask: .all(length: values.count), values: values)
    let scale = FixedPointScale(largestMagnitude: vector.largestMagnitude, totalWeight: 10)
    var words = [Int64](repeating: 0, count: values.count)
    words.withUnsafeMutableBufferPointer { scale.add(vector, to: $0) }
    let perWord = Double(Self.message(words).count) / Double(values.count)
    #expect(perWord < 4.9, "\(perWord) bytes a word")
  }

  @Test("bytes that are no message are refused")
  func hostile() throws {
    var random = SeededGenerator(11)
    var refused = 0
    for density in [0.0, 0.1, 1] {
      let words = Self.words(300, density: density, &random) { Int64($0.value() * 0x1p40) }
      let message = Self.message(words)
      for count in 0..<message.count {
        var found = [Int64](repeating: 0, count: 300)
        #expect(throws: VectorCodecError.self) {
          try Self.add(Array(message[..<count]), to: &found)
        }
      }
      var found = [Int64](repeating: 0, count: 300)
      #expect(throws: VectorCodecError.self) { try Self.add(message + [0], to: &found) }
      var fewer = [Int64](repeating: 0, count: 299)
      if density == 1 {
        #expect(throws: VectorCodecError.self) { try Self.add(message, to: &fewer) }
      }
      for _ in 0..<2000 {
        var broken = message
        broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
        do { try Self.add(broken, to: &found) } catch { refused += 1 }
      }
    }
    #expect(refused > 100)
  }
}
