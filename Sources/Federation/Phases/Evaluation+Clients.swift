// Evaluation on single clients: the server's vector on the examples of each of some clients, of
// those that took part so far and of those that never did.
internal import RandomStreams

/// The clients that were in a cohort of the first rounds.
struct SeenClients {
  /// The number of those rounds.
  var rounds = 0
  /// The clients.
  var clients: Set<Int> = []

  /// Adds the clients of the rounds up to `round` that were not added yet: of all past rounds if the run
  /// went on from a saved state.
  mutating func add(through round: Int, of plan: FederationPlan, population: Int) {
    for past in rounds..<max(rounds, round + 1) {
      // A client that received a vector is seen, whether or not its upload counted.
      for participant in plan.participants(round: past, population: population)
      where participant.fate != .unavailable {
        clients.insert(participant.client)
      }
    }
    rounds = max(rounds, round + 1)
  }
}

extension Evaluation {
  /// The clients to evaluate after this round, ascending; the same on every rank.
  ///
  /// Each client has a number, a function of (seed, client); of each group the clients of the
  /// smallest numbers are taken that have examples to be evaluated on. So a client stays from one
  /// evaluation to the next while it stays in its group and no client of a smaller number joins.
  func clients(_ seen: inout SeenClients) -> [(group: ClientGroup, clients: [Int])] {
    guard context.plan.evaluation.clients > 0 else { return [] }
    let population = context.population.clientCount
    seen.add(through: context.round, of: context.plan, population: population)
    let known = seen.clients
    return [
      (.seen, chosen(from: known.sorted())),
      (.unseen, chosen(from: (0..<population).lazy.filter { !known.contains($0) })),
    ]
  }

  /// The clients of the smallest numbers that have examples, ascending.
  private func chosen(from clients: some Sequence<Int>) -> [Int] {
    // Ascending by number; the client decides where two numbers are equal.
    var best: [(number: UInt64, client: Int)] = []
    for client in clients {
      var stream = RandomStream(
        seed: context.plan.seed, purpose: .split, round: EvaluationDraw.clients, client: client)
      let candidate = (number: stream.next(), client: client)
      if best.count == context.plan.evaluation.clients, let worst = best.last, worst <= candidate {
        continue
      }
      guard context.evaluated.exampleCount(of: client) > 0 else { continue }
      let place = best.firstIndex { candidate < $0 } ?? best.count
      best.insert(candidate, at: place)
      if best.count > context.plan.evaluation.clients { best.removeLast() }
    }
    return best.map(\.client).sorted()
  }

  /// Evaluates the trainer's start on the examples of each of `clients`; nil where none of them has
  /// an item to predict.
  func evaluate(
    _ vector: EvaluatedVector, on clients: [Int], of group: ClientGroup,
    _ onProgress: (RoundProgress) -> Void
  ) throws -> ClientEvaluationRecord? {
    let began = ContinuousClock.now
    let sums = try sums(
      over: clients.map { context.evaluated.examples(of: $0).sorted() }, of: .train, labels: 0,
      stage: .clientEvaluation(group), onProgress)
    let outcomes = zip(clients, sums).compactMap { client, sums in
      sums.meanLoss.map {
        ClientOutcome(
          client: client, examples: sums.examples, count: sums.count, correct: sums.correct,
          loss: $0, exactMatch: sums.exactMatch)
      }
    }
    return outcomes.isEmpty
      ? nil
      : ClientEvaluationRecord(
        round: context.round, group: group, vector: vector, clients: outcomes,
        seconds: (ContinuousClock.now - began).seconds)
  }
}
