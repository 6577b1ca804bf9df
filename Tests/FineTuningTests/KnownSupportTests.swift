// No message pays for a support that its reader knows by the method's definition: for each method, whether
// downloads and uploads have bytes of indices.

import Communication
import Federation
import Sparsity
import Testing

@Suite struct KnownSupportTests {
  /// A method, and whether its messages say which coordinates they hold, in the first round and later.
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let golden: String
    let method: Method
    let saysDownloads: [Bool]
    let saysUploads: [Bool]

    init(
      _ name: String, _ method: Method, downloads: [Bool], uploads: [Bool],
      golden: String = "rank_tiers"
    ) {
      (testDescription, self.method, self.golden) = (name, method, golden)
      (saysDownloads, saysUploads) = (downloads, uploads)
    }
  }

  private static func top(_ density: Double) -> Selection { .topMagnitude(.constant(density)) }
  private static let ranks = [Tier(loraRank: 1), Tier()]
  private static let never = [false, false]
  private static let always = [true, true]

  static let cases = [
    Case("dense LoRA", .denseLoRA, downloads: never, uploads: never),
    Case("full fine-tuning", .denseLoRA, downloads: never, uploads: never, golden: "full_dense"),
    Case("head only", .denseLoRA, downloads: never, uploads: never, golden: "head_only"),
    Case("FFA-LoRA", .denseLoRA, downloads: never, uploads: never, golden: "ffa_lora"),
    Case("FLASC", .flasc(download: 0.25, upload: 0.125), downloads: always, uploads: always),
    Case(
      "FLASC, everything down", .flasc(download: 1, upload: 0.125), downloads: never,
      uploads: always),
    Case(
      "FLASC, everything up", .flasc(download: 0.25, upload: 1), downloads: always, uploads: never),
    // The first round is dense; which rounds pruned is not known to a client that missed them.
    Case(
      "SparseAdapter", .sparseAdapter(density: 0.25), downloads: [false, true], uploads: never),
    Case(
      "Adapter-LTH", .adapterLTH(factor: 0.7, period: 1), downloads: [false, true], uploads: never),
    Case("federated select", .federatedSelect(density: 0.25), downloads: always, uploads: never),
    Case(
      "federated select, as many up as down",
      Method(download: top(0.25), upload: top(0.25), trained: .downloaded), downloads: always,
      uploads: never),
    Case(
      "federated select, fewer up than down",
      Method(download: top(0.5), upload: top(0.25), trained: .downloaded), downloads: always,
      uploads: always),
    Case(
      "random-k",
      Method(download: .random(.constant(0.25)), upload: .random(.constant(0.125))),
      downloads: never, uploads: never),
    Case(
      "nested random-k",
      Method(
        download: .random(.constant(0.25)), upload: .random(.constant(0.125)),
        persistence: .nested), downloads: always, uploads: never),
    Case(
      "error feedback", Method(download: .all, upload: top(0.125), residual: .kept),
      downloads: never, uploads: always),
    Case(
      "density tiers",
      Method(
        download: top(0.25), upload: top(0.25),
        tiers: [Tier(downloadDensity: 0.125, uploadDensity: 0.125), Tier()]),
      downloads: always, uploads: always),
    Case(
      "HetLoRA", Method(download: .all, upload: .all, aggregation: .normWeighted, tiers: ranks),
      downloads: never, uploads: never),
    Case(
      "HetLoRA by density 1", Method(download: top(1), upload: top(1), tiers: ranks),
      downloads: never, uploads: never),
    Case(
      "HetLoRA in int8",
      Method(
        download: .all, upload: .all,
        values: MessageValues(download: .int8, upload: .int8), tiers: ranks),
      downloads: never, uploads: never),
    Case(
      "HetLoRA and FLASC", Method(download: top(0.25), upload: top(0.25), tiers: ranks),
      downloads: always, uploads: always),
    Case(
      "HetLoRA with differences",
      Method(download: .all, upload: .all, downloadIndices: .difference, tiers: ranks),
      downloads: never, uploads: never),
    Case(
      "HetLoRA with self-pruning",
      Method(
        download: .all, upload: .all, aggregation: .normWeighted, tiers: ranks,
        rankPruning: RankPruning(factor: 0.5, penalty: 5)), downloads: never, uploads: never),
    Case(
      "FlexLoRA", Method(download: .all, upload: .all, aggregation: .productMean, tiers: ranks),
      downloads: never, uploads: never),
    Case(
      "FLoRA", Method(download: .all, upload: .all, aggregation: .stacked, tiers: ranks),
      downloads: never, uploads: never, golden: "flora"),
    Case(
      "FLoRA, sparse up", Method(download: .all, upload: top(0.25), aggregation: .stacked),
      downloads: never, uploads: always, golden: "flora"),
  ]

  @Test(
    "a message has bytes of indices where its reader does not know the support",
    arguments: cases)
  func indices(_ method: Case) throws {
    let records = try play(method)
    for record in records {
      let place = min(record.round, 1)
      for client in record.clients {
        #expect(
          (client.download.indices > 0) == method.saysDownloads[place],
          "round \(record.round), client \(client.client): \(client.download)")
        #expect(
          (client.upload.indices > 0) == method.saysUploads[place],
          "round \(record.round), client \(client.client): \(client.upload)")
      }
    }
    // Every rank reads the messages alike.
    #expect(try play(method, ranks: 3).map(\.digest) == records.map(\.digest))
  }

  private func play(_ method: Case, ranks: Int = 1) throws -> [RoundRecord] {
    let residuals = ResidualsInMemory()
    return try ThreadCommunicators.run(size: ranks) { communicator in
      let reference = try ReferenceRun(method.golden)
      var plan = reference.plan
      (plan.method, plan.rounds, plan.evaluation.splits) = (method.method, 3, [])
      if method.method.aggregation.kind.factors == .asStack { plan.server = .sgd(learningRate: 1) }
      let run = try FederatedRun(
        plan: plan, partition: reference.partition, objective: reference.objective(),
        initialVector: reference.initial, residuals: residuals, communicator: communicator)
      var records: [RoundRecord] = []
      _ = try run.run(onRound: { records.append($0) })
      return records
    }[0]
  }
}
