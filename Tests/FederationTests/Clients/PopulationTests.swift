// Populations that are no lists: the same run as from lists, and no cost for clients that nobody
// asks for.
import Communication
import Corpora
import Federation
import Foundation
import TestSupport
import Testing

@Suite struct PopulationTests {
  private static let examples = 60

  private static func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: wobble(40, salt: 7).map { 0.1 + $0.magnitude },
      train: (0..<examples).map { wobble(40, salt: 100 + $0) },
      test: (0..<9).map { wobble(40, salt: 300 + $0) }, threshold: 7)
  }

  private static func virtual(clients: Int, seed: UInt64 = 11) throws -> VirtualPopulation {
    try VirtualPopulation(
      classes: (0..<examples).map { Int32($0 % 6) }, clients: clients, alpha: 0.3,
      sizes: VirtualPopulation.Sizes(median: 7, sigma: 0.8), seed: seed)
  }

  private static let plan = FederationPlan(
    rounds: 4, cohort: .uniform(size: 5), weighting: .examples,
    method: .flasc(download: 0.25, upload: 0.1), server: .fedAdam(learningRate: 0.05),
    local: LocalTraining(epochs: 2, batchSize: 3, learningRate: 0.05, momentum: 0.9),
    evaluation: EvaluationPlan(every: 2, clients: 3, holdout: 0.25), seed: 5)

  private static func records(_ population: any Population, ranks: Int) throws -> [RoundRecord] {
    try ThreadCommunicators.run(size: ranks) { communicator in
      var records: [RoundRecord] = []
      _ = try FederatedRun(
        plan: plan, partition: population, objective: objective(),
        initialVector: wobble(40, salt: 1), communicator: communicator
      ).run { records.append($0) }
      return records
    }[0]
  }

  @Test("virtual clients and the same clients from a file give the same bits on 1, 2 and 3 ranks")
  func file() throws {
    let virtual = try Self.virtual(clients: 30)
    let path = NSTemporaryDirectory() + "population-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try JSONEncoder().encode((0..<30).map(virtual.examples)).write(to: URL(filePath: path))
    #expect(throws: PartitionError.self) {
      try Partition.fromFile(path: path, exampleCount: Self.examples)
    }
    let listed = try Partition.fromFile(
      path: path, exampleCount: Self.examples, sharing: true)
    let expected = try Self.records(listed, ranks: 1)
    #expect(Set(expected.map(\.digest)).count == 4)
    for ranks in [1, 2, 3] {
      let found = try Self.records(virtual, ranks: ranks)
      #expect(found.map(\.digest) == expected.map(\.digest))
      #expect(found.map(\.trainLoss) == expected.map(\.trainLoss))
      #expect(
        found.map { $0.clients.map(\.examples) } == expected.map { $0.clients.map(\.examples) })
      for (found, expected) in zip(found, expected) {
        #expect(found.clientEvaluation.map(\.clients) == expected.clientEvaluation.map(\.clients))
      }
    }
    let other = try Self.records(Self.virtual(clients: 30, seed: 12), ranks: 1)
    #expect(other.map(\.digest) != expected.map(\.digest))
  }

  @Test("a run over a million clients starts in no time and no memory, and plays its rounds")
  func million() throws {
    let population = try Self.virtual(clients: 1_000_000)
    var plan = Self.plan
    plan.evaluation.clients = 0
    let before = try residentBytes()
    let start = ContinuousClock.now
    let run = try FederatedRun(
      plan: plan, partition: population, objective: Self.objective(),
      initialVector: wobble(40, salt: 1), communicator: SingleProcessCommunicator())
    let ready = ContinuousClock.now - start
    let record = try #require(try run.advance().record)
    print("a million clients: ready in \(ready), cohort \(record.cohort)")
    #expect(ready < .milliseconds(50))
    #expect(record.cohort.count == 5 && record.cohort.last! > 100_000)
    // Pointers to a million lists alone would be 8 MB. Other tests of this process run meanwhile.
    #expect(try residentBytes() - before < 32 << 20)
  }

  @Test("ranks whose populations differ in any number find out before the first round")
  func disagreement() {
    #expect(throws: CommunicationError.self) {
      _ = try ThreadCommunicators.run(size: 2) { communicator in
        try FederatedRun(
          plan: Self.plan,
          partition: Self.virtual(clients: 30, seed: UInt64(communicator.rank)),
          objective: Self.objective(), initialVector: wobble(40, salt: 1),
          communicator: communicator
        ).round
      }
    }
  }

  @Test("virtual clients of another corpus are refused")
  func corpus() throws {
    let population = try VirtualPopulation(
      classes: [0, 1], clients: 30, alpha: 1, sizes: VirtualPopulation.Sizes(median: 1), seed: 0)
    let error = try #require(throws: FederationError.self) {
      _ = try FederatedRun(
        plan: Self.plan, partition: population, objective: Self.objective(),
        initialVector: wobble(40, salt: 1), communicator: SingleProcessCommunicator())
    }
    #expect(error.reason.contains("draw from 2 examples; the train split has 60"))
  }
}
