// The conformance suite over the communicators that need no MPI; Tests/MPI/run.sh runs it over MPI.

import Communication
import CommunicationConformance
import Testing

@Suite("conformance") struct ConformanceTests {
  @Test("a check holds for a single process", arguments: ConformanceCheck.all)
  func singleProcess(_ check: ConformanceCheck) throws {
    #expect(try check.findings(over: SingleProcessCommunicator()) == [])
  }

  @Test("a check holds for threads", arguments: [1, 2, 3, 5, 8], ConformanceCheck.all)
  func threads(_ size: Int, _ check: ConformanceCheck) throws {
    let findings = try ThreadCommunicators.run(size: size) { try check.findings(over: $0) }
    #expect(findings == Array(repeating: [], count: size))
  }

  @Test("a check holds for threads on several nodes", arguments: [1, 2, 3], ConformanceCheck.all)
  func threadsOnNodes(_ ranksPerNode: Int, _ check: ConformanceCheck) throws {
    let findings = try ThreadCommunicators.run(size: 5, ranksPerNode: ranksPerNode) {
      try check.findings(over: $0)
    }
    #expect(findings == Array(repeating: [], count: 5))
  }

  @Test("a check holds through a counting communicator", arguments: ConformanceCheck.all)
  func counting(_ check: ConformanceCheck) throws {
    let outcomes = try ThreadCommunicators.run(size: 3) {
      let counting = CountingCommunicator($0)
      return (try check.findings(over: counting), counting.ledger)
    }
    #expect(outcomes.allSatisfy { $0.0.isEmpty })
    var sum = WireLedger()
    for (_, ledger) in outcomes { sum += ledger }
    for collective in Collective.allCases {
      let line = sum[collective]
      #expect(line.wireBytesSent == line.wireBytesReceived, "\(collective)")
      #expect(line.messagesSent == line.messagesReceived, "\(collective)")
    }
  }
}
