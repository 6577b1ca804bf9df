import Federation
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

  @Test("round robin deals the cohort out in order")
  func roundRobin() {
    #expect(ClientSchedule.roundRobin.assign(costs: [9, 1, 1], ranks: 2) == [[0, 2], [1]])
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
}
