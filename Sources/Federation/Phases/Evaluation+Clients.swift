// Evaluation on single clients: the server's vector on the examples of each of some clients, of
// those that took part so far and of those that never did.
internal import RandomStreams

/// The clients that were in a cohort of the first rounds.
struct SeenClients {
  /// The number of those rounds.
  var rounds = 0
  /// The clients.
  var clients: Set<Int> = []
}

extension FederatedRun {
  /// The clients to evaluate after `round`, ascending; the same on every rank.
  ///
  /// Each client has a number, a function of (seed, client); of each group the clients of the
  /// smallest numbers are taken that have examples to be evaluated on. So a client stays from one
  /// evaluation to the next while it stays in its group and no client of a smaller number joins.
  func evaluatedClients(after round: Int) -> [(group: ClientGroup, clients: [Int])] {
    guard plan.evaluation.clients > 0 else { return [] }
    addSeen(through: round)
    let seen = seen.clients
    return [
      (.seen, chosen(from: seen.sorted())),
      (.unseen, chosen(from: (0..<population.clientCount).lazy.filter { !seen.contains($0) })),
    ]
  }

  /// Adds the clients of the rounds up to `round` that were not looked at yet: of all past rounds where the
  /// run went on from a saved state.
  private func addSeen(through round: Int) {
    for past in seen.rounds..<max(seen.rounds, round + 1) {
      // A client that received a vector is seen, whether or not its upload counted.
      for participant in plan.participants(round: past, population: population.clientCount)
      where participant.fate != .unavailable {
        seen.clients.insert(participant.client)
      }
    }
    seen.rounds = max(seen.rounds, round + 1)
  }

  /// The clients of the smallest numbers that have examples, ascending.
  private func chosen(from clients: some Sequence<Int>) -> [Int] {
    // Ascending by number; the client decides where two numbers are equal.
    var best: [(number: UInt64, client: Int)] = []
    for client in clients {
      // Rounds 0 to 3 name samples of examples.
      var stream = RandomStream(seed: plan.seed, purpose: .split, round: 4, client: client)
      let candidate = (number: stream.next(), client: client)
      if best.count == plan.evaluation.clients, let worst = best.last, worst <= candidate {
        continue
      }
      guard evaluated.exampleCount(of: client) > 0 else { continue }
      let place = best.firstIndex { candidate < $0 } ?? best.count
      best.insert(candidate, at: place)
      if best.count > plan.evaluation.clients { best.removeLast() }
    }
    return best.map(\.client).sorted()
  }

  /// Evaluates the trainer's start on the examples of each of `clients`; nil where none of them has
  /// an item to predict.
  func evaluate(
    _ vector: EvaluatedVector, on clients: [Int], of group: ClientGroup, after round: Int,
    _ onProgress: (RoundProgress) -> Void
  ) throws -> ClientEvaluationRecord? {
    let began = ContinuousClock.now
    let sums = try sums(
      over: clients.map { evaluated.examples(of: $0).sorted() }, of: .train, labels: 0,
      after: round, stage: .clientEvaluation(group), onProgress)
    let outcomes = zip(clients, sums).compactMap { client, sums in
      sums.meanLoss.map {
        ClientOutcome(
          client: client, examples: sums.examples, count: sums.count, correct: sums.correct,
          loss: $0)
      }
    }
    return outcomes.isEmpty
      ? nil
      : ClientEvaluationRecord(
        round: round, group: group, vector: vector, clients: outcomes,
        seconds: (ContinuousClock.now - began).seconds)
  }
}
