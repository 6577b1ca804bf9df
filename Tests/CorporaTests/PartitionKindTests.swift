// Shards, skewed sizes and the IID mix: every example once, and what each kind promises.

import Corpora
import Foundation
import RandomStreams
import Testing

@Suite("shards of sorted labels")
struct ShardTests {
  @Test(
    "McMahan's MNIST: 100 clients of two shards of 300 have two labels at most and 600 examples")
  func mnist() throws {
    // Ten labels of 6000 each: no shard of 300 touches two labels.
    let labels = (0..<60_000).map { Int32($0 * 7 % 10) }
    let partition = try Partition.shards(labels: labels, clients: 100, seed: 4)
    #expect(isExact(partition, 60_000))
    #expect(partition.clients.allSatisfy { $0.count == 600 })
    let counts = partition.clients.map { Set($0.map { labels[$0] }).count }
    #expect(Set(counts) == [1, 2])
    // Two shards of 200 have one label with probability 19/199: 9.5 clients of 100, give or take 3.
    let single = counts.filter { $0 == 1 }.count
    #expect((1...22).contains(single), "\(single)")
    #expect(try Partition.shards(labels: labels, clients: 100, seed: 4) == partition)
    #expect(try Partition.shards(labels: labels, clients: 100, seed: 5) != partition)
  }

  @Test("shards of any number differ by one example and cut the sorted order")
  func uneven() throws {
    for (count, clients, each) in [(10, 10, 1), (11, 3, 2), (1000, 7, 3), (6, 2, 3)] {
      let labels = labels(count, classes: 5)
      let partition = try Partition.shards(
        labels: labels, clients: clients, shardsPerClient: each, seed: 2)
      #expect(isExact(partition, count))
      let (low, high) = (count / (clients * each), (count - 1) / (clients * each) + 1)
      #expect(partition.clients.allSatisfy { (each * low...each * high).contains($0.count) })
    }
    #expect(throws: PartitionError.self) {
      try Partition.shards(labels: [0, 1, 2], clients: 2, shardsPerClient: 2, seed: 0)
    }
  }
}

@Suite("log-normal sizes")
struct QuantitySkewTests {
  @Test("every example once, every client its minimum, for any sigma")
  func exact() throws {
    for seed: UInt64 in 0..<20 {
      for sigma in [0, 0.5, 2, 20] {
        let partition = try Partition.quantitySkew(
          exampleCount: 700, clients: 60, sigma: sigma, minimumExamples: 3, seed: seed)
        #expect(isExact(partition, 700))
        #expect(partition.clients.allSatisfy { $0.count >= 3 })
      }
    }
  }

  @Test("sigma 0 is sizes that differ by one; sigma is the deviation of the sizes' logarithms")
  func sizes() throws {
    let equal = try Partition.quantitySkew(exampleCount: 1000, clients: 7, sigma: 0, seed: 1)
    #expect(Set(equal.clients.map(\.count)).isSubset(of: [142, 143]))
    let partition = try Partition.quantitySkew(
      exampleCount: 2_000_000, clients: 4000, sigma: 0.8, seed: 1)
    let logarithms = partition.clients.map { log(Double($0.count)) }
    let mean = logarithms.reduce(0, +) / 4000
    let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 4000
    // The standard error of a standard deviation of n normal numbers is sigma / sqrt(2 n).
    #expect(abs(variance.squareRoot() - 0.8) < 5 * 0.8 / (2.0 * 4000).squareRoot())
    // A client's examples are a random sample: indices average to the middle.
    let largest = partition.clients.max { $0.count < $1.count }!
    let middle = Double(largest.reduce(0, +)) / Double(largest.count)
    #expect(abs(middle - 1e6) < 5 * 2e6 / (12 * Double(largest.count)).squareRoot())
    #expect(throws: PartitionError.self) {
      try Partition.quantitySkew(exampleCount: 10, clients: 2, sigma: -1, seed: 0)
    }
    #expect(throws: PartitionError.self) {
      try Partition.quantitySkew(
        exampleCount: 10, clients: 4, sigma: 1, minimumExamples: 3, seed: 0)
    }
  }
}

@Suite("the IID mix")
struct MixingTests {
  private let owners: [Int32] = (0..<3000).map { Int32(($0 * $0) % 97 % 40) }

  @Test("every client keeps its size, every example stays with one client, at any share")
  func exact() throws {
    let labels = labels(900, classes: 6)
    for base in [
      try Partition.natural(owners: Array(owners.prefix(900))),
      try Partition.dirichlet(labels: labels, clients: 30, alpha: 0.1, seed: 8),
    ] {
      for share in [0, 0.1, 0.5, 0.99, 1] {
        let mixed = try base.mixed(share: share, seed: 3)
        #expect(isExact(mixed, 900))
        #expect(mixed.clients.map(\.count) == base.clients.map(\.count))
        for (before, after) in zip(base.clients, mixed.clients) {
          // What is kept is at least what was not given.
          let given = Int((share * Double(before.count)).rounded())
          #expect(Set(before).intersection(after).count >= before.count - given)
        }
      }
    }
  }

  @Test("share 0 changes nothing, share 1 forgets the owner, in between the owner's part is left")
  func shares() throws {
    let base = try Partition.natural(owners: owners)
    #expect(try base.mixed(share: 0, seed: 1) == base)
    for share in [0.3, 0.7, 1] {
      let mixed = try base.mixed(share: share, seed: 1)
      // A client of n of N examples keeps (1 - share) n and finds about share n of its own in N.
      var (own, expected) = (0.0, 0.0)
      for (before, after) in zip(base.clients, mixed.clients) {
        let count = Double(before.count)
        own += Double(Set(before).intersection(after).count)
        expected += count * (1 - share) + share * count * count / 3000
      }
      #expect(abs(own - expected) < 100, "share \(share): \(own), expected \(expected)")
    }
    for share in [-0.1, 1.1, .nan] {
      #expect(throws: PartitionError.self) { try base.mixed(share: share, seed: 1) }
    }
  }
}
