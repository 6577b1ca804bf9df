// A client whose update is not finite is left out of its round as if it were not in it, on any number of ranks.
import Communication
import Corpora
import Federation
import TestSupport
import Testing

/// The clients whose gradients are not numbers, by round.
private let poisoned: [Int: Set<Int>] = [1: [2], 3: [0, 4], 4: [5]]

private let clients = [[0, 1, 2], [3], [4, 5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15, 16]]

private func objective(
  _ poisoned: [Int: Set<Int>] = poisoned, length: Int = 65
) -> QuadraticObjective {
  let objective = QuadraticObjective(
    scales: wobble(length, salt: 7).map { 0.1 + $0.magnitude },
    train: (0..<20).map { wobble(length, salt: 100 + $0) },
    test: (0..<9).map { wobble(length, salt: 300 + $0) })
  objective.beforeBatch = { _, key in
    // At the second local step: the first one is sound.
    poisoned[key!.round]?.contains(key!.client) == true && key!.step == 1 ? .nan : 1
  }
  return objective
}

private let everybody = Array(repeating: [0, 2, 3, 4, 5], count: 6)
private let withoutPoisoned = everybody.enumerated().map { round, cohort in
  cohort.filter { poisoned[round]?.contains($0) != true }
}

private func federation(_ method: Method, _ cohorts: [[Int]]) -> FederationPlan {
  plan(
    rounds: cohorts.count, cohort: .file(cohorts), weighting: .examples, method: method,
    server: .adamW(learningRate: 0.05),
    local: LocalTraining(epochs: 2, batchSize: 2, learningRate: 0.05, momentum: 0.9),
    evaluation: EvaluationPlan(every: 2, splits: [.test]), seed: 5)
}

private func play(
  _ plan: FederationPlan, _ objective: QuadraticObjective, ranks: Int = 1
) throws -> [RoundRecord] {
  let residuals = plan.method.residual == .kept ? ResidualsInMemory() : nil
  nonisolated(unsafe) let shared = objective
  return try ThreadCommunicators.run(size: ranks) { communicator in
    // One for each rank: an objective belongs to a thread.
    let own = ranks == 1 ? shared : QuadraticObjective(copying: shared)
    let run = try FederatedRun(
      plan: plan, partition: Partition(clients: clients), objective: own,
      initialVector: wobble(own.parameterCount, salt: 1), residuals: residuals,
      communicator: communicator)
    var records: [RoundRecord] = []
    _ = try run.run { records.append($0) }
    return records
  }[0]
}

extension QuadraticObjective {
  fileprivate convenience init(copying other: QuadraticObjective) {
    self.init(
      scales: other.scales, train: other.splits[.train]!, test: other.splits[.test]!)
    beforeBatch = other.beforeBatch
  }
}

@Suite struct RefusalTests {
  private static let methods = [
    Method.denseLoRA,
    Method(
      download: .topMagnitude(.constant(0.25)), upload: .topMagnitude(.constant(0.1)),
      residual: .kept),
    Method(
      download: .topMagnitude(.geometric(initial: 1, factor: 0.8, period: 1)),
      upload: .downloaded, persistence: .nested, trained: .downloaded),
    Method(
      download: .topMagnitude(.constant(0.25)), upload: .topMagnitude(.constant(0.3)),
      values: MessageValues(download: .fp16, upload: .int8), downloadIndices: .difference,
      tiers: [Tier(), Tier(uploadDensity: 0.1)]),
  ]

  @Test("the server goes on as if the refused clients had not been in the round", arguments: 0..<4)
  func leftOut(method: Int) throws {
    let found = try play(federation(Self.methods[method], everybody), objective())
    let expected = try play(federation(Self.methods[method], withoutPoisoned), objective([:]))
    #expect(found.map(\.digest) == expected.map(\.digest))
    #expect(found.map(\.trainLoss) == expected.map(\.trainLoss))
    #expect(found.map(\.evaluation.first?.loss) == expected.map(\.evaluation.first?.loss))
    #expect(found.map(\.uploadPayload) == expected.map(\.uploadPayload))
    for record in found {
      let refused = Set(record.refused.map(\.client))
      #expect(refused == (poisoned[record.round] ?? []).intersection(record.cohort))
      for client in record.refused {
        #expect(client.download.total > 0 && client.upload.total == 0)
        #expect(client.uploadNonzeros == 0 && client.steps == 2 && client.tokens > 0)
        let text = try #require(client.refusal).description
        #expect(text.contains("the update is not finite") && text.contains("local step 2 of"))
      }
    }
  }

  @Test("records are the same on any number of ranks", arguments: [2, 3, 8])
  func ranks(ranks: Int) throws {
    for method in Self.methods {
      func stripped(_ records: [RoundRecord]) -> [RoundRecord] {
        records.map { record in
          var record = record
          record.seconds = PhaseSeconds()
          for i in record.clients.indices {
            (record.clients[i].seconds, record.clients[i].rank) = (0, 0)
          }
          for i in record.evaluation.indices { record.evaluation[i].seconds = 0 }
          return record
        }
      }
      let plan = federation(method, everybody)
      let one = stripped(try play(plan, objective()))
      #expect(one.flatMap(\.refused).count == 4)
      #expect(stripped(try play(plan, objective(), ranks: ranks)) == one)
    }
  }

  @Test("a round of refused clients alone is no step, and three in a row end the run on every rank")
  func allRefused() throws {
    let all: Set = [0, 2, 3, 4, 5]
    func run(_ rounds: Set<Int>, ranks: Int) throws -> [RoundRecord] {
      let plan = federation(Self.methods[1], everybody)
      let poison = Dictionary(uniqueKeysWithValues: rounds.map { ($0, all) })
      return try play(plan, objective(poison), ranks: ranks)
    }
    let twice = try run([1, 2, 4, 5], ranks: 2)
    #expect(twice[0].digest == twice[2].digest && twice[3].digest == twice[5].digest)
    #expect(twice[2].digest != twice[3].digest)
    #expect(twice[1].count(.used) == 0 && twice[1].trainLoss == nil)
    for ranks in [1, 3] {
      let texts = Texts()
      #expect(throws: FederationError.self) {
        do { _ = try run([1, 2, 3], ranks: ranks) } catch {
          texts.append("\(error)")
          throw error
        }
      }
      #expect(
        texts.all == [
          "round 4: no client's update was finite in 3 rounds in a row; try lower learning rates"
        ])
    }
  }

  @Test("a run that goes on counts the refused rounds before it")
  func resumed() throws {
    let objective = objective([3: [0, 2, 3, 4, 5]])
    let plan = federation(.denseLoRA, everybody)
    for (earlier, ends) in [(1, false), (2, true)] {
      let start = plan.initialState(wobble(65, salt: 1))
      let state = try ServerState(
        round: 3, vector: start.vector, firstMoment: start.firstMoment,
        secondMoment: start.secondMoment, emptyRounds: 3, refusedRounds: earlier)
      let run = try FederatedRun(
        plan: plan, partition: Partition(clients: clients), objective: objective, state: state,
        communicator: SingleProcessCommunicator())
      _ = try run.advance()
      #expect((run.divergence != nil) == ends)
      #expect(run.state?.refusedRounds == earlier + 1)
    }
  }

  @Test("an update that is not finite with what was kept back is refused, and that stays")
  func residual() throws {
    final class Broken: ResidualStore {
      func residual(of client: Int, before round: Int) -> [Float]? {
        client == 3 ? Array(repeating: .infinity, count: 65) : nil
      }
      func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) {
        #expect(client != 3)
      }
      func withdraw(_ client: Int, round: Int) { Issue.record("nothing is taken back") }
    }
    let run = try FederatedRun(
      plan: federation(Self.methods[1], [[2, 3]]), partition: Partition(clients: clients),
      objective: objective([:]), initialVector: wobble(65, salt: 1), residuals: Broken(),
      communicator: SingleProcessCommunicator())
    let record = try #require(try run.advance().record)
    #expect(record.clients.map(\.status) == [.used, .refused])
    #expect(try #require(record.clients[1].refusal).place == .residual)
  }

  @Test("by the virtual clock a refused client is lost when it has computed what it computed")
  func clock() throws {
    var plan = federation(.denseLoRA, [[0, 2, 3]])
    let device = ClientSystem(download: 100, upload: 50, latency: 0.5, tokensPerSecond: 2)
    plan.system = SystemModel(clients: .trace([device]))
    let record = try play(plan, objective([0: [2]]))[0]
    #expect(record.clients.map(\.status) == [.used, .refused, .used])
    let refused = record.clients[1]
    #expect(refused.tokens > 0)
    #expect(
      refused.modelledSeconds
        == 0.5 + Double(refused.download.total) / 100 + Double(refused.tokens) / 2)
    // The server waits for as many others as it wants.
    plan.cohort = .uniform(size: 2)
    plan.system?.extraClients = 4
    let drawn = try play(plan, objective([0: [0, 1, 2, 3]]))[0]
    #expect(drawn.count(.used) == 2 && drawn.count(.refused) >= 2)
  }

  @Test("with privacy a refused client counts as zeros")
  func privacy() throws {
    func vector(_ poison: [Int: Set<Int>], _ privacy: Privacy?, rounds: Int) throws -> [Float] {
      var plan = federation(.denseLoRA, Array(repeating: [0, 2, 3, 4], count: rounds))
      plan.weighting = .uniform
      plan.server = .sgd(learningRate: 1)
      plan.privacy = privacy
      let run = try FederatedRun(
        plan: plan, partition: Partition(clients: clients), objective: objective(poison),
        initialVector: [Float](repeating: 0, count: 65), communicator: SingleProcessCommunicator())
      return try #require(try run.run { _ in }.state).vector
    }
    let clip = Privacy(clipping: .fixed(1e6), noise: .multiplier(0), delta: 1e-5)
    let without = try vector([0: [2]], nil, rounds: 1)
    let with = try vector([0: [2]], clip, rounds: 1)
    // A mean over three and one over four, three of which are the same.
    for (a, b) in zip(without, with) { #expect(abs(3 * a - 4 * b) <= 1e-5 * (abs(a) + 1e-3)) }
    #expect(without != with)
    // Noise comes, whoever is left: no round is without a step.
    let noise = Privacy(clipping: .fixed(1), noise: .multiplier(1), delta: 1e-5)
    #expect(try vector([0: [0, 2, 3, 4]], noise, rounds: 1).contains { $0 != 0 })
  }
}
