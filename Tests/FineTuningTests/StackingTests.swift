// FLoRA: the product of the stack, what it costs, and what cannot be combined with it. Whole runs are
// compared with PyTorch in ReferenceRunTests.

import Communication
import Federation
import FineTuning
import Foundation
import Sparsity
import Testing

@Suite("Stacked factors")
struct StackingTests {
  /// Small numbers that look random, a function of their place.
  private static func number(_ place: Int) -> Float {
    Float((place &* 2_654_435_761) % 2001 - 1000) / 1000
  }

  @Test("the stack's product is the weighted mean of the clients' products, whatever their ranks")
  func equivalence() {
    let pairs = [
      FactorLayout.Pair(aOffset: 3, bOffset: 3 + 5 * 7, inputs: 7, outputs: 4),
      FactorLayout.Pair(aOffset: 58, bOffset: 58 + 5 * 6, inputs: 6, outputs: 9),
    ]
    let layout = FactorLayout(
      length: 133, loraRank: 5, pairs: pairs, products: MatrixFactorProducts())
    let ranks = [1, 5, 3]
    let weights: [Double] = [2, 7, 1]
    let clients = ranks.indices.map { client in
      (0..<133).map { Self.number($0 + 1000 * client) }
    }
    let stack = FactorStack(
      ranks.indices.map { (clients[$0], ranks[$0], Float(weights[$0] / 10)) }, layout: layout)
    #expect(stack.rankCount == 9)
    #expect(stack.values.count == 9 * (7 + 4 + 6 + 9))
    var place = 0
    for pair in pairs {
      let a = Array(stack.values[place..<(place + 9 * pair.inputs)])
      place += a.count
      let b = Array(stack.values[place..<(place + 9 * pair.outputs)])
      place += b.count
      for output in 0..<pair.outputs {
        for input in 0..<pair.inputs {
          let product = (0..<9).reduce(0.0) {
            $0 + Double(b[output * 9 + $1]) * Double(a[$1 * pair.inputs + input])
          }
          var mean = 0.0
          for (client, rank) in ranks.enumerated() {
            for r in 0..<rank {
              mean +=
                weights[client] / 10 * Double(clients[client][pair.bOffset + output * 5 + r])
                * Double(clients[client][pair.aOffset + r * pair.inputs + input])
            }
          }
          #expect(abs(product - mean) <= 1e-5)
        }
      }
    }
  }

  /// Plays a golden's run.
  private func play(
    _ name: String, ranks: Int = 1, _ change: (inout FederationPlan) -> Void = { _ in }
  ) throws -> (digest: String, state: ServerState, records: [RoundRecord]) {
    var plan = try ReferenceRun(name).plan
    change(&plan)
    let fixed = plan
    return try ThreadCommunicators.run(size: ranks) { communicator in
      let own = try ReferenceRun(name)
      let run = try FederatedRun(
        plan: fixed, partition: own.partition, objective: own.objective(),
        initialVector: own.initial, communicator: communicator)
      var records: [RoundRecord] = []
      let final = try run.run(onRound: { records.append($0) })
      return (final.digest, final.state ?? fixed.initialState([]), records)
    }[0]
  }

  @Test("a client is charged the head and the last stack down, and its own ranks and the head up")
  func bytes() throws {
    let found = try play("flora")
    let factors = try #require(try ReferenceRun("flora").objective().factors)
    let width = factors.pairs.reduce(0) { $0 + $1.inputs + $1.outputs }
    let head = factors.length - factors.loraRank * width
    let ranks = [1, 3, 4]
    var stacked = 0
    for record in found.records {
      for client in record.clients {
        #expect(client.downloadNonzeros == head + stacked)
        // A message of values alone besides a header and, for the head, which coordinates it is.
        #expect(client.download.values == 4 * (head + stacked))
        #expect(client.uploadNonzeros == head + ranks[client.client % 3] * width)
        #expect(client.upload.values == 4 * client.uploadNonzeros)
        #expect(client.upload.indices == 0)
      }
      stacked = record.clients.reduce(0) { $0 + ranks[$1.client % 3] } * width
    }
  }

  @Test("evaluation sees the merged weights: the run learns though its factors are zero")
  func learns() throws {
    let found = try play("flora_lm")
    let factors = try #require(try ReferenceRun("flora_lm").objective().factors)
    for pair in factors.pairs {
      let b = found.state.vector[pair.bOffset..<(pair.bOffset + pair.outputs * factors.loraRank)]
      #expect(b.allSatisfy { $0 == 0 })
    }
    let losses = found.records.flatMap(\.evaluation).map(\.loss)
    #expect(Set(losses).count == losses.count, "\(losses)")
    #expect(found.state.mergedBase.count == factors.baseCount)
  }

  @Test("a saved state goes on to the same digest, on another number of ranks")
  func resume() throws {
    for name in ["flora", "rank_pruning"] {
      let whole = try play(name)
      let reference = try ReferenceRun(name)
      var plan = reference.plan
      let rounds = plan.rounds
      plan.rounds = 2
      let first = try FederatedRun(
        plan: plan, partition: reference.partition, objective: reference.objective(),
        initialVector: reference.initial, communicator: SingleProcessCommunicator())
      let half = try #require(try first.run(onRound: { _ in }).state)
      let saved = try ServerState(
        round: half.round, vector: half.vector, firstMoment: half.firstMoment,
        secondMoment: half.secondMoment, mergedBase: half.mergedBase, lastStack: half.lastStack,
        clientRanks: half.clientRanks)
      plan.rounds = rounds
      let fixed = plan
      let resumed = try ThreadCommunicators.run(size: 3) { communicator in
        let own = try ReferenceRun(name)
        let run = try FederatedRun(
          plan: fixed, partition: own.partition, objective: own.objective(),
          state: communicator.rank == 0 ? saved : nil, communicator: communicator)
        var lines: [String] = []
        let final = try run.run(onRound: { record in
          lines.append("\(record.clients.map { [$0.download.total, $0.upload.total] })")
        })
        return (final.digest, lines)
      }[0]
      #expect(resumed.0 == whole.digest)
      #expect(
        resumed.1
          == whole.records.suffix(rounds - 2).map {
            "\($0.clients.map { [$0.download.total, $0.upload.total] })"
          })
    }
  }

  @Test("what stacking and pruning of ranks cannot be combined with is refused in a sentence")
  func refusals() throws {
    let stacked = Method(download: .all, upload: .all, aggregation: .stacked)
    #expect(stacked.problems.isEmpty)
    let pruned = Method(download: .all, upload: .all, rankPruning: RankPruning(factor: 0.9))
    #expect(pruned.problems.isEmpty)
    func expect(
      _ method: Method, _ text: String, _ change: (inout Method) -> Void,
      _ comment: Comment? = nil
    ) {
      var method = method
      change(&method)
      #expect(method.problems.contains { $0.text.contains(text) }, comment)
    }
    expect(stacked, "must be all") { $0.download = .topMagnitude(.constant(0.5)) }
    expect(stacked, "must be all") { $0.tiers = [Tier(downloadDensity: 0.5)] }
    expect(stacked, "a mask cannot persist") { $0.persistence = .nested }
    expect(stacked, "give trainable: all") { $0.trained = .downloaded }
    expect(stacked, "give residual: dropped") { $0.residual = .kept }
    expect(stacked, "give download indices: complete") { $0.downloadIndices = .difference }
    expect(stacked, "starts from new factors") { $0.rankPruning = RankPruning() }
    expect(pruned, "does not allow rank_pruning") { $0.persistence = .nested }
    expect(pruned, "are never sent") { $0.residual = .kept }
    expect(pruned, "clients have different masks; give complete") {
      $0.downloadIndices = .difference
    }
    expect(pruned, "between 0 and 1") { $0.rankPruning?.factor = 1.5 }
    expect(pruned, "give 0 or a number of at least 1.5e-45") { $0.rankPruning?.penalty = -1 }
    var plan = try ReferenceRun("flora").plan
    plan.server = .fedAdam(learningRate: 0.1)
    #expect(plan.problems(population: 8).contains { $0.text.contains("must be sgd") })
    plan = try ReferenceRun("rank_pruning").plan
    plan.privacy = Privacy(clipping: .fixed(1), noise: .multiplier(1), delta: 1e-5)
    #expect(
      plan.problems(population: 8).contains { $0.text.contains("does not work with privacy") })
    let reference = try ReferenceRun("flora")
    var start = reference.initial
    start[try #require(reference.objective().factors).pairs[0].bOffset] = 1
    #expect {
      try FederatedRun(
        plan: reference.plan, partition: reference.partition, objective: reference.objective(),
        initialVector: start, communicator: SingleProcessCommunicator())
    } throws: { "\($0)".contains("B that is not zero") }
  }
}

@Suite("Pruning of ranks")
struct RankPruningTests {
  private let factors = FactorLayout(
    length: 40, loraRank: 4,
    pairs: [FactorLayout.Pair(aOffset: 1, bOffset: 21, inputs: 5, outputs: 4)],
    products: MatrixFactorProducts())

  @Test("the penalty's gradient is its derivative, and nothing outside of the last ranks")
  func gradient() {
    let tail = RankTail(factors: factors, ranks: 2..<4, penalty: 0.75)
    let vector = (0..<40).map { Float(($0 * 37) % 19 - 9) / 7 }
    var gradient = [Float](repeating: 0, count: 40)
    vector.withUnsafeBufferPointer { vector in
      gradient.withUnsafeMutableBufferPointer {
        tail.addGradient(at: vector, from: vector, into: $0)
      }
    }
    for place in vector.indices {
      let step = 1.0 / 256
      let norms = [step, -step].map { step in
        var moved = vector
        moved[place] += Float(step)
        return moved.withUnsafeBufferPointer { tail.norm(of: $0) }
      }
      let expected = 0.75 * (norms[0] - norms[1]) / (2 * step)
      #expect(abs(Double(gradient[place]) - expected) <= 1e-4 * max(1, abs(expected)), "\(place)")
    }
    #expect(gradient[1..<11].allSatisfy { $0 == 0 } && gradient[0] == 0)
  }

  @Test("a factor takes whole ranks, and leaves one")
  func kept() {
    let kept = { (factor: Double, rank: Int) in RankPruning(factor: factor).kept(of: rank) }
    #expect(kept(0.99, 16) == 15 && kept(0.99, 1) == 1 && kept(0.5, 5) == 2 && kept(0.1, 3) == 1)
  }

  @Test("a client that pruned receives and sends fewer coordinates from then on")
  func bytes() throws {
    let reference = try ReferenceRun("rank_pruning")
    let factors = try #require(reference.objective().factors)
    let width = factors.pairs.reduce(0) { $0 + $1.inputs + $1.outputs }
    let head = factors.length - factors.loraRank * width
    let run = try FederatedRun(
      plan: reference.plan, partition: reference.partition, objective: reference.objective(),
      initialVector: reference.initial, communicator: SingleProcessCommunicator())
    var ranks: [Int: Int] = [:]
    var pruned = 0
    _ = try run.run(onRound: { record in
      for client in record.clients {
        let before = ranks[client.client] ?? (client.tier == 0 ? 2 : 4)
        let sent = client.loraRank ?? 0
        #expect(client.downloadNonzeros == head + before * width)
        #expect(client.uploadNonzeros == head + sent * width)
        #expect(client.upload.indices == 0)
        pruned += sent < before ? 1 : 0
        ranks[client.client] = sent
      }
    })
    #expect(pruned > 0)
    #expect(run.state?.clientRanks.isEmpty == false)
  }
}
