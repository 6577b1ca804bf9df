// F1, perplexity and the evaluation of single clients, against scikit-learn, NumPy and closed forms.
import Communication
import Corpora
import Federation
import Foundation
import TestSupport
import Testing

private struct EvaluationGolden: Decodable {
  struct Classifier: Decodable {
    let labelCount: Int
    let labels: [Int32]
    let predictions: [Int32]
    let accuracy: Double
    let macro: Double
    let micro: Double
    let weighted: Double
  }
  struct Clients: Decodable {
    let examples: [Int]
    let right: [Int]
    let mean: Double
    let deciles: [Double]
    let worstTenth: Double
  }
  let classifiers: [Classifier]
  let clients: [Clients]

  static let command = "python Tests/Goldens/evaluation/generate.py"

  static func load() throws -> EvaluationGolden {
    let path = URL(filePath: goldenPath("evaluation/evaluation.json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(EvaluationGolden.self, from: Data(contentsOf: path))
  }
}

/// Plays `rounds` on so many ranks; the records of rank 0.
private func play(
  _ evaluation: EvaluationPlan, rounds: Int = 1, cohort: CohortPlan = .uniform(size: 1),
  population: any Population = Partition(clients: [[0]]), ranks: Int = 1, seed: UInt64 = 1,
  objective: @escaping @Sendable () -> TableObjective
) throws -> [RoundRecord] {
  try ThreadCommunicators.run(size: ranks) { communicator in
    var records: [RoundRecord] = []
    _ = try FederatedRun(
      plan: plan(rounds: rounds, cohort: cohort, evaluation: evaluation, seed: seed),
      partition: population, objective: objective(), initialVector: [3],
      communicator: communicator
    ).run { records.append($0) }
    return records
  }[0]
}

@Suite struct ClassifierEvaluationTests {
  @Test("F1 macro, micro and weighted are scikit-learn's, with the same bits on 1, 2 and 3 ranks")
  func golden() throws {
    for golden in try EvaluationGolden.load().classifiers {
      let outcomes = zip(golden.labels, golden.predictions).map { classified($0, as: $1) }
      let records = try [1, 2, 3].map { ranks in
        try #require(
          play(EvaluationPlan(), ranks: ranks) {
            TableObjective(
              labelCount: golden.labelCount, outcomes: [.train: outcomes, .test: outcomes])
          }.first?.evaluation.first)
      }
      let scores = try #require(records[0].f1)
      for (found, expected) in [
        (scores.macro, golden.macro), (scores.micro, golden.micro),
        (scores.weighted, golden.weighted), (try #require(records[0].accuracy), golden.accuracy),
      ] {
        #expect(abs(found - expected) < 1e-14, "\(EvaluationGolden.command)")
      }
      #expect(records[0].perplexity == nil)
      for record in records {
        #expect(record.f1 == scores && record.loss == records[0].loss)
        #expect(record.correct == records[0].correct)
      }
    }
  }

  @Test("the perplexity of a language model is exp of the mean loss over its tokens")
  func perplexity() throws {
    let outcomes = [
      ExampleOutcome(loss: 3, correct: 1, count: 3), ExampleOutcome(loss: 5, correct: 0, count: 1),
    ]
    let record = try #require(
      try play(EvaluationPlan()) { TableObjective(outcomes: [.train: outcomes, .test: outcomes]) }
        .first?.evaluation.first)
    #expect(record.perplexity == exp(2) && record.f1 == nil)
    #expect(record.accuracy == 0.25 && record.count == 4)
  }

  @Test("masked and whole are evaluated one after the other, each with its own record")
  func both() throws {
    // P = (1, -6, 2, 4) has mask {1, 3} and becomes (5, -3, 2, 2).
    let objective = QuadraticObjective(
      scales: [1, 1, 1, 1], train: [[8, 0, 0, 0]], test: [[0, 0, 0, 0]])
    var records: [RoundRecord] = []
    _ = try FederatedRun(
      plan: plan(
        cohort: .uniform(size: 1),
        method: Method(download: .topMagnitude(.constant(0.5)), upload: .all),
        evaluation: EvaluationPlan(vectors: [.masked, .whole], clients: 1)),
      partition: Partition(clients: [[0]]), objective: objective, initialVector: [1, -6, 2, 4],
      communicator: SingleProcessCommunicator()
    ).run { records.append($0) }
    let record = try #require(records.first)
    #expect(record.evaluation.map(\.vector) == [.masked, .whole])
    #expect(record.evaluation.map(\.loss) == [6.5, 21])
    #expect(record.clientEvaluation.map(\.vector) == [.masked, .whole])
    // The client wants (8, 0, 0, 0).
    #expect(record.clientEvaluation.map(\.meanLoss) == [38.5, 13])
  }
}

@Suite struct ClientEvaluationTests {
  @Test("mean, deciles and worst tenth of the clients' accuracies are NumPy's")
  func golden() throws {
    for golden in try EvaluationGolden.load().clients {
      let record = ClientEvaluationRecord(
        round: 0, group: .seen, vector: .masked,
        clients: golden.examples.indices.map { client in
          ClientOutcome(
            client: client, examples: golden.examples[client], count: golden.examples[client],
            correct: golden.right[client], loss: 0)
        })
      #expect(abs(record.accuracy.mean - golden.mean) < 1e-14)
      #expect(abs(record.worstTenthAccuracy - golden.worstTenth) < 1e-14)
      for (found, expected) in zip(record.accuracy.deciles, golden.deciles) {
        #expect(abs(found - expected) < 1e-14, "\(EvaluationGolden.command)")
      }
    }
  }

  /// 40 clients of 1 to 40 examples: client c has c + 1, of which every other one is right.
  private static let partition = Partition(
    clients: (0..<40).map { client in
      Array(client * (client + 1) / 2..<(client + 1) * (client + 2) / 2)
    })

  @Sendable private static func objective() -> TableObjective {
    TableObjective(
      outcomes: [
        .train: (0..<820).map { example in
          ExampleOutcome(loss: Double(example % 16) / 8, correct: example % 2, count: 1)
        }
      ])
  }

  @Test("each client's numbers are the sums over its own examples, the same on 1, 2 and 3 ranks")
  func sums() throws {
    let evaluation = EvaluationPlan(every: 2, splits: [], clients: 6)
    let expected = try play(
      evaluation, rounds: 4, cohort: .uniform(size: 5), population: Self.partition,
      objective: Self.objective)
    #expect(expected.map(\.clientEvaluation.count) == [0, 2, 0, 2])
    for record in expected.flatMap(\.clientEvaluation) {
      #expect(record.clients.map(\.client) == record.clients.map(\.client).sorted())
      for client in record.clients {
        let own = Self.partition.clients[client.client]
        #expect(client.examples == own.count && client.count == own.count)
        #expect(client.correct == own.filter { $0 % 2 == 1 }.count)
        #expect(client.loss == own.reduce(0) { $0 + Double($1 % 16) / 8 } / Double(own.count))
      }
    }
    for ranks in [2, 3] {
      let found = try play(
        evaluation, rounds: 4, cohort: .uniform(size: 5), population: Self.partition, ranks: ranks,
        objective: Self.objective)
      #expect(
        found.map { $0.clientEvaluation.map(\.clients) }
          == expected.map { $0.clientEvaluation.map(\.clients) })
      #expect(found.map(\.digest) == expected.map(\.digest))
    }
  }

  @Test("seen clients took part up to that round, unseen ones never; a client stays while it can")
  func groups() throws {
    let records = try play(
      EvaluationPlan(every: 1, splits: [], clients: 6), rounds: 8, cohort: .uniform(size: 5),
      population: Self.partition, objective: Self.objective)
    var seen: Set<Int> = []
    var before: (seen: Set<Int>, unseen: Set<Int>) = ([], [])
    for record in records {
      seen.formUnion(record.cohort)
      let groups = Dictionary(
        uniqueKeysWithValues: record.clientEvaluation.map { ($0.group, $0.clients.map(\.client)) })
      let sampled = Set(groups[.seen] ?? [])
      let others = Set(groups[.unseen] ?? [])
      #expect(sampled.isSubset(of: seen) && others.isDisjoint(with: seen))
      #expect(sampled.count == min(6, seen.count) && others.count == min(6, 40 - seen.count))
      // Unseen clients leave only by taking part; nobody new has a smaller number.
      #expect(before.unseen.subtracting(seen).isSubset(of: others))
      // Seen clients leave only for newly seen ones.
      let gone = before.seen.subtracting(sampled).count
      #expect(gone <= sampled.subtracting(before.seen).count)
      before = (sampled, others)
    }
  }

  @Test("where every client took part there is no unseen group")
  func allSeen() throws {
    let records = try play(
      EvaluationPlan(splits: [], clients: 2), cohort: .file([[0, 1]]),
      population: Partition(clients: [[0], [1, 2]]), objective: Self.objective)
    #expect(records[0].clientEvaluation.map(\.group) == [.seen])
    #expect(records[0].clientEvaluation[0].clients.map(\.client) == [0, 1])
  }

  @Test("held-out examples are evaluated and never trained on")
  func holdout() throws {
    let objective = Self.objective()
    var records: [RoundRecord] = []
    let evaluation = EvaluationPlan(every: 5, splits: [], clients: 40, holdout: 0.3)
    _ = try FederatedRun(
      plan: plan(rounds: 5, cohort: .uniform(size: 40), evaluation: evaluation),
      partition: Self.partition, objective: objective, initialVector: [3],
      communicator: SingleProcessCommunicator()
    ).run { records.append($0) }
    // Every client took part with all that it may train on.
    let record = try #require(records.last?.clientEvaluation.first)
    let heldOut = evaluation.evaluation(Self.partition, seed: 1)
    #expect(record.clients.count > 30)
    for client in record.clients {
      let own = heldOut.examples(of: client.client)
      #expect(client.examples == own.count && !own.isEmpty)
      #expect(client.correct == own.filter { $0 % 2 == 1 }.count)
      #expect(objective.trained.isDisjoint(with: own))
    }
    #expect(
      objective.trained.count + (0..<40).reduce(0) { $0 + heldOut.exampleCount(of: $1) } == 820)
    #expect(records[0].clients.reduce(0) { $0 + $1.examples } == objective.trained.count)
  }

  @Test("unseen clients of a million are found without lists")
  func million() throws {
    let population = try VirtualPopulation(
      classes: (0..<820).map { Int32($0 % 6) }, clients: 1_000_000, alpha: 0.3,
      sizes: VirtualPopulation.Sizes(median: 7), seed: 2)
    let start = ContinuousClock.now
    let record = try #require(
      try play(
        EvaluationPlan(splits: [], clients: 20), population: population,
        objective: Self.objective
      ).first)
    print("20 unseen clients of a million: \(ContinuousClock.now - start)")
    #expect(record.clientEvaluation.map(\.clients.count) == [1, 20])
    #expect(record.clientEvaluation[1].clients.allSatisfy { $0.examples == 7 })
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test("values of an evaluation that make no sense are refused")
  func problems() {
    for evaluation in [
      EvaluationPlan(vectors: []), EvaluationPlan(vectors: [.whole, .whole]),
      EvaluationPlan(clients: -1), EvaluationPlan(holdout: 1), EvaluationPlan(holdout: .nan),
    ] {
      #expect(
        plan(cohort: .uniform(size: 1), evaluation: evaluation).problems(population: 1).count == 1)
    }
  }
}
