// What goes wrong is said on every rank, at once, with the round and the client.
import Communication
import Corpora
import Federation
import RandomStreams
import TestSupport
import Testing

private struct BrokenCorpus: Error, CustomStringConvertible {
  let description = "example 4 cannot be read"
}

@Suite struct FailureTests {
  private static let partition = Partition(clients: [[0], [1], [2], [3], [4], [5]])

  private static func run(
    _ plan: FederationPlan, over communicator: any Communicator,
    beforeBatch: @escaping ([Int], RandomKey?) throws -> Float = { _, _ in 1 }
  ) throws {
    let objective = QuadraticObjective(
      scales: [1, 1], train: (0..<6).map { wobble(2, salt: $0) }, test: [[1, 1]])
    objective.beforeBatch = beforeBatch
    _ = try FederatedRun(
      plan: plan, partition: partition, objective: objective, initialVector: [1, 2],
      communicator: communicator
    ).run { _ in }
  }

  /// The texts of the errors that the ranks throw, and the one thrown by the group.
  private static func errors(
    ranks: Int, _ plan: FederationPlan,
    beforeBatch: @escaping @Sendable ([Int], RandomKey?) throws -> Float = { _, _ in 1 }
  ) -> (all: [String], first: (any Error)?) {
    let texts = Texts()
    let began = ContinuousClock.now
    defer { #expect(ContinuousClock.now - began < .seconds(5)) }
    do {
      _ = try ThreadCommunicators.run(size: ranks) { communicator in
        do {
          try run(plan, over: communicator, beforeBatch: beforeBatch)
        } catch {
          texts.append("\(error)")
          throw error
        }
      }
      return (texts.all, nil)
    } catch {
      return (texts.all, error)
    }
  }

  @Test(
    "where the plan wants it, a gradient that is not a number ends all ranks, naming the client")
  func notANumber() throws {
    var stopping = plan(rounds: 4, cohort: .uniform(size: 6))
    stopping.nonFinite = .stop
    for ranks in [1, 3, 8] {
      let found = Self.errors(
        ranks: ranks, stopping,
        beforeBatch: { _, key in key!.round == 2 && key!.client == 4 ? .nan : 1 })
      #expect(found.all.count == ranks)
      for text in found.all {
        #expect(text.contains("round 3, client 4: the update is not finite"), "\(text)")
        #expect(text.contains("try a lower learning_rate"))
      }
      let error = try #require(found.first as? FederationError)
      #expect(error.round == 2 && error.client == 4)
    }
  }

  @Test("training that overflows says how large the gradient had become")
  func overflow() throws {
    var stopping = plan(
      cohort: .uniform(size: 6),
      local: LocalTraining(epochs: 60, batchSize: 1, learningRate: 100, momentum: 0.9))
    stopping.nonFinite = .stop
    let found = Self.errors(ranks: 2, stopping)
    let error = try #require(found.first as? FederationError)
    #expect(error.round == 0 && error.client != nil)
    #expect(error.description.contains("largest |gradient|"))
    #expect(error.description.contains("of 60"))
    #expect(!error.description.contains("nan up to"))
  }

  @Test("an error of the objective is passed on with its round and client")
  func objectiveThrows() throws {
    let found = Self.errors(
      ranks: 3, plan(cohort: .uniform(size: 6)),
      beforeBatch: { examples, _ in
        if examples == [4] { throw BrokenCorpus() }
        return 1
      })
    let error = try #require(found.first as? FederationError)
    #expect(error.description == "round 1, client 4: example 4 cannot be read")
    #expect(error.underlying is BrokenCorpus)
    #expect(found.all.allSatisfy { $0.contains("client 4") })
  }

  @Test("a callback that throws on rank 0 ends all ranks")
  func callbackThrows() {
    #expect(throws: BrokenCorpus.self) {
      _ = try ThreadCommunicators.run(size: 3) { communicator in
        let objective = QuadraticObjective(scales: [1], train: (0..<6).map { [Float($0)] })
        _ = try FederatedRun(
          plan: plan(rounds: 3, cohort: .uniform(size: 2)), partition: Self.partition,
          objective: objective, initialVector: [0], communicator: communicator
        ).run { _ in throw BrokenCorpus() }
      }
    }
  }

  @Test("a plan that makes no sense is refused with all its problems and exit code 64")
  func problems() throws {
    var plan = plan(
      rounds: 0, cohort: .uniform(size: 7), method: .flasc(download: 0, upload: 1.5),
      server: .adamW(learningRate: -1, beta1: 1),
      local: LocalTraining(epochs: 0, batchSize: 0, learningRate: .nan, momentum: 1),
      evaluation: EvaluationPlan(every: 0, splits: [.test, .test], maximumExamples: 0))
    plan.serverSchedule = LearningRateSchedule(decay: .linear(final: 2, rounds: 9))
    plan.local.schedule = LearningRateSchedule(decay: .constant, warmupRounds: 1)
    let error = try #require(throws: FederationError.self) {
      try Self.run(plan, over: SingleProcessCommunicator())
    }
    #expect(error.exitCode == 64)
    let expected = [
      "federation.rounds: 0 is not",
      "federation.cohort_size: 7 is not allowed; give an integer from 1 to 6",
      "method.download.density: 0 is", "method.upload.density: 1.5 is",
      "federation.server.learning_rate: -1 is", "federation.server.beta1: 1 is",
      "local.epochs: 0 is",
      "local.batch_size: 0 is", "local.learning_rate: nan is", "local.momentum: 1 is",
      "federation.server.schedule.final: 2 is", "local.schedule.warmup_rounds: 1 is",
      "evaluation.every: 0 is", "a split twice", "evaluation.maximum_examples: 0 is",
    ]
    for text in expected { #expect(error.reason.contains(text), "\(text)") }
  }

  @Test("a cohort file that does not fit is refused")
  func cohortFiles() {
    let cases: [([[Int]], String)] = [
      ([[0]], "has 1 rounds; the run has 2"), ([[0], []], "no client for round 2"),
      ([[0], [6]], "client 6 in round 2; clients are 0 to 5"),
      ([[0], [2, 2]], "twice in round 2"),
    ]
    for (cohorts, text) in cases {
      let problems = plan(rounds: 2, cohort: .file(cohorts)).problems(population: 6)
      #expect(problems.count == 1 && problems[0].text.contains(text), "\(problems)")
    }
    #expect(plan(rounds: 2, cohort: .file([[0], [5, 1]])).problems(population: 6).isEmpty)
    #expect(plan(rounds: -1, cohort: .file([[0]])).problems(population: 6).count == 1)
  }

  @Test("a partition, split, vector or state that does not fit is refused on every rank")
  func misfits() {
    func reason(
      clients: [[Int]] = [[0]], splits: [Split] = [], vector: [Float] = [0],
      state: ServerState? = nil
    ) -> String {
      let texts = Texts()
      do {
        _ = try ThreadCommunicators.run(size: 2) { communicator in
          let plan = plan(
            cohort: .uniform(size: 1), evaluation: EvaluationPlan(splits: splits))
          do {
            let objective = QuadraticObjective(scales: [1], train: [[1], [2]])
            let start = state ?? ServerState(vector: vector, optimizer: plan.server)
            _ = try FederatedRun(
              plan: plan, partition: Partition(clients: clients), objective: objective,
              state: start, communicator: communicator)
          } catch {
            texts.append("\(error)")
            throw error
          }
        }
      } catch {
        #expect(texts.all.count == 2)
        return "\(error)"
      }
      return ""
    }
    #expect(reason() == "")
    #expect(
      reason(clients: [[0], []]).contains("client 1 of the partition has no training example"))
    #expect(reason(clients: [[0, 2]]).contains("has example 2; the train split has 0 to 1"))
    #expect(reason(splits: [.validation]).contains("split validation"))
    #expect(reason(vector: [1, 2]).contains("2 coordinates; the objective has 1"))
    #expect(reason(vector: [.infinity]).contains("inf at coordinate 0"))
    #expect(
      reason(state: ServerState(vector: [1], optimizer: .adamW(learningRate: 1)))
        .contains("moments of 1 and 1 coordinates; the plan's optimizer keeps 0"))
  }

  @Test("ranks with different plans find out before the first round")
  func disagreement() {
    #expect(throws: CommunicationError.self) {
      _ = try ThreadCommunicators.run(size: 3) { communicator in
        try Self.run(
          plan(cohort: .uniform(size: 2), seed: communicator.rank == 2 ? 8 : 7),
          over: communicator)
      }
    }
  }
}
