// The virtual clock by hand: closed forms of a client's time and a round's end, and the distributions
// of what is drawn.
import Federation
import Foundation
import TestSupport
import Testing

private func drawn(_ spread: LogNormal) -> ClientSystems {
  .drawn(
    download: spread, upload: LogNormal(median: 10), latency: LogNormal(median: 0),
    tokensPerSecond: LogNormal(median: 5, sigma: 0.5))
}

private let device = ClientSystem(download: 100, upload: 50, latency: 2, tokensPerSecond: 10)

@Suite struct SystemModelTests {
  @Test("a client's time is that of its download, its tokens and its upload")
  func clock() {
    #expect(device.modelledSeconds(download: 1000) == 12)
    // 2 + 1000 / 100, then 35 / 10, then 2 + 200 / 50
    #expect(device.modelledSeconds(download: 1000, tokens: 35, upload: 200) == 21.5)
    #expect(device.modelledSeconds(download: 0, tokens: 0, upload: 0) == 4)
  }

  @Test("a tier's factor is on the three rates, and a trace begins again after its last client")
  func tiersAndTraces() {
    let other = ClientSystem(download: 1, upload: 2, latency: 3, tokensPerSecond: 4)
    let model = SystemModel(clients: .trace([device, other]), tierSpeeds: [1, 0.5])
    #expect(model.system(of: 0, tier: 0, seed: 1) == device)
    #expect(model.system(of: 3, tier: 0, seed: 1) == other)
    #expect(
      model.system(of: 102, tier: 1, seed: 9)
        == ClientSystem(download: 50, upload: 25, latency: 2, tokensPerSecond: 5))
  }

  @Test("a round ends with the wanted uploads, with the last client, or at its deadline")
  func verdicts() {
    func verdict(
      _ arrivals: [Double], _ losses: [Double] = [], wanted: Int? = nil, deadline: Double? = nil,
      server: Double = 0
    ) -> SystemModel.Verdict {
      SystemModel(clients: .trace([device]), deadline: deadline, serverSeconds: server)
        .verdict(arrivals: arrivals, losses: losses, wanted: wanted)
    }
    func end(_ isUsed: [Bool], _ seconds: Double) -> SystemModel.Verdict {
      SystemModel.Verdict(isUsed: isUsed, seconds: seconds)
    }
    #expect(verdict([3, 1, 2]) == end([true, true, true], 3))
    #expect(verdict([3, 1, 2], server: 0.5) == end([true, true, true], 3.5))
    // Over-selection: the two first of three.
    #expect(verdict([3, 1, 2], wanted: 2) == end([false, true, true], 2))
    #expect(verdict([3, 1, 2], [9], wanted: 2) == end([false, true, true], 2))
    // Equal times come in order.
    #expect(verdict([5, 5, 5], wanted: 2) == end([true, true, false], 5))
    // Deadline: who comes at it is in time; the round takes it where somebody misses it.
    #expect(verdict([3, 1, 2], deadline: 2) == end([false, true, true], 2))
    #expect(verdict([3, 1, 2], deadline: 2.5) == end([false, true, true], 2.5))
    #expect(verdict([3, 1, 2], deadline: 4) == end([true, true, true], 3))
    #expect(verdict([3, 1, 2], wanted: 1, deadline: 2.5) == end([false, true, false], 1))
    #expect(verdict([3, 4], deadline: 2) == end([false, false], 2))
    // Lost clients: the server waits until it knows of them where it wants more.
    #expect(verdict([3, 1], [4], wanted: 3) == end([true, true], 4))
    #expect(verdict([3, 1], [4], wanted: 3, deadline: 3.5) == end([true, true], 3.5))
    #expect(verdict([], [4, 7]) == end([], 7))
    #expect(verdict([], [], server: 2) == end([], 2))
  }

  @Test("log-normal quantities have their median and spread, and are independent of each other")
  func logNormal() {
    let systems = drawn(LogNormal(median: 2e6, sigma: 1.5))
    let count = 20_001
    let found = (0..<count).map { systems.system(of: $0, seed: 3) }
    func check(_ values: [Double], median: Double, sigma: Double) {
      let logarithms = values.map(log).sorted()
      let mean = logarithms.reduce(0, +) / Double(count)
      let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)
      // Five standard errors: of the median sigma sqrt(pi / 2 n), of the spread sigma / sqrt(2 n).
      let error = 5 * sigma / Double(count).squareRoot()
      #expect(abs(logarithms[count / 2] - log(median)) < 1.26 * error)
      #expect(abs(variance.squareRoot() - sigma) < 0.71 * error)
    }
    check(found.map(\.download), median: 2e6, sigma: 1.5)
    check(found.map(\.tokensPerSecond), median: 5, sigma: 0.5)
    #expect(found.allSatisfy { $0.upload == 10 && $0.latency == 0 })
    let product = found.reduce(0) {
      $0 + (log($1.download) - log(2e6)) / 1.5 * (log($1.tokensPerSecond) - log(5)) / 0.5
    }
    #expect(abs(product / Double(count)) < 5 / Double(count).squareRoot())
    // The spread of one changes no other, another seed changes all.
    let narrow = drawn(LogNormal(median: 2e6))
    #expect(narrow.system(of: 7, seed: 3).tokensPerSecond == found[7].tokensPerSecond)
    #expect(narrow.system(of: 7, seed: 3).download == 2e6)
    #expect(systems.system(of: 7, seed: 4) != found[7])
  }

  @Test("clients are there and stay as often as the probabilities say, anew in each round")
  func fates() {
    let model = SystemModel(clients: .trace([device]), unavailability: 0.3, dropout: 0.2)
    var counts: [ClientStatus: Double] = [:]
    var changes = 0
    for round in 0..<50 {
      for client in 0..<400 {
        let fate = model.fate(of: client, round: round, seed: 11)
        counts[fate, default: 0] += 1
        if fate != model.fate(of: client, round: round + 1, seed: 11) { changes += 1 }
      }
    }
    // Five standard errors of 20 000 draws.
    for (status, share) in [(ClientStatus.unavailable, 0.3), (.dropped, 0.14), (.used, 0.56)] {
      #expect(abs(counts[status, default: 0] / 20_000 - share) < 5 * (share / 20_000).squareRoot())
    }
    #expect(changes > 10_000)
    let certain = SystemModel(clients: .trace([device]), dropout: 1)
    #expect((0..<100).allSatisfy { certain.fate(of: $0, round: 0, seed: 1) == .dropped })
  }

  @Test("cohorts are drawn uniformly among the clients that are there, extra ones included")
  func cohorts() {
    var drawn = plan(rounds: 4000, cohort: .uniform(size: 4))
    drawn.system = SystemModel(clients: .trace([device]), unavailability: 0.5, extraClients: 1)
    var counts = [Int](repeating: 0, count: 20)
    var short = 0
    for round in 0..<4000 {
      let cohort = drawn.participants(round: round, population: 20)
      let there = (0..<20).filter {
        drawn.system?.fate(of: $0, round: round, seed: drawn.seed) != .unavailable
      }
      #expect(cohort.count == min(5, there.count))
      #expect(Set(cohort.map(\.client)).isSubset(of: there))
      #expect(cohort.map(\.client) == cohort.map(\.client).sorted())
      short += cohort.count < 5 ? 1 : 0
      for participant in cohort { counts[participant.client] += 1 }
    }
    // P(fewer than 5 of 20 there) = 0.0059.
    #expect((5...50).contains(short))
    // Each is in a cohort in about a quarter of the rounds: 1000, standard deviation 27.
    #expect(counts.allSatisfy { abs($0 - 1000) < 140 }, "\(counts)")
    // A file's clients stay in the list.
    drawn.cohort = .file([[3, 1, 2, 0, 5, 4]])
    drawn.system?.extraClients = 0
    let listed = drawn.participants(round: 0, population: 20)
    #expect(listed.map(\.client) == [3, 1, 2, 0, 5, 4])
    #expect(Set(listed.map(\.fate)) == [.used, .unavailable])
  }

  @Test("values that make no sense are refused")
  func problems() {
    var wrong = plan(cohort: .uniform(size: 4))
    wrong.system = SystemModel(
      clients: drawn(LogNormal(median: 0)), tierSpeeds: [1], unavailability: 1, dropout: 1.5,
      deadline: 0, extraClients: 7, serverSeconds: -1)
    #expect(wrong.problems(population: 10).count == 7)
    wrong.system = SystemModel(clients: .trace([]))
    #expect(wrong.problems(population: 10).map(\.text) == ["the system's trace has no client"])
  }
}
