// What a rank says of itself while it works and while it waits.

import Communication
import CommunicationConformance
import Testing

@Suite("heartbeat") struct HeartbeatTests {
  @Test("a check holds through a watched communicator", arguments: ConformanceCheck.all)
  func watched(_ check: ConformanceCheck) throws {
    let signs = try ThreadCommunicators.run(size: 3) { communicator in
      let heartbeat = Heartbeat()
      let findings = try check.findings(over: WatchedCommunicator(communicator, heartbeat))
      #expect(findings == [])
      return heartbeat.sign
    }
    #expect(signs.allSatisfy { $0.waitingIn == nil && $0.doing == "starting" })
  }

  @Test("a rank that waits for another says in what, and after which work")
  func waiting() throws {
    let hearts = [Heartbeat(), Heartbeat()]
    let found = try ThreadCommunicators.run(size: 2) { communicator -> Heartbeat.Sign in
      let watched = WatchedCommunicator(communicator, hearts[communicator.rank])
      hearts[communicator.rank].begin("work \(communicator.rank)")
      if communicator.rank == 1 {
        // Rank 0 is on its way into the reduction, or in it.
        while hearts[0].sign.waitingIn == nil {}
      }
      let seen = hearts[0].sign
      _ = try watched.maximum(1)
      return seen
    }
    #expect(found[1].waitingIn == "all_reduce" && found[1].doing == "work 0")
    #expect(hearts[0].sign.waitingIn == nil && hearts[0].sign.count == 3)
    hearts[0].beat()
    #expect(hearts[0].sign.count == 4 && hearts[0].sign.doing == "work 0")
  }

  @Test("a collective that throws is left all the same")
  func failing() throws {
    let heart = Heartbeat()
    _ = try? ThreadCommunicators.run(size: 2) { communicator in
      if communicator.rank == 1 { throw CommunicationError.malformed("on purpose") }
      try WatchedCommunicator(communicator, heart).barrier()
    }
    #expect(heart.sign.waitingIn == nil && heart.sign.count == 2)
  }
}
