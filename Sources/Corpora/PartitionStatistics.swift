// How different the clients of a partition are, in a few numbers for tables.

/// The smallest, the middle and the largest of some counts.
public struct CountSummary: Sendable, Equatable {
  /// The smallest.
  public let minimum: Int
  /// The middle one, or the mean of the two in the middle.
  public let median: Double
  /// The largest.
  public let maximum: Int

  /// - Precondition: `counts` is not empty.
  init(_ counts: [Int]) {
    precondition(!counts.isEmpty, "a summary of no counts")
    let sorted = counts.sorted()
    minimum = sorted[0]
    maximum = sorted[sorted.count - 1]
    median = Double(sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}

/// What a table says about a partition.
public struct PartitionStatistics: Sendable, Equatable {
  /// The population.
  public let clients: Int
  /// The examples of all clients.
  public let examples: Int
  /// Over the clients: how many examples one has.
  public let examplesPerClient: CountSummary
  /// Over the clients: how many different labels one has; nil without labels.
  public let labelsPerClient: CountSummary?
}

extension Partition {
  /// The statistics of this partition, with `labels` by example where there are labels.
  ///
  /// - Precondition: there is a client.
  public func statistics(labels: [Int32]? = nil) -> PartitionStatistics {
    PartitionStatistics(
      clients: clients.count,
      examples: clients.reduce(0) { $0 + $1.count },
      examplesPerClient: CountSummary(clients.map(\.count)),
      labelsPerClient: labels.map { labels in
        CountSummary(clients.map { examples in Set(examples.map { labels[$0] }).count })
      })
  }
}
