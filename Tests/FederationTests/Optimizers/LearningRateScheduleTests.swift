import Communication
import Corpora
import Federation
import Foundation
import TestSupport
import Testing

@Suite struct LearningRateScheduleTests {
  private func schedule(
    _ kind: String, _ values: [Double], rounds: Int, warmup: Int
  ) -> LearningRateSchedule {
    let decay: LearningRateSchedule.Decay =
      switch kind {
      case "linear": .linear(final: values[0], rounds: rounds)
      case "cosine": .cosine(final: values[0], rounds: rounds)
      case "exponential": .exponential(factor: values[0], period: Int(values[1]))
      default: .constant
      }
    return LearningRateSchedule(decay: decay, warmupRounds: warmup)
  }

  @Test("factors are those of PyTorch's schedulers, to 1e-13")
  func torch() throws {
    let golden = try ScheduleGolden.load()
    #expect(Set(golden.cases.map(\.kind)).count == 4)
    for expected in golden.cases {
      let schedule = schedule(
        expected.kind, expected.values, rounds: expected.rounds, warmup: expected.warmup)
      #expect(schedule.problems("federation.server", rounds: expected.rounds) == [])
      for (round, factor) in expected.factors.enumerated() {
        // PyTorch goes from rate to rate and so adds up a rounding a round.
        let error = (schedule.factor(round: round) - factor).magnitude
        #expect(
          error <= 1e-13, "\(schedule), round \(round): \(error); \(OptimizerGolden.command)")
      }
    }
  }

  @Test("cosine is the C library's to within six units in the last place, and exact at its ends")
  func cosine() {
    let rounds = 1000
    let schedule = LearningRateSchedule(decay: .cosine(final: 0, rounds: rounds))
    for round in 0..<rounds {
      // Near the end the complement's sine, for the argument's rounding not to show.
      let x = Double(round) / Double(rounds)
      let root = x < 0.5 ? Foundation.cos(.pi / 2 * x) : Foundation.sin(.pi / 2 * (1 - x))
      let expected = root * root
      let error = (schedule.factor(round: round) - expected).magnitude
      #expect(error <= 6 * expected.ulp, "round \(round): \(error / expected.ulp)")
    }
    #expect(schedule.factor(round: 0) == 1)
    #expect(schedule.factor(round: rounds) == 0)
    #expect((schedule.factor(round: rounds / 2) - 0.5).magnitude <= 0x1p-52)
  }

  @Test("no schedule gives exactly the rate in every round")
  func constant() {
    for round in [0, 1, 199, 100_000] {
      #expect(LearningRateSchedule.constant.factor(round: round) == 1)
    }
  }

  @Test("closed forms by hand: warm-up in thirds, then halves, quarters or a line")
  func byHand() {
    func factors(_ decay: LearningRateSchedule.Decay) -> [Double] {
      let schedule = LearningRateSchedule(decay: decay, warmupRounds: 1)
      return (0..<5).map { schedule.factor(round: $0) }
    }
    #expect(factors(.constant) == [0.5, 1, 1, 1, 1])
    #expect(factors(.linear(final: 0, rounds: 5)) == [0.5, 1, 0.75, 0.5, 0.25])
    #expect(factors(.linear(final: 0.5, rounds: 5)) == [0.5, 1, 0.875, 0.75, 0.625])
    #expect(factors(.exponential(factor: 0.25, period: 2)) == [0.5, 1, 1, 0.25, 0.25])
  }

  @Test("impossible schedules are refused by name")
  func problems() {
    let cases: [(LearningRateSchedule, String)] = [
      (.init(decay: .constant, warmupRounds: -1), "warmup_rounds: -1 is"),
      (.init(decay: .constant, warmupRounds: 10), "warmup_rounds: 10 is"),
      (.init(decay: .linear(final: -0.1, rounds: 10)), "final: -0.1 is"),
      (.init(decay: .cosine(final: .nan, rounds: 10)), "final: nan is"),
      (.init(decay: .cosine(final: 0, rounds: 9)), "kind: an end after 9 rounds is"),
      (.init(decay: .exponential(factor: 0, period: 1)), "factor: 0 is"),
      (.init(decay: .exponential(factor: 0.5, period: 0)), "period: 0 is"),
    ]
    for (schedule, text) in cases {
      let found = schedule.problems("local", rounds: 10)
      #expect(found.count == 1 && "\(found[0])".hasPrefix("local.schedule." + text), "\(found)")
    }
  }

  @Test("the server's schedule reaches its steps")
  func server() throws {
    let objective = QuadraticObjective(scales: [1], train: [[8]])
    var plan = plan(rounds: 3, cohort: .uniform(size: 1))
    plan.serverSchedule = LearningRateSchedule(decay: .exponential(factor: 0.5, period: 1))
    let run = try FederatedRun(
      plan: plan, partition: Partition(clients: [[0]]), objective: objective,
      initialVector: [0], communicator: SingleProcessCommunicator())
    var vectors: [Float] = []
    _ = try run.run { _ in vectors += run.state?.vector ?? [] }
    // A client goes half of the way to 8; the server takes all of that, a half, a quarter.
    #expect(vectors == [4, 5, 5.375])
  }
}
