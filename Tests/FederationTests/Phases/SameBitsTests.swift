// What is computed does not depend on who computes it: byte-equal results for any number of ranks,
// any schedule and either collective, and across an interruption.
import Communication
import Corpora
import Federation
import TestSupport
import Testing

/// The part of a run's records that must not depend on ranks or clocks.
private struct Trace: Sendable, Equatable {
  var digests: [String] = []
  var losses: [[Double?]] = []
  var uploads: [[Int]] = []
  var evaluations: [[Double?]] = []

  mutating func append(_ record: RoundRecord) {
    digests.append(record.digest)
    losses.append([record.trainLoss, record.trainAccuracy] + record.clients.map(\.loss))
    uploads.append(record.clients.flatMap { [$0.client, $0.upload.total, $0.uploadNonzeros] })
    evaluations.append(record.evaluation.flatMap { [$0.loss, $0.accuracy, Double($0.examples)] })
  }
}

@Suite struct SameBitsTests {
  private static let length = 301
  private static let partition = unevenClients

  private static func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: wobble(length, salt: 7).map { 0.1 + $0.magnitude },
      train: (0..<20).map { wobble(length, salt: 100 + $0) },
      validation: (0..<5).map { wobble(length, salt: 200 + $0) },
      test: (0..<31).map { example in
        wobble(length, salt: 300 + example).map { $0 * Float(example) / 20 }
      }, threshold: 50)
  }

  private static func plan(
    _ schedule: ClientSchedule = .longestFirst, _ uploads: UploadCollective = .gather,
    server: ServerOptimizer = .fedAdam(learningRate: 0.05)
  ) -> FederationPlan {
    FederationPlan(
      rounds: 5, cohort: .uniform(size: 5), weighting: .examples,
      method: .flasc(download: 0.25, upload: 0.1), server: server,
      local: LocalTraining(epochs: 2, batchSize: 2, learningRate: 0.05, momentum: 0.9),
      evaluation: EvaluationPlan(every: 2, splits: [.validation, .test], maximumExamples: 20),
      seed: 5, schedule: schedule, uploads: uploads)
  }

  /// A plan with more state: clients with AdamW and FedProx's term, and a schedule.
  private static func adaptivePlan(_ server: ServerOptimizer) -> FederationPlan {
    var plan = plan(server: server)
    plan.serverSchedule = LearningRateSchedule(
      decay: .cosine(final: 0, rounds: plan.rounds), warmupRounds: 1)
    plan.local.optimizer = .adamW()
    plan.local.proximal = 0.25
    return plan
  }

  /// Runs the plan and returns rank 0's trace, after checking that all ranks agree on the digest.
  private static func trace(_ plan: FederationPlan, ranks: Int, ranksPerNode: Int? = nil) throws
    -> Trace
  {
    let traces = try ThreadCommunicators.run(size: ranks, ranksPerNode: ranksPerNode) {
      communicator in
      try trace(plan, over: communicator)
    }
    #expect(Set(traces.map(\.final)).count == 1)
    return traces[0].trace
  }

  private static func trace(
    _ plan: FederationPlan, over communicator: any Communicator
  ) throws -> (trace: Trace, final: String) {
    let run = try FederatedRun(
      plan: plan, partition: partition, objective: objective(),
      initialVector: communicator.rank == 0 ? wobble(length, salt: 1) : [],
      communicator: communicator)
    var trace = Trace()
    let final = try run.run { trace.append($0) }
    #expect((final.state == nil) == (communicator.rank != 0))
    return (trace, final.digest)
  }

  @Test(
    "1, 2, 3 and 8 ranks give the bits of a single process, with each schedule and collective",
    arguments: ClientSchedule.allCases, UploadCollective.allCases)
  func ranks(schedule: ClientSchedule, uploads: UploadCollective) throws {
    let expected = try Self.trace(Self.plan(), over: SingleProcessCommunicator())
    #expect(expected.trace.digests.last == expected.final)
    #expect(expected.trace.evaluations.map(\.isEmpty) == [true, false, true, false, false])
    // Accuracies that are neither 0 nor 1, so that they could differ.
    #expect(expected.trace.evaluations[4].contains { 0 < $0 ?? 0 && $0 ?? 1 < 1 })
    for ranks in [1, 2, 3, 8] {
      let found = try Self.trace(Self.plan(schedule, uploads), ranks: ranks)
      #expect(found == expected.trace, "\(ranks) ranks, \(schedule), \(uploads)")
    }
  }

  @Test(
    "hosts of one, two and three ranks give the same bits", arguments: UploadCollective.allCases)
  func hosts(uploads: UploadCollective) throws {
    let expected = try Self.trace(Self.plan(), over: SingleProcessCommunicator())
    for (ranks, ranksPerNode) in [(2, 1), (5, 1), (5, 2), (8, 3)] {
      let found = try Self.trace(
        Self.plan(.longestFirst, uploads), ranks: ranks, ranksPerNode: ranksPerNode)
      #expect(found == expected.trace, "\(ranks) ranks, \(ranksPerNode) a host, \(uploads)")
    }
  }

  @Test("a round that is dropped while uploads travel is dropped on all ranks, and played again")
  func dropped() throws {
    let expected = try Self.trace(Self.plan(), over: SingleProcessCommunicator())
    let digests = try ThreadCommunicators.run(size: 3, ranksPerNode: 1) { communicator in
      let run = try FederatedRun(
        plan: Self.plan(.longestFirst, .overlapped), partition: Self.partition,
        objective: Self.objective(), initialVector: wobble(Self.length, salt: 1),
        communicator: communicator)
      _ = try run.advance()
      var asked = 0
      let end = try run.advance(shouldStop: {
        asked += 1
        return communicator.rank == 1 && asked == 1
      })
      #expect(end.isDropped && run.round == 1)
      return try run.run { _ in }.digest
    }
    #expect(Set(digests) == [expected.final])
  }

  @Test("a run that is interrupted goes on with the same bits, on another number of ranks")
  func resume() throws {
    for server in [
      ServerOptimizer.fedAdam(learningRate: 0.05), .adamW(learningRate: 0.05),
      .fedAvgM(learningRate: 0.5), .fedYogi(learningRate: 0.05),
    ] {
      let plan = Self.adaptivePlan(server)
      let whole = try Self.trace(plan, over: SingleProcessCommunicator())
      let states = try ThreadCommunicators.run(size: 2) { communicator -> ServerState? in
        let run = try FederatedRun(
          plan: plan, partition: Self.partition, objective: Self.objective(),
          initialVector: wobble(Self.length, salt: 1), communicator: communicator)
        for _ in 0..<2 { _ = try run.advance() }
        return run.state
      }
      let saved = try #require(states[0])
      #expect(saved.round == 2 && states[1] == nil)
      let digests = try ThreadCommunicators.run(size: 3) { communicator in
        let run = try FederatedRun(
          plan: plan, partition: Self.partition, objective: Self.objective(),
          state: communicator.rank == 0 ? saved : nil, communicator: communicator)
        #expect(run.round == 2)
        return try run.run { _ in }.digest
      }
      #expect(digests == [whole.final, whole.final, whole.final])
    }
  }

  @Test("memory does not grow with the rounds")
  func memory() throws {
    let length = 600_000
    let objective = QuadraticObjective(
      scales: [Float](repeating: 1, count: length), train: [wobble(length, salt: 1)],
      test: [wobble(length, salt: 2)])
    let plan = FederationPlan(
      rounds: 40, cohort: .uniform(size: 1), method: .flasc(download: 0.25, upload: 0.25),
      server: .adamW(learningRate: 0.01), local: LocalTraining(),
      evaluation: EvaluationPlan(every: 1), seed: 1)
    let run = try FederatedRun(
      plan: plan, partition: Partition(clients: [[0]]), objective: objective,
      initialVector: wobble(length, salt: 3), communicator: SingleProcessCommunicator())
    var resident: [Int] = []
    _ = try run.run { _ in resident.append(try residentBytes()) }
    // One vector of Floats that stayed behind in each round would be 72 MB here. The other tests
    // of this process run at the same time and take some.
    #expect(resident[39] - resident[9] < 40 << 20, "\(resident)")
  }
}
