import Communication
import Corpora
import Federation
import TestSupport
import Testing

@Suite struct EvaluationTests {
  private static func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: [1, 1, 1, 1], train: [[8, 0, 0, 0]], validation: [[0, 0, 0, 0]],
      test: (0..<50).map { wobble(4, salt: $0).map { 3 * $0 } }, threshold: 12)
  }

  private static func play(
    _ evaluation: EvaluationPlan, rounds: Int = 1, objective: QuadraticObjective = objective()
  ) throws -> [RoundRecord] {
    var records: [RoundRecord] = []
    let method = Method(download: .topMagnitude(.constant(0.5)), upload: .all)
    _ = try FederatedRun(
      plan: plan(rounds: rounds, cohort: .uniform(size: 1), method: method, evaluation: evaluation),
      partition: Partition(clients: [[0]]), objective: objective, initialVector: [1, -6, 2, 4],
      communicator: SingleProcessCommunicator()
    ).run { records.append($0) }
    return records
  }

  @Test("the new vector is evaluated under the mask of the round's download, or whole")
  func masked() throws {
    // P = (1, -6, 2, 4) has mask {1, 3} and becomes (5, -3, 2, 2), whose own mask would be {0, 1}.
    for (masked, expected) in [(true, [0, -3, 0, 2]), (false, [5, -3, 2, 2] as [Float])] {
      let objective = Self.objective()
      let records = try Self.play(
        EvaluationPlan(every: 1, splits: [.validation], vectors: [masked ? .masked : .whole]),
        objective: objective)
      #expect(objective.evaluatedAt == expected)
      let record = try #require(records.first?.evaluation.first)
      #expect(record.loss == expected.reduce(0) { $0 + 0.5 * Double($1 * $1) })
      #expect(record.vector == (masked ? .masked : .whole))
      #expect(record.count == 1 && record.examples == 1 && record.split == .validation)
    }
  }

  @Test("evaluation comes after every k rounds and after the last")
  func when() throws {
    let records = try Self.play(EvaluationPlan(every: 3, splits: [.test]), rounds: 7)
    #expect(records.filter { !$0.evaluation.isEmpty }.map(\.round) == [2, 5, 6])
    #expect(records.flatMap(\.evaluation).allSatisfy { $0.examples == 50 })
  }

  @Test("loss and accuracy are the examples' sums")
  func sums() throws {
    let objective = Self.objective()
    let records = try Self.play(EvaluationPlan(every: 1, splits: [.test]), objective: objective)
    let record = try #require(records.first?.evaluation.first)
    let outcomes = objective.evaluatedAt.withUnsafeBufferPointer { vector in
      (0..<50).map { objective.outcome(.test, $0, vector) }
    }
    let loss = outcomes.reduce(0) { $0 + $1.loss } / 50
    // Each of the 50 losses is rounded to 2^-32.
    #expect((try #require(record.loss) - loss).magnitude < 0x1p-32)
    #expect(record.correct == outcomes.reduce(0) { $0 + $1.correct })
    #expect(0 < record.correct && record.correct < 50)
    #expect(record.accuracy == Double(record.correct) / 50)
  }

  @Test("a capped evaluation takes the same spread-out examples each time")
  func capped() {
    let plan = EvaluationPlan(splits: [.test], maximumExamples: 100)
    let sample = plan.examples(of: .test, count: 1000, seed: 3)
    #expect(sample.count == 100 && sample == sample.sorted() && Set(sample).count == 100)
    #expect(sample == plan.examples(of: .test, count: 1000, seed: 3))
    #expect(sample != plan.examples(of: .validation, count: 1000, seed: 3))
    // Of a file sorted by ten labels, all labels are there.
    #expect(Set(sample.map { $0 / 100 }).count == 10)
    #expect(plan.examples(of: .test, count: 100, seed: 3) == Array(0..<100))
    #expect(plan.examples(of: .test, count: 7, seed: 3) == Array(0..<7))
  }

  @Test("a loss that is not a number is an error that names the example")
  func notANumber() throws {
    let objective = QuadraticObjective(
      scales: [1, 1, 1, 1], train: [[8, 0, 0, 0]], test: [[0, 0, 0, 0], [0, .nan, 0, 0]])
    let error = try #require(throws: FederationError.self) {
      _ = try Self.play(EvaluationPlan(every: 1, splits: [.test]), objective: objective)
    }
    #expect(error.round == 0)
    #expect(error.reason.contains("test example 1 is nan"))
  }
}
