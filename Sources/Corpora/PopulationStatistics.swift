// How different the clients of a population are, in a few numbers for tables.

import Glibc

/// What a table says about a population.
public struct PopulationStatistics: Sendable, Equatable {
  /// The population.
  public let clients: Int
  /// The clients that were looked at: all, or so many of a larger population.
  public let examined: Int
  /// The examples of the examined clients.
  public let examples: Int
  /// Over the clients: how many examples one has.
  public let examplesPerClient: Spread
  /// What is known where there are labels.
  public let labels: Labels?

  /// How the clients' labels differ.
  public struct Labels: Sendable, Equatable {
    /// Over the clients: how many different labels one has.
    public let perClient: Spread
    /// Over the clients: the total variation distance 1/2 sum_k |q_k - p_k| between a client's label
    /// shares q and the corpus's p; 0 is alike, 1 nothing in common.
    public let distance: Spread
    /// Over the clients: the entropy -sum_k q_k log2 q_k of a client's label shares, in bits.
    public let entropy: Spread
    /// The entropy of the corpus's label shares, in bits.
    public let corpusEntropy: Double
  }

  /// How many different labels each client has; nil without labels.
  package var labelsPerClient: Spread? { labels?.perClient }
}

extension Population {
  /// The statistics of this population, with `labels` by example where there are labels.
  ///
  /// - Parameter limit: The most clients to look at, in even distances.
  /// - Precondition: there is a client, and each has an example.
  public func statistics(labels: [Int32]? = nil, clients limit: Int = .max) -> PopulationStatistics
  {
    let examined = clients(atMost: limit)
    var sizes: [Int] = []
    var counted: [Int] = []
    var distances: [Double] = []
    var entropies: [Double] = []
    let whole = labels.map { shares($0[...]) } ?? [:]
    // In the order of the labels: a sum of Doubles depends on its order.
    let expected = whole.sorted { $0.key < $1.key }
    for client in examined {
      let own = examples(of: client)
      sizes.append(own.count)
      guard let labels else { continue }
      let found = shares(own.lazy.map { labels[$0] })
      counted.append(found.count)
      distances.append(expected.reduce(0) { $0 + abs($1.value - (found[$1.key] ?? 0)) } / 2)
      entropies.append(entropy(found))
    }
    return PopulationStatistics(
      clients: clientCount, examined: examined.count, examples: sizes.reduce(0, +),
      examplesPerClient: Spread(sizes),
      labels: labels == nil
        ? nil
        : PopulationStatistics.Labels(
          perClient: Spread(counted), distance: Spread(distances), entropy: Spread(entropies),
          corpusEntropy: entropy(whole)))
  }
}

/// The share of each label.
private func shares(_ labels: some Collection<Int32>) -> [Int32: Double] {
  labels.reduce(into: [Int32: Int]()) { $0[$1, default: 0] += 1 }
    .mapValues { Double($0) / Double(labels.count) }
}

/// The entropy of shares, in bits.
private func entropy(_ shares: [Int32: Double]) -> Double {
  0 - shares.values.sorted().reduce(0) { $0 + $1 * log2($1) }
}
