// Methods that have to be the same as others at the ends of their values, on a tiny transformer.

import Communication
import Federation
import Foundation
import Sparsity
import Testing

@Suite("Methods at the ends of their values")
struct MethodTests {
  static let names = ["llama_dense", "bert_adam_w"]

  /// The digest and the vector of a golden's run with another method.
  private func play(
    _ name: String, ranks: Int = 1, _ change: (inout FederationPlan) -> Void
  ) throws -> (digest: String, vector: [Float], records: [RoundRecord]) {
    let residuals = ResidualsInMemory()
    let reference = try ReferenceRun(name)
    var plan = reference.plan
    change(&plan)
    plan.rounds = min(plan.rounds, 3)
    let fixed = plan
    let results = try ThreadCommunicators.run(size: ranks) { communicator in
      let own = try ReferenceRun(name)
      let run = try FederatedRun(
        plan: fixed, partition: own.partition, objective: own.objective(),
        initialVector: own.initial, residuals: residuals, communicator: communicator)
      var records: [RoundRecord] = []
      let final = try run.run(onRound: { records.append($0) })
      return (final.digest, final.state?.vector ?? [], records)
    }
    return results[0]
  }

  @Test("FLASC, SparseAdapter, Adapter-LTH and federated select of density 1 are dense LoRA")
  func densityOne() throws {
    for name in Self.names {
      let dense = try play(name) { $0.method = .denseLoRA }
      let methods: [Method] = [
        .flasc(download: 1, upload: 1), .sparseAdapter(density: 1),
        .adapterLTH(factor: 1, period: 2), .federatedSelect(density: 1),
        Method(download: .random(.constant(1)), upload: .random(.constant(1))),
      ]
      for method in methods {
        let found = try play(name) { $0.method = method }
        #expect(found.digest == dense.digest, "\(name): \(method)")
      }
    }
  }

  @Test("one tier is no tiers, and error feedback that sends all has nothing to feed back")
  func oneTier() throws {
    for name in Self.names {
      let plain = try play(name) { $0.method = .flasc(download: 0.25, upload: 0.125) }
      let tiered = try play(name) {
        $0.method = .flasc(download: 0.25, upload: 0.125)
        $0.method.tiers = [Tier(downloadDensity: 0.25, uploadDensity: 0.125)]
        $0.evaluation.vectors = [.whole]
      }
      #expect(tiered.digest == plain.digest)
      let dense = try play(name) { $0.method = .denseLoRA }
      let fed = try play(name) {
        $0.method = .denseLoRA
        $0.method.residual = .kept
      }
      #expect(fed.digest == dense.digest)
    }
  }

  @Test("every method gives the same bits on 1, 2 and 3 ranks")
  func sameBits() throws {
    let tiers = [Tier(loraRank: 1), Tier()]
    let methods: [Method] = [
      .sparseAdapter(density: 0.25), .adapterLTH(factor: 0.7, period: 1),
      .federatedSelect(density: 0.25),
      Method(
        download: .random(.constant(0.5)), upload: .random(.constant(0.25)), residual: .kept),
      Method(download: .all, upload: .topMagnitude(.constant(0.125)), residual: .kept),
      Method(download: .all, upload: .all, aggregation: .normWeighted, tiers: tiers),
      Method(
        download: .all, upload: .all, aggregation: .productMean, tiers: tiers,
        tierAssignment: .drawn),
      Method(
        download: .topMagnitude(.constant(0.25)), upload: .topMagnitude(.constant(0.125)),
        residual: .kept, values: MessageValues(download: .bf16, upload: .int4),
        downloadIndices: .difference),
      Method(
        download: .all, upload: .all, values: MessageValues(download: .fp16, upload: .int8)),
      Method(download: .all, upload: .all, aggregation: .stacked, tiers: tiers),
      Method(
        download: .all, upload: .topMagnitude(.constant(0.5)), aggregation: .stacked,
        values: MessageValues(download: .int8, upload: .bf16)),
      Method(
        download: .all, upload: .all, aggregation: .normWeighted, tiers: tiers,
        rankPruning: RankPruning(factor: 0.5, penalty: 5)),
      Method(
        download: .topMagnitude(.constant(0.5)), upload: .downloaded, trained: .downloaded,
        aggregation: .productMean, rankPruning: RankPruning(factor: 0.5, penalty: 5)),
    ]
    for method in methods {
      let found = try [1, 2, 3].map { ranks in
        try play("llama_dense", ranks: ranks) { $0.method = method }.digest
      }
      #expect(Set(found).count == 1, "\(method): \(found)")
    }
  }

  @Test("what is pruned stays zero, and the support only shrinks")
  func pruned() throws {
    let found = try play("llama_dense") {
      $0.method = .adapterLTH(factor: 0.5, period: 1)
      $0.server = .fedAdam(learningRate: 0.02)
    }
    let count = found.vector.count
    #expect(found.records.map { $0.clients[0].downloadNonzeros } == [count, count / 2, count / 4])
    #expect(found.records.map { $0.clients[0].uploadNonzeros } == [count, count / 2, count / 4])
    #expect(found.vector.filter { $0 != 0 }.count <= count / 4)
  }

  @Test("an upload whose support the server knows says no indices, a download only what changed")
  func knownSupports() throws {
    let fixed = try play("llama_dense") {
      $0.method = .sparseAdapter(density: 0.25)
      $0.method.downloadIndices = .difference
      $0.rounds = 3
      $0.cohort = .file([[0, 1], [1, 2], [1, 2]])
    }
    let uploads = fixed.records.flatMap(\.clients).map(\.upload)
    #expect(uploads.map(\.indices) == Array(repeating: 0, count: 6))
    let rounds = fixed.records.map { $0.clients.map(\.download) }
    // Round 1: client 1 knows all coordinates, client 2 nothing. Round 2: both know the support.
    #expect(rounds[1].map { $0.indices > 0 } == [true, true])
    #expect(rounds[2].map(\.indices) == [0, 0])
    #expect(rounds[1][0].values == rounds[2][0].values)

    let drawn = try play("llama_dense") {
      $0.method = Method(download: .all, upload: .random(.constant(0.25)))
    }
    #expect(drawn.records.flatMap(\.clients).allSatisfy { $0.upload.indices == 0 })
  }

  @Test("narrower values are fewer bytes, and what they lose is fed back")
  func formats() throws {
    let exact = try play("llama_dense") { $0.method = .denseLoRA }
    var found: [ValueFormat: (vector: [Float], bytes: Int)] = [:]
    for format in ValueFormat.allCases {
      let played = try play("llama_dense") {
        $0.method = Method(
          download: .all, upload: .all, residual: .kept,
          values: MessageValues(download: .fp32, upload: format))
      }
      found[format] = (
        played.vector, played.records.reduce(0) { $0 + $1.uploadPayload.values }
      )
    }
    let (n, uploads) = (exact.vector.count, exact.records.flatMap(\.clients).count)
    #expect(found[.fp32]?.vector == exact.vector)
    #expect(found[.fp32]?.bytes == 4 * n * uploads)
    #expect(found[.bf16]?.bytes == 2 * n * uploads)
    let scales = try ReferenceRun("llama_dense").objective().tensorEnds.count
    #expect(found[.int8]?.bytes == (n + 4 * scales) * uploads)
    func distance(_ format: ValueFormat) -> Double {
      zip(found[format]!.vector, exact.vector).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
        .squareRoot()
    }
    let size = exact.vector.reduce(0) { $0 + pow(Double($1), 2) }.squareRoot()
    // A round's worth of rounding at most: a mantissa of 8 and 11 bits, 127 and 7 steps.
    for (format, bound) in [(ValueFormat.bf16, 4e-3), (.fp16, 1e-3), (.int8, 0.03), (.int4, 0.5)] {
      #expect(distance(format) > 0 && distance(format) < bound * size, "\(format)")
    }
    #expect(distance(.int8) < distance(.int4))
  }

  @Test("clients of fewer ranks receive and send those ranks alone")
  func rankTiers() throws {
    let reference = try ReferenceRun("llama_dense")
    let factors = try #require(reference.objective().factors)
    let pairs = factors.pairs.reduce(0) { $0 + $1.inputs + $1.outputs }
    let found = try play("llama_dense") {
      $0.method = Method(download: .all, upload: .all, tiers: [Tier(loraRank: 1), Tier()])
    }
    for client in found.records.flatMap(\.clients) {
      let expected = client.client % 2 == 0 ? found.vector.count - pairs : found.vector.count
      #expect(client.tier == client.client % 2)
      #expect(client.downloadNonzeros == expected)
      #expect(client.uploadNonzeros == expected)
    }
  }

  @Test("FlexLoRA of one client, or of clients that agree, is that client's product")
  func productOfOne() throws {
    let reference = try ReferenceRun("llama_dense")
    let factors = try #require(reference.objective().factors)
    let plain = try play("llama_dense") {
      $0.method = .denseLoRA
      $0.rounds = 1
      $0.cohort = .file([[3]])
    }
    let flexed = try play("llama_dense") {
      $0.method = Method(download: .all, upload: .all, aggregation: .productMean)
      $0.rounds = 1
      $0.cohort = .file([[3]])
    }
    for pair in factors.pairs {
      let a = product(plain.vector, pair, factors.loraRank)
      let b = product(flexed.vector, pair, factors.loraRank)
      let largest = a.reduce(0) { max($0, abs($1)) }
      for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-5 * largest) }
    }
  }

  /// B A of one pair, in Double.
  private func product(_ vector: [Float], _ pair: FactorLayout.Pair, _ loraRank: Int) -> [Double] {
    (0..<pair.outputs).flatMap { output in
      (0..<pair.inputs).map { input in
        (0..<loraRank).reduce(0.0) { sum, rank in
          sum + Double(vector[pair.bOffset + output * loraRank + rank])
            * Double(vector[pair.aOffset + rank * pair.inputs + input])
        }
      }
    }
  }

  @Test("a method that makes no sense is refused in a sentence")
  func problems() {
    var method = Method(download: .downloaded, upload: .all)
    #expect(method.problems.contains { $0.text.contains("only an upload can follow the download") })
    method = .sparseAdapter(density: 0.5)
    method.tiers = [Tier(), Tier()]
    #expect(method.problems.contains { $0.text.contains("does not allow tiers") })
    method = .denseLoRA
    method.tiers = [Tier(share: 0, loraRank: 0, downloadDensity: 2)]
    #expect(method.problems.count == 3)
  }
}
