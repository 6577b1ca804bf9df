// A client goes through its examples in its population's order; a shuffled order and an evaluation depend on
// which they are alone.

import Communication
import Corpora
import Federation
import TestSupport
import Testing

@Suite struct ExampleOrderTests {
  private func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: wobble(9, salt: 3).map { 0.1 + $0.magnitude },
      train: (0..<12).map { wobble(9, salt: 100 + $0) })
  }

  private func batches(
    _ clients: [[Int]], shuffle: Bool
  ) throws -> (batches: [[Int]], digest: String) {
    let objective = objective()
    let plan = plan(
      rounds: 2, cohort: .file([[0, 1], [1, 0]]),
      local: LocalTraining(
        epochs: 2, batchSize: 2, learningRate: 0.1, momentum: 0.5, shuffle: shuffle))
    let found = try play(plan, clients: clients, objective, from: wobble(9, salt: 1))
    return (objective.batches, found.state.digest)
  }

  @Test("without shuffling the batches are in the given order")
  func given() throws {
    let (batches, digest) = try batches([[7, 2, 5], [4, 11]], shuffle: false)
    #expect(Set(batches) == [[7, 2], [5], [4, 11]])
    #expect(digest != (try self.batches([[2, 5, 7], [4, 11]], shuffle: false).digest))
  }

  @Test("shuffled batches do not depend on the given order")
  func shuffled() throws {
    let expected = try batches([[2, 5, 7], [4, 11]], shuffle: true)
    let found = try batches([[7, 2, 5], [11, 4]], shuffle: true)
    #expect(found.batches == expected.batches && found.digest == expected.digest)
  }

  @Test("an evaluation of clients does not depend on the given order")
  func evaluation() throws {
    func records(_ clients: [[Int]]) throws -> [[ClientOutcome]] {
      let run = try FederatedRun(
        plan: plan(
          rounds: 1, cohort: .file([[0]]),
          local: LocalTraining(batchSize: 8, learningRate: 0.1),
          evaluation: EvaluationPlan(every: 1, splits: [], clients: 2)),
        partition: Partition(clients: clients), objective: objective(),
        initialVector: wobble(9, salt: 1), communicator: SingleProcessCommunicator())
      var found: [[ClientOutcome]] = []
      _ = try run.run { found += $0.clientEvaluation.map(\.clients) }
      return found
    }
    let expected = try records([[2, 5, 7], [4, 11]])
    #expect(expected.count == 2)
    #expect(try records([[7, 2, 5], [11, 4]]) == expected)
  }

  @Test("the clients seen are the same when a run goes on as when it was not interrupted")
  func seen() throws {
    func run(from state: ServerState?) throws -> FederatedRun {
      let plan = plan(
        rounds: 9, cohort: .uniform(size: 1),
        evaluation: EvaluationPlan(every: 2, splits: [], clients: 3), seed: 8)
      return try FederatedRun(
        plan: plan, partition: Partition(clients: (0..<12).map { [$0] }), objective: objective(),
        state: state ?? ServerState(vector: wobble(9, salt: 1), optimizer: plan.server),
        communicator: SingleProcessCommunicator())
    }
    func groups(_ run: FederatedRun, rounds: Int = 9) throws -> [[Int]] {
      var found: [[Int]] = []
      while run.round < rounds {
        let record = try #require(try run.advance().record)
        found += record.clientEvaluation.map { $0.clients.map(\.client) }
      }
      return found
    }
    let whole = try groups(run(from: nil))
    let first = try run(from: nil)
    let before = try groups(first, rounds: 5)
    let after = try groups(run(from: first.state))
    #expect(before + after == whole)
    #expect(Set(whole).count > 4)
  }
}
