// What an evaluation on single clients found: every client, and the group in a few numbers.
public import Corpora

/// Which clients are evaluated together.
public enum ClientGroup: String, Sendable, CaseIterable {
  /// Those that were in a cohort up to this round.
  case seen
  /// Those that were in none.
  case unseen
}

/// The server's vector on the examples of one client.
public struct ClientOutcome: Sendable, Equatable {
  /// The client's number in the population.
  public var client: Int
  /// How many of its examples were evaluated.
  public var examples: Int
  /// How many items (examples or predicted tokens) they have.
  public var count: Int
  /// How many of those were predicted right.
  public var correct: Int
  /// The mean loss over the items (nats).
  public var loss: Double
  /// The share of its examples whose greedy continuation is the answer; nil for tasks without answers.
  public var exactMatch: Double?

  /// An outcome of these numbers.
  public init(
    client: Int, examples: Int, count: Int, correct: Int, loss: Double, exactMatch: Double? = nil
  ) {
    self.client = client
    self.examples = examples
    self.count = count
    self.correct = correct
    self.loss = loss
    self.exactMatch = exactMatch
  }

  /// The share of items that were predicted right.
  public var accuracy: Double { count == 0 ? 0 : Double(correct) / Double(count) }
}

/// One evaluation on the clients of a group.
public struct ClientEvaluationRecord: Sendable, Equatable {
  /// The round after which it was made.
  public var round: Int
  /// The group from which the clients were drawn.
  public var group: ClientGroup
  /// What of the vector was evaluated.
  public var vector: EvaluatedVector
  /// The clients, ascending; at least one.
  public var clients: [ClientOutcome]
  /// Wall seconds on rank 0.
  public var seconds: Double

  /// An evaluation of these clients.
  public init(
    round: Int, group: ClientGroup, vector: EvaluatedVector, clients: [ClientOutcome],
    seconds: Double = 0
  ) {
    self.round = round
    self.group = group
    self.vector = vector
    self.clients = clients
    self.seconds = seconds
  }

  /// The clients' accuracies: every client counts alike, whatever its examples.
  public var accuracy: Spread { Spread(clients.map(\.accuracy)) }

  /// The mean accuracy of the tenth of the clients (rounded up) that has the lowest.
  public var worstTenthAccuracy: Double {
    let worst = clients.map(\.accuracy).sorted().prefix((clients.count + 9) / 10)
    return worst.reduce(0, +) / Double(max(1, worst.count))
  }

  /// The mean of the clients' shares of exact answers; nil if no client has one.
  public var meanExactMatch: Double? {
    let shares = clients.compactMap(\.exactMatch)
    return shares.isEmpty ? nil : Spread(shares).mean
  }

  /// The mean of the clients' mean losses.
  public var meanLoss: Double { Spread(clients.map(\.loss)).mean }
}
