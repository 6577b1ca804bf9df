import Corpora
import Federation
import TestSupport
import Testing

@Suite struct ClientScheduleTests {
  @Test("the longest client goes first onto the least loaded rank, ties to the lowest")
  func longestFirst() {
    let schedule = ClientSchedule.longestFirst
    #expect(schedule.assign(costs: [1, 5, 3, 3, 2], ranks: 2) == [[1, 4], [2, 3, 0]])
    #expect(schedule.assign(costs: [2, 2, 2, 2], ranks: 3) == [[0, 3], [1], [2]])
    #expect(schedule.assign(costs: [4, 1], ranks: 4) == [[0], [1], [], []])
    #expect(schedule.assign(costs: [], ranks: 2) == [[], []])
  }

  @Test("every member of the cohort is assigned once, and longest-first is within 4/3 of ideal")
  func everyoneOnce() {
    let costs = wobble(200, salt: 3).map { Int($0.magnitude * 1000) + 1 }
    for ranks in [1, 2, 3, 8, 300] {
      for schedule in ClientSchedule.allCases {
        let assigned = schedule.assign(costs: costs, ranks: ranks)
        #expect(assigned.count == ranks)
        #expect(assigned.flatMap { $0 }.sorted() == Array(costs.indices))
      }
      let loads = ClientSchedule.longestFirst.assign(costs: costs, ranks: ranks)
        .map { $0.reduce(0) { $0 + costs[$1] } }
      let ideal = max(costs.max()!, (costs.reduce(0, +) + ranks - 1) / ranks)
      #expect(3 * loads.max()! <= 4 * ideal)
    }
  }

  @Test("cohorts of Dirichlet(0.1) clients on 8 ranks end within 5 % of the lower bound")
  func makespan() throws {
    // 9034 examples of 20 labels and of 3 to 128 tokens, as 20 Newsgroups has.
    let labels = (0..<9034).map { Int32($0 % 20) }
    let lengths = wobble(9034, salt: 5).map { 3 + Int($0.magnitude * 1000) % 126 }
    for seed in 0..<5 as Range<UInt64> {
      let partition = try Partition.dirichlet(
        labels: labels, clients: 350, alpha: 0.1, minimumExamples: 1, seed: seed)
      for size in [32, 64, 200] {
        for round in 0..<20 {
          let cohort = CohortPlan.uniform(size: size).cohort(
            round: round, population: 350, seed: seed)
          let costs = cohort.map { partition.clients[$0].reduce(0) { $0 + lengths[$1] } }
          let loads = ClientSchedule.longestFirst.assign(costs: costs, ranks: 8)
            .map { $0.reduce(0) { $0 + costs[$1] } }
          let bound = max(Double(costs.max()!), Double(costs.reduce(0, +)) / 8)
          #expect(Double(loads.max()!) <= 1.05 * bound, "\(size) clients, round \(round)")
        }
      }
    }
  }
}
