// When the watchdog ends a run, with pulses that are made up: no clock, file or thread takes part.
import Experiments
import Files
import Testing

/// Ranks whose pulses a test moves by hand; a look is a second.
private struct Ranks {
  var pulses: [Pulse]
  var rules: [WatchRules]
  /// Processes whose threads do not run, and how the kernel calls that.
  var stopped: [Int: ProcessStatus] = [:]
  var isMissing: Set<Int> = []

  init(_ size: Int, limit: Double = 10) {
    pulses = (0..<size).map {
      Pulse(
        rank: $0, host: "h\($0 / 2)", process: Int32(100 + $0), looks: 0, count: 0,
        doing: "training client \($0)", waitingIn: nil, isTraced: false)
    }
    rules = (0..<size).map { WatchRules(limit: limit, rank: $0, host: "h\($0 / 2)", size: size) }
  }

  /// A second passes; `working` ranks get something done. What each rank finds.
  mutating func second(working: Set<Int> = []) -> [Int: String] {
    for rank in pulses.indices where stopped[rank] == nil {
      pulses[rank].looks += 1
      pulses[rank].count += working.contains(rank) ? 1 : 0
    }
    var found: [Int: String] = [:]
    for rank in pulses.indices where stopped[rank] == nil {
      let (pulses, isMissing, stopped) = (pulses, isMissing, stopped)
      found[rank] = rules[rank].look(
        pulses[rank], elapsed: 1, read: { isMissing.contains($0) ? nil : pulses[$0] },
        status: { stopped[Int($0) - 100] ?? ProcessStatus(text: "State:\tS (sleeping)") })
    }
    return found
  }

  /// The first thing that anybody finds, and after how many seconds; nothing after all of them.
  mutating func play(_ seconds: Int, working: Set<Int> = []) -> (seconds: Int, found: [Int: String])
  {
    for second in 1...seconds {
      let found = self.second(working: working)
      if !found.isEmpty { return (second, found) }
    }
    return (seconds, [:])
  }
}

@Suite struct WatchdogTests {
  @Test("a rank that works and gets nothing done says so after the time, and no other does")
  func hanging() throws {
    var ranks = Ranks(4)
    for rank in 0..<3 { ranks.pulses[rank].waitingIn = "all_reduce" }
    let (second, found) = ranks.play(40)
    #expect(second == 11 && found.count == 1)
    #expect(found[3] == "rank 3 on h1: nothing got done for 10 s while training client 3")
  }

  @Test("ranks that wait for one that works wait as long as it takes")
  func waiting() {
    var ranks = Ranks(4)
    for rank in 1..<4 { ranks.pulses[rank].waitingIn = "gather" }
    let quiet1 = ranks.play(1000, working: [0]).found
    #expect(quiet1.isEmpty)
    var other = Ranks(4)
    for rank in 0..<3 { other.pulses[rank].waitingIn = "gather" }
    let quiet2 = other.play(1000, working: [3]).found
    #expect(quiet2.isEmpty)
  }

  @Test("a process that is stopped is named by the rank before it after twice the time")
  func stopped() throws {
    for doing in [nil, "barrier"] {
      var ranks = Ranks(3)
      ranks.pulses[0].waitingIn = "all_reduce"
      ranks.pulses[2].waitingIn = "all_reduce"
      ranks.pulses[1].waitingIn = doing
      let quiet3 = ranks.play(5, working: [1]).found
      #expect(quiet3.isEmpty)
      ranks.stopped[1] = ProcessStatus(text: "Name:\tx\nState:\tT (stopped)\nTracerPid:\t0\n")
      let (second, found) = ranks.play(60)
      #expect(second == 20 && found.count == 1)
      let text = try #require(found[0])
      #expect(
        text.hasPrefix(
          "rank 1 on h0: no sign of life for 20 s, process 101 is in state T (stopped);"))
      #expect(text.contains("training client 1") && text.hasSuffix("rank 0 waits in all_reduce"))
      #expect(text.contains("waiting in barrier") == (doing != nil))
    }
  }

  @Test("a rank on another host is missed without its process's state, the first by the last")
  func ring() throws {
    var ranks = Ranks(4)
    for rank in 0..<4 { ranks.pulses[rank].waitingIn = "broadcast" }
    let quiet4 = ranks.play(5, working: [0, 1, 2, 3]).found
    #expect(quiet4.isEmpty)
    ranks.stopped[0] = ProcessStatus(text: "State:\tT (stopped)")
    let (_, found) = ranks.play(60, working: [1, 2, 3])
    #expect(found.keys.sorted() == [3])
    #expect(
      found[3]?.hasPrefix("rank 0 on h0: no sign of life for 20 s; it was waiting in") == true)
  }

  @Test("ranks that all wait for each other are told by rank 0 after twice the time")
  func deadlock() throws {
    var ranks = Ranks(3)
    for (rank, collective) in [(0, "gather"), (1, "barrier"), (2, "gather")] {
      ranks.pulses[rank].waitingIn = collective
    }
    let (second, found) = ranks.play(60)
    #expect((20...22).contains(second) && found.keys.sorted() == [0])
    #expect(found[0]?.contains("all ranks wait for each other") == true)
    #expect(found[0]?.contains("rank 0 on h0 in gather") == true)
    #expect(found[0]?.contains("rank 1 on h0 in barrier, rank 2 on h1 in gather") == true)
    // One that cannot be seen may be working.
    var unseen = Ranks(3)
    for rank in 0..<3 { unseen.pulses[rank].waitingIn = "gather" }
    unseen.isMissing = [2]
    let quiet5 = unseen.play(200).found
    #expect(quiet5.isEmpty)
  }

  @Test("under a debugger nothing counts, and the time begins anew without it")
  func debugger() throws {
    var ranks = Ranks(2)
    ranks.pulses[1].waitingIn = "gather"
    ranks.pulses[0].isTraced = true
    let quiet6 = ranks.play(200).found
    #expect(quiet6.isEmpty)
    ranks.pulses[0].isTraced = false
    let after = ranks.play(60)
    #expect(after.seconds == 11 && !after.found.isEmpty)
    // Stopped at a breakpoint before it could say so, on the same host.
    var broken = Ranks(2)
    broken.pulses[1].waitingIn = "gather"
    let quiet7 = broken.play(5, working: [0]).found
    #expect(quiet7.isEmpty)
    broken.stopped[0] = ProcessStatus(text: "State:\tt (tracing stop)\nTracerPid:\t77\n")
    let quiet8 = broken.play(200).found
    #expect(quiet8.isEmpty)
  }

  @Test("who has left is not missed")
  func left() {
    var ranks = Ranks(3)
    ranks.pulses[1].hasLeft = true
    ranks.stopped[1] = ProcessStatus(text: "")
    let quiet9 = ranks.play(200, working: [0, 2]).found
    #expect(quiet9.isEmpty)
  }

  @Test("one rank alone is watched too")
  func alone() throws {
    var ranks = Ranks(1)
    let quiet10 = ranks.play(100, working: [0]).found
    #expect(quiet10.isEmpty)
    let found = ranks.play(100).found
    #expect(found[0]?.contains("nothing got done") == true)
  }

  @Test("a process's status is read as the kernel writes it")
  func status() throws {
    let text = """
      Name:\tcellm-mpi
      State:\tt (tracing stop)
      TracerPid:\t4711
      VmHWM:\t  123456 kB
      VmRSS:\t   98304 kB
      """
    let status = ProcessStatus(text: text)
    #expect(status.peakResidentBytes == 126_418_944 && status.residentBytes == 100_663_296)
    #expect(status.isTraced && status.state == "t (tracing stop)")
    let own = try #require(ProcessStatus())
    #expect(own.residentBytes > 1 << 20 && own.peakResidentBytes >= own.residentBytes)
    #expect(!own.isTraced && !own.state.isEmpty)
  }
}
