// Rounds worked by hand on quadratics whose numbers are exact in Float.
import Communication
import Corpora
import Federation
import Sparsity
import TestSupport
import Testing

@Suite struct RoundTests {
  @Test("a dense round of averaging moves the server by the mean of the clients' moves")
  func dense() throws {
    let objective = QuadraticObjective(scales: [1, 2], train: [[1, 4], [3, 0]])
    let found = try play(
      plan(cohort: .file([[0, 1]])), clients: [[0], [1]], objective, from: [1, 2])
    // Client 0: g = (0, -4), x = (1, 4). Client 1: g = (-2, 4), x = (2, 0). Mean x = (1.5, 2).
    #expect(found.state.vector == [1.5, 2])
    let record = try #require(found.records.first)
    #expect(record.cohort == [0, 1])
    #expect(record.clients.map(\.loss) == [0.5 * 2 * 4, 0.5 * 4 + 0.5 * 2 * 4])
    #expect(record.trainLoss == 5)
    #expect(record.digest == found.state.digest)
    #expect(record.downloadDensity == 1 && record.uploadDensity == 1)
    #expect(record.downloadPayload == PayloadSize(values: 16, indices: 0, header: 32))
    #expect(record.uploadPayload.total == 2 * (8 + 16))
    #expect(record.densePayloadBytes == 2 * record.uploadPayload.total)
    #expect(record.evaluation.isEmpty)
  }

  @Test("clients weigh alike, or by their examples")
  func weighting() throws {
    let train: [[Float]] = [[4], [4], [4], [8]]
    let clients = [[0, 1, 2], [3]]
    for (weighting, expected) in [(Weighting.uniform, Float(3)), (.examples, 2.5)] {
      let found = try play(
        plan(cohort: .file([[0, 1]]), weighting: weighting), clients: clients,
        QuadraticObjective(scales: [1], train: train), from: [0])
      // Client 0 goes to 2, client 1 to 4: (2 + 4) / 2 or (3 * 2 + 4) / 4.
      #expect(found.state.vector == [expected])
    }
  }

  @Test("clients start from the masked vector but train and send all coordinates")
  func downloadMask() throws {
    let objective = QuadraticObjective(scales: [1, 1, 1, 1], train: [[8, 0, 0, 0]])
    let method = Method(download: .topMagnitude(.constant(0.5)), upload: .all)
    let found = try play(
      plan(cohort: .file([[0]]), method: method), clients: [[0]], objective, from: [1, -6, 2, 4])
    // Download (0, -6, 0, 4); x = (4, -3, 0, 2); delta = (-4, -3, 0, 2), taken off the dense P.
    #expect(found.state.vector == [5, -3, 2, 2])
    let record = try #require(found.records.first)
    #expect(record.downloadDensity == 0.5)
    #expect(record.uploadDensity == 1)
    #expect(record.clients[0].loss == 0.5 * (64 + 36 + 16))
  }

  @Test("the upload keeps the largest coordinates of the delta and the others count as zero")
  func uploadMask() throws {
    let objective = QuadraticObjective(
      scales: [1, 1, 1, 1], train: [[8, 0, 0, 2], [0, 2, 16, 0]])
    let method = Method(download: .all, upload: .topMagnitude(.constant(0.25)))
    let found = try play(
      plan(cohort: .file([[0, 1]]), method: method), clients: [[0], [1]], objective,
      from: [0, 0, 0, 0])
    #expect(found.state.vector == [2, 0, 4, 0])
    let record = try #require(found.records.first)
    #expect(record.clients.map(\.uploadNonzeros) == [1, 1])
    #expect(record.uploadDensity == 0.25)
    #expect(record.uploadPayload.values == 8)
    #expect(2 * record.uploadPayload.total < record.densePayloadBytes)
  }

  @Test("momentum of the local steps reaches the server, and later rounds build on earlier ones")
  func twoRounds() throws {
    let objective = QuadraticObjective(scales: [1], train: [[8]])
    let local = LocalTraining(epochs: 2, batchSize: 1, learningRate: 0.5, momentum: 0.5)
    let found = try play(
      plan(rounds: 2, cohort: .uniform(size: 1), server: .sgd(learningRate: 0.5), local: local),
      clients: [[0]], objective, from: [0])
    // x: v = -8, 4; v = -4 - 4 = -8, 8: delta -8, P = 4. Then v = -4, 6; v = -2 - 2 = -4, 8:
    // delta -4, P = 6.
    #expect(found.state.vector == [6])
    #expect(found.state.round == 2)
  }

  @Test("a density schedule takes its density from the round")
  func schedule() throws {
    let objective = QuadraticObjective(
      scales: [Float](repeating: 1, count: 16), train: [wobble(16, salt: 1)])
    let method = Method(
      download: .all, upload: .topMagnitude(.geometric(initial: 1, factor: 0.5, period: 2)))
    let found = try play(
      plan(rounds: 6, cohort: .uniform(size: 1), method: method), clients: [[0]], objective,
      from: wobble(16, salt: 2))
    #expect(found.records.map(\.uploadDensity) == [1, 1, 0.5, 0.5, 0.25, 0.25])
  }

  @Test("top magnitude at density 1 is the selection of all, to the last bit")
  func densityOne() throws {
    let train = (0..<9).map { wobble(33, salt: $0) }
    let clients = [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    let digests = try [Method.denseLoRA, .flasc(download: 1, upload: 1)].map { method in
      try play(
        plan(
          rounds: 4, cohort: .uniform(size: 2), method: method, server: .adamW(learningRate: 0.1)),
        clients: clients,
        QuadraticObjective(scales: wobble(33, salt: 99).map(\.magnitude), train: train),
        from: wobble(33, salt: 50)
      ).state.digest
    }
    #expect(digests[0] == digests[1])
  }

  @Test("another seed draws other cohorts, the same seed the same")
  func seeds() throws {
    let train = (0..<20).map { wobble(3, salt: $0) }
    func cohorts(_ seed: UInt64) throws -> [[Int]] {
      try play(
        plan(rounds: 5, cohort: .uniform(size: 3), seed: seed), clients: (0..<20).map { [$0] },
        QuadraticObjective(scales: [1, 1, 1], train: train), from: [0, 0, 0]
      ).records.map(\.cohort)
    }
    let one = try cohorts(1)
    #expect(try cohorts(1) == one)
    #expect(try cohorts(2) != one)
    #expect(Set(one).count > 1)
    #expect(one.allSatisfy { $0.count == 3 && Set($0).count == 3 && $0 == $0.sorted() })
  }

  @Test("a cohort file says who takes part in each round")
  func cohortFile() throws {
    let objective = QuadraticObjective(scales: [1], train: [[1], [2], [3], [4]])
    let found = try play(
      plan(rounds: 3, cohort: .file([[2], [3, 0], [1]])), clients: [[0], [1], [2], [3]], objective,
      from: [0])
    #expect(found.records.map(\.cohort) == [[2], [3, 0], [1]])
    #expect(found.records[1].clients.map(\.client) == [3, 0])
  }

  @Test("rank 0 reports progress that ends where the work ends")
  func progress() throws {
    let objective = QuadraticObjective(
      scales: [1], train: (0..<10).map { [Float($0)] }, test: (0..<20).map { [Float($0)] })
    let run = try FederatedRun(
      plan: plan(
        cohort: .uniform(size: 2), local: LocalTraining(epochs: 2, batchSize: 2),
        evaluation: EvaluationPlan(every: 1, splits: [.test])),
      partition: Partition(clients: [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]), objective: objective,
      initialVector: [0], communicator: SingleProcessCommunicator())
    var seen: [RoundProgress] = []
    _ = try run.run(onProgress: { seen.append($0) }, onRound: { _ in })
    let training = seen.filter { $0.stage == .training }
    // Two clients of three batches and two epochs, and one more call at each client's end.
    #expect(training.count == 2 * (3 * 2 + 1))
    #expect(training.map(\.workFinished) == training.map(\.workFinished).sorted())
    #expect(training.last?.workFinished == training.last?.workCount)
    #expect(training.last?.clientsFinished == 2 && training.last?.clientCount == 2)
    let evaluating = seen.filter { $0.stage == .evaluation(.test) }
    // Once for each block of 16 examples.
    #expect(evaluating.map(\.workFinished) == [16, 20])
  }
}
