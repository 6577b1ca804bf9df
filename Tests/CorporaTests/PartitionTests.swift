// Partitions: every example exactly once, the minimum kept, skew as alpha says, the same for the
// same seed.

import Corpora
import Foundation
import RandomStreams
import TestSupport
import Testing

@Suite("partitions")
struct PartitionTests {
  @Test("a Dirichlet partition gives every example to one client and keeps the minimum")
  func properties() throws {
    for seed: UInt64 in 0..<40 {
      var stream = RandomStream(seed: seed, purpose: .noise)
      let clients = 1 + stream.integer(below: 60)
      let minimum = 1 + stream.integer(below: 5)
      let count = clients * minimum + stream.integer(below: 300)
      let labels = labels(count, classes: 1 + stream.integer(below: 20), seed: seed)
      for alpha in [0.001, 0.1, 1, 1000] {
        let partition = try Partition.dirichlet(
          labels: labels, clients: clients, alpha: alpha, minimumExamples: minimum, seed: seed)
        #expect(partition.clients.count == clients)
        #expect(isExact(partition, count), "seed \(seed), alpha \(alpha)")
        #expect(
          partition.clients.allSatisfy { $0.count >= minimum }, "seed \(seed), alpha \(alpha)")
      }
    }
  }

  @Test("when the minimum takes all examples, every client has just the minimum")
  func tight() throws {
    let partition = try Partition.dirichlet(
      labels: labels(300, classes: 4), clients: 100, alpha: 0.01, minimumExamples: 3, seed: 1)
    #expect(isExact(partition, 300))
    #expect(partition.clients.allSatisfy { $0.count == 3 })
  }

  @Test("a small alpha is skewed, a large one nearly uniform")
  func skew() throws {
    let labels = labels(20_000, classes: 10)
    func largestLabelShare(_ alpha: Double) throws -> (
      share: Double, statistics: PopulationStatistics
    ) {
      let partition = try Partition.dirichlet(labels: labels, clients: 50, alpha: alpha, seed: 3)
      let shares = partition.clients.map { examples in
        let counts = Dictionary(grouping: examples) { labels[$0] }.map(\.value.count)
        return Double(counts.max() ?? 0) / Double(examples.count)
      }
      return (shares.reduce(0, +) / 50, partition.statistics(labels: labels))
    }
    let small = try largestLabelShare(0.01)
    let middle = try largestLabelShare(0.5)
    let large = try largestLabelShare(10_000)
    #expect(small.share > 0.85 && middle.share < small.share && large.share < middle.share)
    #expect(large.share < 0.25)
    #expect(small.statistics.labelsPerClient!.median <= 3)
    #expect(large.statistics.labelsPerClient!.minimum >= 9)
    #expect(large.statistics.examplesPerClient.minimum > 360)
    #expect(large.statistics.examplesPerClient.maximum < 440)
    #expect(small.statistics.examplesPerClient.maximum > 1000)
  }

  @Test("the sizes of the shares have the Dirichlet distribution's mean and variance")
  func moments() throws {
    // One class, 4 clients: a share of n examples has mean n/4 and variance n^2 (1/4)(3/4) / (4
    // alpha + 1).
    let labels = [Int32](repeating: 0, count: 1000)
    let alpha = 0.7
    var sizes: [Double] = []
    for seed: UInt64 in 0..<3000 {
      let partition = try Partition.dirichlet(
        labels: labels, clients: 4, alpha: alpha, seed: seed)
      sizes.append(Double(partition.clients[2].count))
    }
    let mean = sizes.reduce(0, +) / 3000
    let variance = sizes.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 3000
    let expected = 1e6 * 3 / 16 / (4 * alpha + 1)
    #expect(abs(mean - 250) < 5 * (expected / 3000).squareRoot())
    #expect(abs(variance / expected - 1) < 0.1)
  }

  @Test("the same seed gives the same partition, another seed another one")
  func seeds() throws {
    let labels = labels(500, classes: 5)
    func make(_ seed: UInt64) throws -> [Partition] {
      [
        try .dirichlet(labels: labels, clients: 20, alpha: 0.1, minimumExamples: 2, seed: seed),
        try .iid(exampleCount: 500, clients: 20, seed: seed),
      ]
    }
    let (first, again, other) = (try make(1), try make(1), try make(2))
    #expect(first == again)
    #expect(first[0] != other[0] && first[1] != other[1])
  }

  @Test("IID shares are random and differ by one example at most")
  func iid() throws {
    for (count, clients) in [(1, 1), (10, 10), (11, 10), (1000, 7)] {
      let partition = try Partition.iid(exampleCount: count, clients: clients, seed: 5)
      #expect(isExact(partition, count))
      let sizes = partition.clients.map(\.count)
      #expect(sizes.max()! - sizes.min()! <= 1 && sizes.count == clients)
    }
    let partition = try Partition.iid(exampleCount: 1000, clients: 2, seed: 5)
    #expect(partition.clients[0] != Array(0..<500))
  }

  @Test("natural clients are the owners, in the order of their numbers")
  func natural() throws {
    let partition = try Partition.natural(owners: [7, 2, 7, 0, 2, 7])
    #expect(partition.clients == [[3], [1, 4], [0, 2, 5]])
    #expect(throws: PartitionError.self) { try Partition.natural(owners: []) }
  }

  @Test("a population that takes more examples than there are is an error with the numbers")
  func tooMany() throws {
    for attempt in [
      { try Partition.dirichlet(labels: [0, 1], clients: 350, alpha: 1, seed: 0) },
      { try Partition.iid(exampleCount: 2, clients: 350, seed: 0) },
    ] {
      let error = #expect(throws: PartitionError.self) { try attempt() }
      #expect(error?.reason.contains("350 clients with at least 1 examples each take 350") == true)
      #expect(error?.reason.contains("there are 2") == true)
    }
    for (clients, minimum) in [(0, 1), (-1, 1), (1, 0), (Int.max, 2)] {
      #expect(throws: PartitionError.self) {
        try Partition.dirichlet(
          labels: [0, 1], clients: clients, alpha: 1, minimumExamples: minimum, seed: 0)
      }
    }
    for alpha in [0, -1, .nan, .infinity] {
      #expect(throws: PartitionError.self) {
        try Partition.dirichlet(labels: [0, 1], clients: 1, alpha: alpha, seed: 0)
      }
    }
  }

  @Test("350 clients of 20 Newsgroups' size take well under a second")
  func speed() throws {
    let labels = labels(11_293, classes: 20)
    let start = ContinuousClock.now
    let partition = try Partition.dirichlet(labels: labels, clients: 350, alpha: 0.1, seed: 0)
    print("350 clients: \(ContinuousClock.now - start), \(partition.statistics(labels: labels))")
    let many = try Partition.dirichlet(
      labels: labels, clients: 11_000, alpha: 0.1, seed: 0)
    #expect(isExact(many, 11_293))
    #expect(ContinuousClock.now - start < .seconds(5))
  }
}

@Suite("partitions from files, and their statistics")
struct PartitionFileTests {
  private func read(_ text: String, exampleCount: Int = 6) throws -> Partition {
    let folder = try TemporaryDirectory()
    try Data(text.utf8).write(to: URL(filePath: folder.file("p.json")))
    return try Partition.fromFile(path: folder.file("p.json"), exampleCount: exampleCount)
  }

  @Test("lists of indices are read in their order; examples may be left out")
  func reading() throws {
    #expect(try read("[[3, 0], [5]]").clients == [[3, 0], [5]])
  }

  @Test(
    "every wrong file is refused with its reason",
    arguments: [
      ("", "not a JSON list of lists"), ("{}", "not a JSON list of lists"),
      ("[1, 2]", "not a JSON list of lists"), ("[[1.5]]", "not a JSON list of lists"),
      ("[[\"1\"]]", "not a JSON list of lists"), ("[[1], [2]", "not a JSON list of lists"),
      ("[[99999999999999999999]]", "not a JSON list of lists"),
      (String(repeating: "[", count: 100_000), "not a JSON list of lists"),
      ("[]", "without clients"), ("[[1], []]", "client 1 has no examples"),
      ("[[1], [6]]", "client 1 has example 6; there are 0 ..< 6"),
      ("[[-1]]", "client 0 has example -1"),
      ("[[1], [2, 1]]", "client 1 has example 1 and so has client 0"),
      ("[[1, 2, 1]]", "client 0 has example 1 twice"),
    ])
  func refusals(text: String, words: String) throws {
    let error = #expect(throws: PartitionError.self) { try read(text) }
    #expect(error?.reason.contains(words) == true)
    #expect(error?.reason.contains("p.json: ") == true)
  }

  @Test("a file that is not there is refused")
  func missing() throws {
    let error = #expect(throws: PartitionError.self) {
      try Partition.fromFile(path: "/nowhere/p.json", exampleCount: 1)
    }
    #expect(error?.reason == "/nowhere/p.json: no such file")
  }

  @Test("statistics count examples and labels per client")
  func statistics() {
    let partition = Partition(clients: [[0, 1, 2], [3], [4, 5], [6, 7]])
    let statistics = partition.statistics(labels: [0, 0, 1, 2, 2, 2, 0, 1])
    #expect(statistics.clients == 4 && statistics.examples == 8)
    #expect(statistics.examplesPerClient.minimum == 1 && statistics.examplesPerClient.maximum == 3)
    #expect(statistics.examplesPerClient.median == 2)
    #expect(statistics.labelsPerClient?.minimum == 1 && statistics.labelsPerClient?.maximum == 2)
    #expect(statistics.labelsPerClient?.median == 1.5)
    #expect(partition.statistics().labelsPerClient == nil)
  }
}
