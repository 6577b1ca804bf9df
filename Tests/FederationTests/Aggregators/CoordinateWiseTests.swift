// The coordinate-wise median and trimmed mean against NumPy's, and where they are refused.

import Communication
import Corpora
import Federation
import Sparsity
import TestSupport
import Testing

@Suite("Coordinate-wise aggregations")
struct CoordinateWiseTests {
  struct Case: Decodable {
    struct Rule: Decodable {
      let name: String
      let absent: String
      let trim: Double?
    }
    let rule: Rule
    let density: Double
    let start: [Float]
    let centers: [[Float]]
    let vector: [Float]
  }

  static let command = "python Tests/Goldens/aggregation/generate.py"

  private func rule(
    _ name: String, absent: String = "zero", trim: Double? = nil
  ) throws -> AggregationRule {
    let kind = try #require(Aggregators.all.first { $0.name == name })
    var given: [String: AggregationRule.Value] = ["absent": .word(absent)]
    if let trim { given["trim"] = .number(trim) }
    return try #require(AggregationRule(kind, given))
  }

  private func plan(_ rule: AggregationRule, clients: Int, density: Double) -> FederationPlan {
    FederationPlan(
      rounds: 1, cohort: .file([Array(0..<clients)]),
      method: Method(
        download: .all, upload: .topMagnitude(.constant(density)), aggregation: rule),
      server: .sgd(learningRate: 1),
      local: LocalTraining(batchSize: 1, learningRate: 1, momentum: 0),
      evaluation: EvaluationPlan(splits: []), seed: 0)
  }

  @Test("the server's vector is NumPy's, bit for bit, on 1 and 3 ranks")
  func numpy() throws {
    let cases: [Case] = try loadGolden("aggregation/coordinate_wise.json")
    #expect(cases.count == 32)
    for golden in cases {
      let rule = try rule(golden.rule.name, absent: golden.rule.absent, trim: golden.rule.trim)
      let plan = plan(rule, clients: golden.centers.count, density: golden.density)
      for ranks in [1, 3] {
        let found = try ThreadCommunicators.run(size: ranks) { communicator in
          let run = try FederatedRun(
            plan: plan, partition: Partition(clients: golden.centers.indices.map { [$0] }),
            objective: QuadraticObjective(
              scales: golden.start.map { _ in 1 }, train: golden.centers),
            initialVector: golden.start, communicator: communicator)
          return try run.run(onRound: { _ in }).state?.vector
        }
        #expect(found[0] == golden.vector, "\(rule) on \(ranks) ranks; \(Self.command)")
      }
    }
  }

  @Test("they are refused where the server gets a sum alone, or clients do not count alike")
  func refusals() throws {
    for name in ["coordinate_median", "trimmed_mean"] {
      var plan = plan(try rule(name), clients: 2, density: 1)
      #expect(plan.problems(population: 2).isEmpty)
      plan.uploads = .hostSums
      #expect(
        plan.problems(population: 2).contains {
          $0.text.contains("needs the upload of each client")
        })
      plan.uploads = .auto
      plan.privacy = Privacy(clipping: .fixed(1), noise: .multiplier(1))
      #expect(
        plan.problems(population: 2).contains {
          "\($0)".hasPrefix("method.aggregation: \(name) is not allowed with privacy; give mean")
        })
      plan.privacy = nil
      plan.weighting = .examples
      #expect(
        plan.problems(population: 2).contains { $0.text.contains("counts every client alike") })
    }
  }

  @Test("a setting that is unknown or out of range makes no rule")
  func settings() throws {
    let kind = try #require(Aggregators.all.first { $0.name == "trimmed_mean" })
    #expect(AggregationRule(kind, ["trim": .number(0.5)]) == nil)
    #expect(AggregationRule(kind, ["trim": .number(-0.1)]) == nil)
    #expect(AggregationRule(kind, ["absent": .word("ignored")]) == nil)
    #expect(AggregationRule(kind, ["cut": .number(0.1)]) == nil)
    #expect(AggregationRule(named: "trimmed_mean") == AggregationRule(kind, ["trim": .number(0.1)]))
  }
}
