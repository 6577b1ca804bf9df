// The server's vector as the clients of each tier would receive it, by hand.
import Communication
import Corpora
import Federation
import TestSupport
import Testing

@Suite struct TierEvaluationTests {
  @Test("each tier is evaluated under its own mask, whether or not a client of it took part")
  func tiers() throws {
    var plan = plan(
      cohort: .file([[0]]),
      method: Method(
        download: .topMagnitude(.constant(0.25)), upload: .all,
        tiers: [Tier(downloadDensity: 0.5), Tier()]),
      evaluation: EvaluationPlan(every: 1, splits: [.test], tiers: true))
    plan.seed = 4
    // Tier 0 downloads (0, -6, 0, 4) and trains to (4, -3, 0, 2): P = (5, -3, 2, 2). Its mask is
    // that of coordinates 1 and 3, tier 1's that of coordinate 1; tests are at the origin.
    for ranks in 1...3 {
      let found = try ThreadCommunicators.run(size: ranks) { [plan] communicator in
        let run = try FederatedRun(
          plan: plan, partition: Partition(clients: [[0], [1]]),
          objective: QuadraticObjective(
            scales: [1, 1, 1, 1], train: [[8, 0, 0, 0], [0, 0, 0, 0]], test: [[0, 0, 0, 0]]),
          initialVector: [1, -6, 2, 4], communicator: communicator)
        var found: [EvaluationRecord] = []
        _ = try run.run { found += $0.evaluation }
        return found
      }
      #expect(found[0].map(\.loss) == [21, 6.5, 4.5])
      #expect(found[0].map(\.tier) == [nil, 0, 1])
      #expect(found[0].map(\.vector) == [.whole, .masked, .masked])
    }
  }
}
