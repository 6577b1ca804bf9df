// Clients whose shares of each class are Dirichlet distributed (Hsu, Qi, Brown, arXiv 1909.06335,
// in the form that the FLASC experiments use: for each class, the proportions over the clients).

import RandomStreams

extension Partition {
  /// For each class, proportions over the clients are drawn from Dir(alpha, ..., alpha), and the
  /// class's examples, in random order, are cut at the rounded cumulative proportions. Every
  /// example is given to exactly one client.
  ///
  /// Then clients below the minimum, in the order of their numbers, are filled up: each example
  /// comes from the client that has most at that moment (the lowest number of several), which gives
  /// one of its own at random. The draws of a class depend on the seed and the class only.
  /// - Parameters:
  ///   - labels: the class of each example.
  ///   - alpha: small is very different clients, large is like `iid`; at least 1e-300.
  /// - Throws: `PartitionError` when the clients' minimum takes more examples than there are, or
  ///   alpha is out of range.
  public static func dirichlet(
    labels: [Int32], clients: Int, alpha: Double, minimumExamples: Int = 1, seed: UInt64
  ) throws -> Partition {
    guard alpha.isFinite, alpha >= 1e-300 else {
      throw PartitionError(reason: "alpha \(alpha) of a Dirichlet partition; it must be positive")
    }
    try checkPopulation(labels.count, clients, minimumExamples: minimumExamples)
    let classes = Dictionary(grouping: labels.indices) { labels[$0] }.sorted { $0.key < $1.key }
    var shares = [[Int]](repeating: [], count: clients)
    for (label, members) in classes {
      guard label >= 0 else {
        throw PartitionError(reason: "label \(label) of example \(members[0])")
      }
      var stream = RandomStream(
        seed: seed, purpose: .partition, round: PartitionDraw.proportions, client: Int(label))
      let proportions = stream.dirichlet(
        concentrations: [Double](repeating: alpha, count: clients))
      var members = members
      stream.shuffle(&members)
      var cumulative = 0.0
      var cut = 0
      for client in 0..<clients {
        cumulative += proportions[client]
        let rounded = Int((min(cumulative, 1) * Double(members.count)).rounded())
        let next = client == clients - 1 ? members.count : rounded
        shares[client].append(contentsOf: members[cut..<next])
        cut = next
      }
    }
    fill(&shares, to: minimumExamples, seed: seed)
    return Partition(sorting: shares)
  }

  /// Moves examples from the largest clients to those below the minimum, in the order of their
  /// numbers.
  /// - Precondition: there are as many examples as the clients' minimum takes.
  static func fill(_ shares: inout [[Int]], to minimum: Int, seed: UInt64) {
    var missing = shares.indices.filter { shares[$0].count < minimum }
      .flatMap { client in repeatElement(client, count: minimum - shares[client].count) }[...]
    guard !missing.isEmpty else { return }
    var stream = RandomStream(seed: seed, purpose: .partition, round: PartitionDraw.filling)
    // Level by level from the top: all clients of the largest size give one each and join those of
    // the next size.
    let sizes = Dictionary(grouping: shares.indices) { shares[$0].count }
    var level = sizes.keys.max() ?? 0
    var givers: [Int] = []
    while !missing.isEmpty {
      precondition(level > minimum, "clients of \(level) examples cannot give to others")
      givers = (givers + (sizes[level] ?? [])).sorted()
      for giver in givers {
        guard let taker = missing.popFirst() else { return }
        let given = stream.integer(below: shares[giver].count)
        shares[giver].swapAt(given, shares[giver].count - 1)
        shares[taker].append(shares[giver].removeLast())
      }
      level -= 1
    }
  }
}
