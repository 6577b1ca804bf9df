// Rounds with a virtual clock: who counts, what is charged, and the same bits on any number of ranks
// and across an interruption.
import Communication
import Corpora
import Federation
import Sparsity
import TestSupport
import Testing

private func device(
  down: Double = 8, up: Double = 4, latency: Double = 0.5, tokens: Double = 1
) -> ClientSystem {
  ClientSystem(download: down, upload: up, latency: latency, tokensPerSecond: tokens)
}
@Suite struct SystemRoundTests {
  /// Three clients with an example each: 1, 8 and 2 tokens; messages of 16 + 4 bytes.
  private static var objective: QuadraticObjective {
    QuadraticObjective(scales: [1], train: [[4], [8], [16]])
  }

  private static func threeClients(_ system: SystemModel, rounds: Int = 1) -> FederationPlan {
    var value = plan(
      rounds: rounds, cohort: .file(Array(repeating: [0, 1, 2], count: rounds)))
    value.system = system
    return value
  }

  @Test("a round takes as long as its slowest client, by the payload that is charged")
  func slowest() throws {
    let found = try play(
      Self.threeClients(SystemModel(clients: .trace([device()]), serverSeconds: 0.25)),
      clients: [[0], [1], [2]], Self.objective, from: [0])
    let record = found.records[0]
    let bytes = Double(record.denseMessage.total)
    #expect(bytes == 20)
    let travel = 0.5 + bytes / 8 + 0.5 + bytes / 4
    #expect(record.clients.map(\.modelledSeconds) == [travel + 1, travel + 8, travel + 2])
    #expect(record.modelledSeconds == travel + 8 + 0.25)
    #expect(record.clients.allSatisfy { $0.status == .used })
    #expect(found.state.vector == [Float(28) / 6])
  }

  @Test("an upload that misses the deadline does not count and is not charged; its download is")
  func deadline() throws {
    let found = try play(
      Self.threeClients(SystemModel(clients: .trace([device()]), deadline: 15)),
      clients: [[0], [1], [2]],
      Self.objective, from: [0])
    let record = found.records[0]
    #expect(record.clients.map(\.status) == [.used, .late, .used])
    #expect(record.modelledSeconds == 15)
    #expect(record.clients[1].modelledSeconds == 8.5 + 8)
    // Clients 0 and 2 go half of the way to 4 and 16.
    #expect(found.state.vector == [5])
    #expect(record.trainLoss == (0.5 * 16 + 0.5 * 256) / 2)
    #expect(record.downloadPayload.total == 3 * 20)
    #expect(record.uploadPayload.total == 2 * 20)
    #expect(record.densePayloadBytes == 5 * 20)
    #expect(record.uploadDensity == 1 && record.downloadDensity == 1)
    #expect(record.clients[1].tokens == 8 && record.clients[1].uploadNonzeros == 0)
  }

  @Test("of more clients than are wanted the first ones count")
  func extraClients() throws {
    var plan = plan(cohort: .uniform(size: 1))
    plan.system = SystemModel(clients: .trace([device()]), extraClients: 2)
    let found = try play(plan, clients: [[0], [1], [2]], Self.objective, from: [0])
    #expect(found.records[0].clients.map(\.status) == [.used, .late, .late])
    #expect(found.records[0].modelledSeconds == 9.5)
    #expect(found.state.vector == [2])
  }

  @Test("who is dropped is charged for its download and not trained; who is not there, for nothing")
  func dropped() throws {
    let system = SystemModel(clients: .trace([device()]), unavailability: 0.4, dropout: 0.4)
    let objective = QuadraticObjective(scales: [1], train: [[4], [8], [16]])
    let found = try play(
      Self.threeClients(system, rounds: 30), clients: [[0], [1], [2]], objective, from: [0])
    var trained = 0
    for record in found.records {
      for client in record.clients {
        #expect(
          client.status == system.fate(of: client.client, round: record.round, seed: 1))
        trained += client.status == .used ? 1 : 0
        #expect(client.download.total == (client.status == .unavailable ? 0 : 20))
        #expect(client.upload.total == (client.status == .used ? 20 : 0))
        #expect((client.steps > 0) == (client.status == .used))
        if client.status == .dropped { #expect(client.modelledSeconds == 3) }
        if client.status == .unavailable { #expect(client.modelledSeconds == nil) }
      }
    }
    #expect(objective.batches.count == trained)
    for status in [ClientStatus.used, .dropped, .unavailable] {
      #expect(found.records.contains { $0.count(status) > 0 })
    }
  }

  @Test("a round in which nobody is left keeps vector and moments, and is no step of the optimizer")
  func empty() throws {
    var lost = Self.threeClients(SystemModel(clients: .trace([device()]), dropout: 1), rounds: 3)
    lost.server = .adamW(learningRate: 0.1)
    lost.evaluation = EvaluationPlan(every: 1, splits: [.test])
    let objective = QuadraticObjective(
      scales: [1], train: [[4], [8], [16]], test: [[4], [5]])
    let start = ServerState(vector: [3], optimizer: lost.server)
    let found = try play(lost, clients: [[0], [1], [2]], objective, from: [3])
    #expect(found.state.vector == [3] && found.state.firstMoment == [0])
    #expect(found.state.round == 3 && found.state.emptyRounds == 3)
    #expect(found.records.map(\.digest) == [start.digest, start.digest, start.digest])
    #expect(found.records[0].modelledSeconds == 3)
    #expect(found.records[0].trainLoss == nil && found.records[0].uploadDensity == 0)
    #expect(found.records.map { $0.evaluation.map(\.loss) } == [[1.25], [1.25], [1.25]])
    // Bias corrections count steps: the first step after empty rounds is a first step.
    var after = found.state
    var first = start
    after.step(lost.server, pseudoGradient: [0.5])
    first.step(lost.server, pseudoGradient: [0.5])
    #expect(after.vector == first.vector)
    // In tiers there is no download of which to evaluate the mask.
    lost.method = Method(download: .all, upload: .all, tiers: [Tier(), Tier(downloadDensity: 0.5)])
    #expect(
      try play(lost, clients: [[0], [1], [2]], objective, from: [3]).state.vector == [3])
  }

  @Test("a late client keeps the residual that it had before")
  func residuals() throws {
    let objective = QuadraticObjective(scales: [1, 1], train: [[4, 2], [8, 2]])
    var plan = Self.threeClients(
      SystemModel(clients: .trace([device(tokens: 1e9), device(tokens: 1)]), deadline: 16),
      rounds: 3)
    plan.cohort = .file([[0, 1], [0, 1], [0, 1]])
    plan.method = Method(
      download: .all, upload: .topMagnitude(.constant(0.5)), residual: .kept)
    // The client that is always late is as if it were never there, whatever is kept.
    let late = try play(plan, clients: [[0], [1]], objective, from: [0, 0])
    #expect(late.records.allSatisfy { $0.clients.map(\.status) == [.used, .late] })
    plan.cohort = .file([[0], [0], [0]])
    #expect(
      try play(plan, clients: [[0], [1]], objective, from: [0, 0]).state == late.state)
    let store = ResidualsInMemory()
    [1, 2].withUnsafeBufferPointer { store.keep($0, of: 5, round: 0) }
    [3, 4].withUnsafeBufferPointer { store.keep($0, of: 5, round: 2) }
    [5, 6].withUnsafeBufferPointer { store.keep($0, of: 6, round: 2) }
    store.withdraw(5, round: 2)
    store.withdraw(6, round: 2)
    #expect(store.residual(of: 5, before: 3) == [1, 2])
    #expect(store.residual(of: 6, before: 3) == nil)
  }
}

/// What must not depend on the ranks.
private struct Trace: Sendable, Equatable {
  var digests: [String] = []
  var statuses: [[ClientStatus]] = []
  var seconds: [Double?] = []
  var numbers: [[Double?]] = []

  mutating func append(_ record: RoundRecord) {
    digests.append(record.digest)
    statuses.append(record.clients.map(\.status))
    seconds += [record.modelledSeconds] + record.clients.map(\.modelledSeconds)
    var found = [record.trainLoss, record.uploadDensity]
    found += record.evaluation.map(\.loss)
    for client in record.clients {
      found += [Double(client.client), client.loss]
      found += [Double(client.download.total), Double(client.upload.total)]
    }
    for group in record.clientEvaluation { found += group.clients.map(\.loss) }
    numbers.append(found)
  }
}

@Suite struct SystemBitsTests {
  private static let length = 301
  private static let partition = unevenClients

  private static func objective() -> QuadraticObjective {
    QuadraticObjective(
      scales: wobble(length, salt: 7).map { 0.1 + $0.magnitude },
      train: (0..<20).map { wobble(length, salt: 100 + $0) },
      test: (0..<31).map { wobble(length, salt: 300 + $0) })
  }

  private static let system = SystemModel(
    clients: .drawn(
      download: LogNormal(median: 200, sigma: 0.5), upload: LogNormal(median: 100, sigma: 0.5),
      latency: LogNormal(median: 0.1, sigma: 1),
      tokensPerSecond: LogNormal(median: 10, sigma: 0.5)),
    tierSpeeds: [1, 0.8], unavailability: 0.2, dropout: 0.2, deadline: 14, extraClients: 2,
    serverSeconds: 0.125)

  private static func plan() -> FederationPlan {
    var plan = FederationPlan(
      rounds: 12, cohort: .uniform(size: 3), weighting: .examples,
      method: Method(
        download: .topMagnitude(.constant(0.25)), upload: .topMagnitude(.constant(0.1)),
        downloadIndices: .difference, tiers: [Tier(), Tier(uploadDensity: 0.3)]),
      server: .adamW(learningRate: 0.05),
      local: LocalTraining(epochs: 2, batchSize: 2, learningRate: 0.05, momentum: 0.9),
      evaluation: EvaluationPlan(every: 3, splits: [.test], clients: 2), seed: 5)
    plan.system = system
    return plan
  }

  private static func trace(
    _ plan: FederationPlan, over communicator: any Communicator, from state: ServerState? = nil,
    knowledge: ClientKnowledge = ClientKnowledge()
  ) throws -> (trace: Trace, final: String) {
    let isServer = communicator.rank == 0
    let run = try FederatedRun(
      plan: plan, partition: partition, objective: objective(),
      state: isServer
        ? state ?? ServerState(vector: wobble(length, salt: 1), optimizer: plan.server) : nil,
      knowledge: knowledge, communicator: communicator)
    var trace = Trace()
    let final = try run.run { trace.append($0) }
    return (trace, final.digest)
  }

  @Test("with every kind of loss, 1, 2, 3 and 8 ranks give the bits of a single process")
  func ranks() throws {
    let expected = try Self.trace(Self.plan(), over: SingleProcessCommunicator())
    let statuses = expected.trace.statuses.flatMap { $0 }
    for status in [ClientStatus.used, .dropped, .late] {
      #expect(statuses.count { $0 == status } > 3, "\(expected.trace.statuses)")
    }
    // Some rounds end with the wanted uploads, some at the deadline.
    #expect(expected.trace.seconds.contains(14.125))
    #expect(
      expected.trace.statuses.contains { $0.contains(.late) && $0.count { $0 == .used } == 3 })
    for ranks in [1, 2, 3, 8] {
      for uploads in UploadCollective.allCases {
        var plan = Self.plan()
        plan.uploads = uploads
        let found = try ThreadCommunicators.run(size: ranks) { [plan] communicator in
          try Self.trace(plan, over: communicator)
        }
        #expect(Set(found.map(\.final)) == [expected.final])
        #expect(found[0].trace == expected.trace, "\(ranks) ranks, \(uploads)")
      }
    }
  }

  @Test("an interrupted run goes on with the same bits, empty rounds before it included")
  func resume() throws {
    // Hardly anybody stays: some rounds are empty.
    var plan = Self.plan()
    plan.system?.dropout = 0.75
    let whole = try Self.trace(plan, over: SingleProcessCommunicator())
    let run = try FederatedRun(
      plan: plan, partition: Self.partition, objective: Self.objective(),
      initialVector: wobble(Self.length, salt: 1), communicator: SingleProcessCommunicator())
    for _ in 0..<7 { _ = try run.advance() }
    let saved = try #require(run.state)
    let knowledge = run.knowledge
    #expect((1..<7).contains(saved.emptyRounds))
    let restored = try ServerState(
      round: saved.round, vector: saved.vector, firstMoment: saved.firstMoment,
      secondMoment: saved.secondMoment, support: saved.support, emptyRounds: saved.emptyRounds)
    let found = try ThreadCommunicators.run(size: 3) { [plan] communicator in
      try Self.trace(plan, over: communicator, from: restored, knowledge: knowledge)
    }
    #expect(Set(found.map(\.final)) == [whole.final])
    #expect(found[0].trace.digests == Array(whole.trace.digests.suffix(5)))
    #expect(found[0].trace.statuses == Array(whole.trace.statuses.suffix(5)))
    #expect(whole.trace.seconds.suffix(found[0].trace.seconds.count) == found[0].trace.seconds[...])
  }

  @Test("a clock by which nobody is missing or late changes no bit")
  func clockAlone() throws {
    var plan = Self.plan()
    plan.system = SystemModel(clients: Self.system.clients)
    let clocked = try Self.trace(plan, over: SingleProcessCommunicator())
    plan.system = nil
    let free = try Self.trace(plan, over: SingleProcessCommunicator())
    #expect(clocked.trace.digests == free.trace.digests)
    #expect(clocked.trace.numbers == free.trace.numbers)
    #expect(clocked.trace.seconds.allSatisfy { ($0 ?? 0) > 0 })
    #expect(free.trace.seconds.allSatisfy { $0 == nil })
  }
}
