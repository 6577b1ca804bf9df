// Virtual clients: functions of (seed, client), with the distributions that are promised.

import Corpora
import Foundation
import RandomStreams
import TestSupport
import Testing

@Suite("virtual clients")
struct VirtualPopulationTests {
  /// Three classes with shares 1/2, 1/3 and 1/6 of 6000 examples, in turns; class numbers with gaps.
  private static let classes = (0..<6000).map { [Int32(0), 0, 0, 4, 4, 9][$0 % 6] }

  private func population(
    clients: Int = 1000, alpha: Double = 0.5, median: Int = 20, sigma: Double = 0,
    minimum: Int = 1, seed: UInt64 = 1, classes: [Int32] = classes
  ) throws -> VirtualPopulation {
    try VirtualPopulation(
      classes: classes, clients: clients, alpha: alpha,
      sizes: VirtualPopulation.Sizes(median: median, sigma: sigma, minimum: minimum), seed: seed)
  }

  @Test("a client is the same in any order of asking, another seed has others")
  func function() throws {
    let (first, again) = (try population(sigma: 1), try population(sigma: 1))
    let forward = (0..<1000).map(first.examples)
    let backward = (0..<1000).reversed().map(again.examples)
    #expect(forward == Array(backward.reversed()))
    #expect(forward.map(\.count) == (0..<1000).map(first.exampleCount))
    #expect(Set(forward).count > 990)
    #expect(try population(sigma: 1, seed: 2).examples(of: 3) != forward[3])
    // A larger population has the same first clients.
    #expect(try population(clients: 5000, sigma: 1).examples(of: 3) == forward[3])
    for examples in forward {
      #expect(examples == examples.sorted() && Set(examples).count == examples.count)
      #expect(examples.allSatisfy { (0..<6000).contains($0) })
    }
  }

  @Test("mixtures have the Dirichlet's mean, the corpus's shares, and its variance")
  func mixtures() throws {
    // The number X_k of class k among n draws is Dirichlet-multinomial with concentrations
    // a_k = alpha K p_k, A = alpha K: E X_k = n p_k and
    // Var X_k = n p_k (1 - p_k) (n + A) / (1 + A).
    let (n, count) = (20, 20_000)
    for alpha in [0.05, 1, 100] {
      let population = try population(clients: count, alpha: alpha, median: n)
      var sums = [Double](repeating: 0, count: 3)
      var squares = sums
      for client in 0..<count {
        var found = [0, 0, 0]
        for example in population.examples(of: client) {
          found[[0, 0, 0, 1, 1, 2][example % 6]] += 1
        }
        for k in 0..<3 {
          sums[k] += Double(found[k])
          squares[k] += Double(found[k] * found[k])
        }
      }
      for (k, p) in [0.5, 1.0 / 3, 1.0 / 6].enumerated() {
        let expected = Double(n) * p * (1 - p) * (Double(n) + 3 * alpha) / (1 + 3 * alpha)
        let mean = sums[k] / Double(count)
        let variance = squares[k] / Double(count) - mean * mean
        #expect(
          abs(mean - Double(n) * p) < 5 * (expected / Double(count)).squareRoot(),
          "alpha \(alpha), class \(k): \(mean)")
        #expect(abs(variance / expected - 1) < 0.06, "alpha \(alpha), class \(k): \(variance)")
      }
    }
  }

  @Test("examples of a class are drawn alike, over clients with replacement")
  func uniform() throws {
    let population = try population(clients: 30_000, alpha: 1, median: 6)
    var drawn = [Int](repeating: 0, count: 6000)
    for client in 0..<30_000 {
      for example in population.examples(of: client) { drawn[example] += 1 }
    }
    // 30 draws an example on average; binomial within a class, and the classes' sums vary besides.
    #expect(drawn.allSatisfy { (1...70).contains($0) })
    let variance = drawn.reduce(0.0) { $0 + (Double($1) - 30) * (Double($1) - 30) } / 6000
    #expect(abs(variance / 30 - 1) < 0.15, "\(variance)")
  }

  @Test("sizes are constant or log-normal around their median, within minimum and corpus")
  func sizes() throws {
    let constant = try population(median: 17)
    #expect((0..<1000).allSatisfy { constant.exampleCount(of: $0) == 17 })
    let skewed = try population(clients: 20_000, median: 200, sigma: 0.5)
    let logarithms = (0..<20_000).map { log(Double(skewed.exampleCount(of: $0))) }
    let mean = logarithms.reduce(0, +) / 20_000
    let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
    #expect(abs(mean - log(200)) < 5 * 0.5 / 20_000.0.squareRoot())
    #expect(abs(variance.squareRoot() - 0.5) < 5 * 0.5 / 40_000.0.squareRoot())
    let wild = try population(median: 50, sigma: 20, minimum: 7)
    let sizes = (0..<1000).map(wild.exampleCount)
    #expect(sizes.min() == 7 && sizes.max() == 6000)
  }

  @Test("an example comes again within a client only when its class is used up")
  func exhausted() throws {
    // One example of class 0, three of class 1 and 16 of class 2; most clients of 12 want one class.
    let groups = [[0], [1, 2, 3], Array(4..<20)]
    let population = try population(
      clients: 200, alpha: 0.05, median: 12, classes: [0, 1, 1, 1] + .init(repeating: 2, count: 16))
    var repeated = 0
    for client in 0..<200 {
      let examples = population.examples(of: client)
      #expect(examples.count == 12)
      for group in groups {
        let counts = group.map { example in examples.filter { $0 == example }.count }
        #expect(counts.max()! - counts.min()! <= 1, "\(examples)")
        if counts.max()! > 1 { repeated += 1 }
      }
      // Sixteen are more than twelve.
      #expect(examples.filter { $0 >= 4 } == Array(Set(examples.filter { $0 >= 4 })).sorted())
    }
    #expect(repeated > 10)
  }

  @Test("a million clients are made in milliseconds and take the memory of the corpus's labels")
  func million() throws {
    let classes = (0..<11_293).map { Int32($0 % 20) }
    func resident() throws -> Int {
      let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
      return Int(text.split(separator: " ")[1])! * Int(getpagesize())
    }
    let before = try resident()
    let start = ContinuousClock.now
    let population = try population(
      clients: 1_000_000, alpha: 0.1, median: 32, sigma: 1, classes: classes)
    var words = 0
    population.identify { words += $0.count }
    #expect(population.problem(exampleCount: 11_293) == nil)
    let made = ContinuousClock.now - start
    let last = population.examples(of: 999_999)
    let asked = ContinuousClock.now - start - made
    print("a million clients: made in \(made), \(words) words of identity; a client in \(asked)")
    #expect(last.count == population.exampleCount(of: 999_999) && !last.isEmpty)
    #expect(made < .milliseconds(100))
    // A list of a million empty clients alone would be 40 MB. Other tests run meanwhile.
    #expect(try resident() - before < 24 << 20)
    #expect(words < 12_000)
  }

  @Test("what cannot be is refused")
  func refusals() throws {
    for attempt in [
      { try self.population(clients: 0) }, { try self.population(alpha: 0) },
      { try self.population(alpha: .infinity) }, { try self.population(median: 0) },
      { try self.population(sigma: -1) }, { try self.population(minimum: 6001) },
      { try self.population(classes: []) },
    ] {
      #expect(throws: PartitionError.self) { try attempt() }
    }
    #expect(try population().problem(exampleCount: 5999) != nil)
    // Extremes of alpha give mixtures of numbers, not of NaN.
    for alpha in [1e-250, 1e308] {
      #expect(try population(alpha: alpha).examples(of: 1).count == 20)
    }
  }
}

@Suite("held-out examples")
struct HoldoutTests {
  private func sides(_ whole: any Population, share: Double, seed: UInt64 = 6) -> (
    training: HoldoutPopulation, heldOut: HoldoutPopulation
  ) {
    (
      HoldoutPopulation(whole, share: share, side: .training, seed: seed),
      HoldoutPopulation(whole, share: share, side: .heldOut, seed: seed)
    )
  }

  @Test("the two sides of a partition share nothing, make up the whole, and training has something")
  func split() throws {
    let whole = try Partition.quantitySkew(exampleCount: 5000, clients: 300, sigma: 1.5, seed: 1)
    let (training, heldOut) = sides(whole, share: 0.2)
    var held = 0
    for client in 0..<300 {
      let (first, second) = (training.examples(of: client), heldOut.examples(of: client))
      #expect((first + second).sorted() == whole.clients[client])
      #expect(!first.isEmpty && first == first.sorted() && second == second.sorted())
      #expect(training.exampleCount(of: client) == first.count)
      held += second.count
    }
    // Binomial with mean 1000 and deviation 28, less the only examples of small clients.
    #expect((850...1120).contains(held), "\(held)")
  }

  @Test("no virtual client trains on what another has held out")
  func virtual() throws {
    let whole = try VirtualPopulation(
      classes: (0..<2000).map { Int32($0 % 10) }, clients: 500, alpha: 0.5,
      sizes: VirtualPopulation.Sizes(median: 40), seed: 3)
    let (training, heldOut) = sides(whole, share: 0.3)
    let trained = Set((0..<500).flatMap(training.examples))
    let held = Set((0..<500).flatMap(heldOut.examples))
    #expect(trained.isDisjoint(with: held))
    #expect(trained.count > 1000 && held.count > 400)
  }

  @Test("another seed or share is another population, and so is the other side")
  func identity() {
    let whole = Partition(clients: [[0, 1], [2]])
    func words(_ population: any Population) -> [Int] {
      var words: [Int] = []
      population.identify { words += $0 }
      return words
    }
    let all: [any Population] = [
      whole, sides(whole, share: 0.2).training, sides(whole, share: 0.2).heldOut,
      sides(whole, share: 0.3).training, sides(whole, share: 0.2, seed: 7).training,
    ]
    #expect(Set(all.map(words)).count == all.count)
  }
}

@Suite("what tables say of populations")
struct PopulationStatisticsTests {
  private struct Golden: Decodable {
    let labels: [Int32]
    let clients: [[Int]]
    let distance: [Double]
    let entropy: [Double]
    let corpusEntropy: Double
  }
  private struct File: Decodable { let partition: Golden }

  @Test("distances and entropies of labels are NumPy's and SciPy's")
  func golden() throws {
    let path = URL(filePath: goldenPath("evaluation/evaluation.json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let golden = try decoder.decode(File.self, from: Data(contentsOf: path)).partition
    let found = try #require(
      Partition(clients: golden.clients).statistics(labels: golden.labels).labels)
    for (found, expected) in [(found.distance, golden.distance), (found.entropy, golden.entropy)] {
      #expect(abs(found.minimum - expected.min()!) < 1e-12)
      #expect(abs(found.maximum - expected.max()!) < 1e-12)
      #expect(abs(found.mean - expected.reduce(0, +) / Double(expected.count)) < 1e-12)
      #expect(abs(found.median - expected.sorted()[4]) < 1e-12)
    }
    #expect(
      abs(found.corpusEntropy - golden.corpusEntropy) < 1e-12,
      "python Tests/Goldens/evaluation/generate.py")
  }

  @Test("a client of one label has entropy 0, a client like the corpus has distance 0")
  func ends() throws {
    let labels: [Int32] = [0, 0, 1, 1, 0, 1]
    let found = try #require(
      Partition(clients: [[0, 1], [2, 3], [4, 5]]).statistics(labels: labels).labels)
    #expect(found.entropy.minimum == 0 && found.entropy.maximum == 1)
    #expect(found.distance.minimum == 0 && found.distance.maximum == 0.5)
    #expect(found.corpusEntropy == 1)
  }

  @Test("of a large population some clients are looked at, in even distances")
  func sample() throws {
    let population = try VirtualPopulation(
      classes: [0, 1, 2], clients: 1_000_000, alpha: 1,
      sizes: VirtualPopulation.Sizes(median: 2), seed: 0)
    #expect(population.clients(atMost: 4) == [0, 250_000, 500_000, 750_000])
    #expect(Partition(clients: [[0], [1]]).clients(atMost: 4) == [0, 1])
    let statistics = population.statistics(clients: 100)
    #expect(statistics.clients == 1_000_000 && statistics.examined == 100)
    #expect(statistics.examples == 200 && statistics.examplesPerClient.mean == 2)
  }

  @Test("deciles of 0 to 10 are the whole numbers between")
  func deciles() {
    let spread = Spread((0...10).reversed().map { Double($0) })
    #expect(spread.deciles == [1, 2, 3, 4, 5, 6, 7, 8, 9] && spread.median == 5)
    #expect(spread.minimum == 0 && spread.maximum == 10 && spread.mean == 5)
    #expect(Spread([7]).deciles == [Double](repeating: 7, count: 9))
    #expect(Spread([1, 2]).deciles[2] == 1.3)
  }
}
