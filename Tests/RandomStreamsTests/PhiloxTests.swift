// The generator against Random123's known answers, and the names of streams.

import RandomStreams
import Testing

@Suite("Philox and the names of streams")
struct PhiloxTests {
  @Test("the known answers of Random123 (kat_vectors, philox4x32 10) come out")
  func knownAnswers() {
    #expect(
      Philox.block(counter: SIMD4(repeating: 0), key: SIMD2(repeating: 0))
        == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    #expect(
      Philox.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
    #expect(
      Philox.block(
        counter: SIMD4(0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344),
        key: SIMD2(0xA409_3822, 0x299F_31D0))
        == SIMD4(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
  }

  @Test("a stream's counter is (block, purpose and step, round, client), its key the seed")
  func layout() {
    var stream = RandomStream(
      seed: 0x299F_31D0_A409_3822, purpose: .dropout, round: 7, client: 0xFFFF_FFFF, step: 0xABCDEF)
    for block: UInt32 in 0..<3 {
      let words = Philox.block(
        counter: SIMD4(block, 0xABCD_EF06, 7, 0xFFFF_FFFF), key: SIMD2(0xA409_3822, 0x299F_31D0))
      #expect(stream.next() == UInt64(words[1]) << 32 | UInt64(words[0]))
      #expect(stream.next() == UInt64(words[3]) << 32 | UInt64(words[2]))
    }
  }

  @Test("the numbers of the purposes never change: they are part of every published result")
  func purposes() {
    #expect(RandomStream.Purpose.allCases.map(\.rawValue) == Array(1...14))
    var stream = RandomStream(seed: 0, purpose: .cohort)
    let first = (0..<3).map { _ in stream.next() }
    #expect(first == PinnedNumbers.cohort)
  }

  @Test("streams that differ in any part of their name share no number")
  func independence() {
    var seen: Set<UInt64> = []
    var drawn = 0
    func draw(_ stream: RandomStream) {
      var stream = stream
      for _ in 0..<50 { seen.insert(stream.next()) }
      drawn += 50
    }
    for seed: UInt64 in [0, 1, 1 << 32, .max] {
      for purpose in RandomStream.Purpose.allCases {
        for part in 0..<4 {
          draw(
            RandomStream(
              seed: seed, purpose: purpose, round: part == 1 ? 5 : 0, client: part == 2 ? 5 : 0,
              step: part == 3 ? 5 : 0))
        }
      }
    }
    #expect(seen.count == drawn)
  }

  @Test("a name out of its range stops the program")
  func ranges() async {
    await #expect(processExitsWith: .failure) {
      _ = RandomStream(seed: 0, purpose: .split, step: 1 << 24)
    }
    await #expect(processExitsWith: .failure) {
      _ = RandomStream(seed: 0, purpose: .split, round: -1)
    }
  }
}
