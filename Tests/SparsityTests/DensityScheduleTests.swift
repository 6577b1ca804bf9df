import Sparsity
import Testing

@Suite("Density schedules and selections")
struct DensityScheduleTests {
  @Test(
    "the count is the floor of length times density, and at least 1",
    arguments: [(0.25, 1, 4), (1.0 / 64, 1, 64), (0.1, 1, 10), (0.29, 29, 100), (1.0, 1, 1)])
  func floors(density: Double, numerator: Int, denominator: Int) {
    let schedule = DensitySchedule.constant(density)
    for length in Array(0...2000) + [4_896_000, 5_000_011, 4_294_967_295] {
      let floor = length * numerator / denominator
      #expect(schedule.count(length: length, round: 3) == (length == 0 ? 0 : max(1, floor)))
    }
  }

  @Test("a density of zero keeps nothing, any other at least one coordinate")
  func nothing() {
    #expect(DensitySchedule.constant(0).count(length: 1000, round: 0) == 0)
    #expect(DensitySchedule.constant(1.0 / 64).count(length: 63, round: 0) == 1)
    #expect(DensitySchedule.constant(1e-300).count(length: 1, round: 0) == 1)
    #expect(DensitySchedule.constant(0.5).count(length: 0, round: 0) == 0)
    // Rounds to 0 after 1075 periods.
    let falling = DensitySchedule.geometric(initial: 1, factor: 0.5, period: 1)
    #expect(falling.density(round: 2000) == 0 && falling.count(length: 10, round: 2000) == 1)
  }

  @Test("a constant schedule is the same in every round")
  func constant() {
    for round in [0, 1, 199, 1_000_000] {
      #expect(DensitySchedule.constant(0.3).density(round: round) == 0.3)
    }
  }

  @Test("a geometric schedule falls once a period")
  func geometric() {
    let schedule = DensitySchedule.geometric(initial: 1, factor: 0.5, period: 10)
    for round in 0..<100 {
      var expected = 1.0
      for _ in 0..<(round / 10) { expected /= 2 }
      #expect(schedule.density(round: round) == expected)
      #expect(schedule.count(length: 1 << 12, round: round) == max(1, (1 << 12) >> (round / 10)))
    }
    #expect(schedule.density(round: 1_000_000) == 0)
  }

  @Test("a geometric schedule stays within rounding of the product it stands for")
  func geometricRounding() {
    let schedule = DensitySchedule.geometric(initial: 0.8, factor: 0.98, period: 1)
    var expected = 0.8
    for round in 0..<300 {
      #expect(abs(schedule.density(round: round) - expected) <= 300 * expected.ulp)
      expected *= 0.98
    }
  }

  @Test("a growing geometric schedule stops at one")
  func growing() {
    let schedule = DensitySchedule.geometric(initial: 0.25, factor: 2, period: 1)
    #expect((0..<4).map { schedule.density(round: $0) } == [0.25, 0.5, 1, 1])
    #expect(schedule.density(round: 100_000) == 1)
    #expect(
      DensitySchedule.geometric(initial: 0, factor: 2, period: 1).density(round: 100_000) == 0)
  }

  @Test("a falling geometric schedule stops at its minimum")
  func minimum() {
    let schedule = DensitySchedule.geometric(initial: 1, factor: 0.25, period: 1, minimum: 0.25)
    #expect((0..<4).map { schedule.density(round: $0) } == [1, 0.25, 0.25, 0.25])
    let falling = DensitySchedule.geometric(initial: 1, factor: 0.5, period: 2, minimum: 0.2)
    #expect((0..<8).map { falling.density(round: $0) } == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2])
  }
}
