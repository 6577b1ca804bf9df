// Two other ways in which clients differ: a few labels each, and very different sizes.

internal import Elementary
import RandomStreams

extension Partition {
  /// Clients of few labels: all examples in the order of their labels (by index within a label) are
  /// cut into clients * `shardsPerClient` shards that differ by one example at most, and each client
  /// gets so many shards at random (McMahan et al., arXiv 1602.05629, section 3, "pathological
  /// non-IID").
  ///
  /// Every example is given to exactly one client. A shard can touch more than one label.
  /// - Parameter labels: the class of each example.
  /// - Throws: `PartitionError` when there are fewer examples than shards.
  public static func shards(
    labels: [Int32], clients: Int, shardsPerClient: Int = 2, seed: UInt64
  ) throws -> Partition {
    try checkPopulation(labels.count, clients, minimumExamples: shardsPerClient)
    let count = labels.count
    let sorted = (0..<count).sorted { (labels[$0], $0) < (labels[$1], $1) }
    let shardCount = clients * shardsPerClient
    var stream = RandomStream(seed: seed, purpose: .partition, round: PartitionDraw.shards)
    var order = Array(0..<shardCount)
    stream.shuffle(&order)
    func shard(_ place: Int) -> ArraySlice<Int> {
      sorted[place * count / shardCount..<(place + 1) * count / shardCount]
    }
    return Partition(
      sorting: (0..<clients).map { client in
        order[client * shardsPerClient..<(client + 1) * shardsPerClient].flatMap(shard)
      })
  }

  /// Clients of very different sizes and alike in everything else: client c's share of the examples
  /// is exp(sigma z_c) / sum of them all, z_c normal; the examples in random order are cut at the
  /// rounded cumulative shares. Clients below the minimum are filled up from the largest.
  ///
  /// Every example is given to exactly one client. `sigma` 0 is like `iid`.
  /// - Parameter sigma: the standard deviation of the logarithm of a client's size, at least 0.
  /// - Throws: `PartitionError` when the clients' minimum takes more examples than there are, or
  ///   sigma is out of range.
  public static func quantitySkew(
    exampleCount: Int, clients: Int, sigma: Double, minimumExamples: Int = 1, seed: UInt64
  ) throws -> Partition {
    guard sigma.isFinite, sigma >= 0 else {
      throw PartitionError(reason: "sigma \(sigma) of log-normal sizes; it must be at least 0")
    }
    try checkPopulation(exampleCount, clients, minimumExamples: minimumExamples)
    let logarithms = (0..<clients).map { client in
      var stream = RandomStream(
        seed: seed, purpose: .partition, round: PartitionDraw.quantity, client: client)
      return sigma * stream.normal()
    }
    let weights = Elementary.relativeExponentials(logarithms)
    let sum = weights.reduce(0, +)
    let order = randomOrder(of: exampleCount, seed: seed)
    var cumulative = 0.0
    var cut = 0
    var shares = weights.indices.map { client in
      cumulative += weights[client]
      let rounded = Int((min(cumulative / sum, 1) * Double(exampleCount)).rounded())
      let next = client == clients - 1 ? exampleCount : rounded
      defer { cut = next }
      return Array(order[cut..<next])
    }
    fill(&shares, to: minimumExamples, seed: seed)
    return Partition(sorting: shares)
  }
}
