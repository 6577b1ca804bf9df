// `cellm-mpi plan`: does it fit, and what will travel? Opens model and corpus, makes the partition,
// encodes one message of each size with the real codec, and computes nothing else.

internal import Adapters
internal import Corpora
internal import Federation
import Foundation
internal import RandomStreams
internal import Sparsity
internal import Transformers

/// What a run would take; starts nothing.
///
/// - Parameters:
///   - ranks: MPI ranks of the run.
///   - ranksPerNode: How many of them share a node's memory.
///   - partition: Where to write who has which examples, a new `.csv` or `.json`; nil for nowhere.
/// - Throws: What `run` would throw before its first round.
public func planReport(
  _ request: ExperimentRequest, ranks: Int, ranksPerNode: Int, partition: String? = nil,
  assets: AssetDirectory = AssetDirectory()
) throws -> String {
  guard ranks >= 1, ranksPerNode >= 1 else {
    throw CommandFailure(ExitCode.usage, "--ranks and --ranks-per-node are at least 1")
  }
  let loaded = try request.load()
  try loaded.experiment.checkInputs(assets)
  var plan = try loaded.experiment.federationPlan(assets: assets)
  let directory = try assets.existing(loaded.experiment.model.path, what: "model")
  var prepared = try PreparedModel(
    loaded.experiment, assets: assets, model: try PretrainedModel(directory: directory))
  prepared.widenedCount = try PretrainedModel.widenedCount(
    directory: directory, precision: loaded.experiment.compute.precision.product,
    packsLanguageHead: loaded.experiment.task.kind == .languageModelling)
  let problems = plan.problems(population: prepared.partition.clientCount)
  guard problems.isEmpty else {
    throw CommandFailure(ExitCode.usage, problems.joined(separator: "\n"))
  }
  if let problem = prepared.partition.problem(exampleCount: prepared.corpus.train.count) {
    throw CommandFailure(ExitCode.data, problem)
  }
  let population = prepared.partition.clientCount
  plan = try plan.settlingNoise(population: population)
  let privacy = PrivacyReport(plan, population: population)
  try prepared.model.checkFinite()
  _ = try prepared.initialVector(loaded.experiment, assets: assets)
  let report = PlanReport(
    experiment: loaded.experiment, plan: plan, prepared: prepared, ranks: ranks,
    ranksPerNode: min(ranks, ranksPerNode))
  let written = try partition.map {
    try writePopulation(
      prepared.partition, of: prepared.corpus.train,
      limit: loaded.experiment.data.maximumLength, to: $0)
  }
  let remarks =
    loaded.notices + (privacy?.notices ?? [])
    + (try prepared.notices(loaded.experiment, assets: assets))
    + [plan.idleRanksNotice(ranks: ranks)].compactMap(\.self)
  let notices = remarks.map { "note: \($0)\n" }.joined()
  return notices + "experiment \(loaded.name)\n" + indented(loaded.experiment.yaml)
    + report.sizes + report.populationTable + report.messages + (privacy?.table ?? "")
    + report.memory + (written ?? "")
}

private func indented(_ text: String) -> String {
  text.split(separator: "\n").map { "  \($0)\n" }.joined()
}

private struct PlanReport {
  let experiment: Experiment
  let plan: FederationPlan
  let prepared: PreparedModel
  let ranks: Int
  let ranksPerNode: Int

  private var length: Int { prepared.trainedCount }
  private var isFull: Bool { experiment.adapter.kind == .full }

  var sizes: String {
    let head = headCount
    let model = prepared.model
    return "\nmodel \(model.directory)\n"
      + alignedText(
        [
          ["parameters", "count", ""],
          [
            isFull ? "pretrained" : "base, frozen", grouped(model.parameterCount),
            byteText(model.storedBytes),
          ],
          [
            isFull ? "trained weights" : "adapter", grouped(length - head),
            byteText(4 * (length - head)),
          ],
          ["head", grouped(head), byteText(4 * head)],
          ["trainable", grouped(length), byteText(4 * length)],
        ], indent: "  ")
  }

  /// What clients train on.
  private var population: any Population {
    plan.evaluation.training(prepared.partition, seed: plan.seed)
  }

  private func tokens(of examples: [Int]) -> Int {
    examples.reduce(0) {
      $0 + prepared.corpus.train.tokenCount(of: $1, limit: experiment.data.maximumLength)
    }
  }

  var populationTable: String {
    let train = prepared.corpus.train
    let table = populationText(
      population, labels: train.labels,
      further: [
        ("tokens", tokens), ("steps a round", { plan.local.stepCount(examples: $0.count) }),
      ])
    let held =
      plan.evaluation.holdout > 0
      ? ", of which about \(fixed(100 * plan.evaluation.holdout, 1)) % are held out" : ""
    return "\npopulation: \(grouped(population.clientCount)) clients,"
      + " \(grouped(train.count)) training examples\(held)\n" + table
      + "  tokens a round: \(tokensPerRound)\n"
  }

  /// Exact where cohorts are drawn by the seed or given: the first hundred rounds are looked at.
  private var tokensPerRound: String {
    let rounds = min(plan.rounds, 100)
    let population = population
    let counts = (0..<rounds).map { round in
      plan.participants(round: round, population: population.clientCount)
        .filter { $0.fate == .used }
        .reduce(0) { $0 + plan.local.epochs * tokens(of: population.examples(of: $1.client)) }
    }
    return "\(grouped(counts.reduce(0, +) / rounds)) on average, "
      + "\(grouped(counts.min() ?? 0)) to \(grouped(counts.max() ?? 0)) in the first \(rounds)"
      + " rounds (the cohorts of this seed)"
  }

  /// Coordinates of the head.
  private var headCount: Int {
    prepared.layout.segments.reduce(0) { sum, segment in
      segment.kind == .headWeight || segment.kind == .headBias ? sum + segment.range.count : sum
    }
  }

  /// Floats of the base matrices that factors are merged into; 0 where they are not.
  private var mergedCount: Int {
    guard plan.method.aggregation.mergesFactors else { return 0 }
    return prepared.layout.adaptedPlaces.reduce(0) { sum, place in
      let size = prepared.model.configuration.size(of: place.role)
      return sum + size.inputs * size.outputs
    }
  }

  /// Values of the stack of the first cohort.
  private var stackCount: Int {
    let loraRank = prepared.layout.lora.loraRank
    let width = (length - headCount) / loraRank
    return plan.participants(round: 0, population: prepared.partition.clientCount)
      .filter { $0.fate == .used }
      .reduce(0) { sum, participant in
        let tier = plan.method.tier(of: participant.client, seed: plan.seed)
        let tiers = plan.method.tiers
        return sum + width * (tiers.isEmpty ? loraRank : tiers[tier].loraRank ?? loraRank)
      }
  }

  var messages: String {
    let dense = message(count: length).total
    var rows = [["message", "round", "density", "coordinates", "bytes", "less than dense"]]
    var selections = [("download", plan.method.download), ("upload", plan.method.upload)]
    if plan.method.aggregation.mergesFactors {
      // New factors are drawn by their client; the head travels, and what the last cohort sent.
      selections.removeFirst()
      for (round, count) in [(0, headCount), (1, headCount + stackCount)] {
        let bytes = 4 * count + VectorCodec.headerBytes * (1 + round)
        rows.append([
          "download", "\(round)", share(count), grouped(count), byteText(bytes),
          fixed(Double(dense) / Double(bytes), 2) + "x",
        ])
      }
    }
    for (name, selection) in selections {
      var counts: [Int] = []
      for round in [0, plan.rounds - 1] {
        let received = plan.method.download.count(length: length, round: round)
        let count = selection.count(length: length, round: round, downloaded: received)
        if counts.contains(count) { continue }
        counts.append(count)
        let size = message(count: count)
        rows.append([
          name, "\(round)", share(count), grouped(count),
          byteText(size.total), fixed(Double(dense) / Double(max(1, size.total)), 2) + "x",
        ])
      }
    }
    rows.append([
      isFull ? "all weights" : "dense LoRA", "", "1", grouped(length), byteText(dense), "1.00x",
    ])
    return "\npayload of one client\n" + alignedText(rows, indent: "  ")
      + "  bytes: of messages encoded with coordinates drawn at random; those of a run differ by"
      + " about a percent\n"
  }

  /// A count of coordinates as a share of all, to four digits.
  private func share(_ count: Int) -> String {
    short((Double(count) / Double(max(1, length)) * 10_000).rounded() / 10_000)
  }

  /// The size of a message of so many coordinates at random places.
  private func message(count: Int) -> PayloadSize {
    var stream = RandomStream(seed: 0, purpose: .selection)
    let places = count == length ? Array(0..<length) : stream.sample(count, of: length)
    let vector = [Float](repeating: 1, count: length)
    return vector.withUnsafeBufferPointer { buffer in
      let mask = SupportMask(length: length, indices: places.map { UInt32($0) })
      return VectorCodec.encode(SparseVector(gathering: buffer, at: mask)).size
    }
  }

  var memory: String {
    let capacity = prepared.capacity(experiment)
    let own = RankMemory(
      prepared, capacity: capacity, threads: experiment.compute.threads,
      localMoments: plan.local.optimizer.momentCount)
    let vector = 4 * length
    let longest = plan.method.upload.count(
      length: length, round: 0,
      downloaded: plan.method.download.count(length: length, round: 0))
    let cohort = plan.participants(round: 0, population: prepared.partition.clientCount)
      .count { $0.fate == .used }
    let uploads = ((cohort + ranks - 1) / ranks) * message(count: longest).total
    // Vector, moments, pseudo-gradient, exact sum; one upload as received and as decoded.
    let server =
      (2 + plan.server.momentCount) * vector + 8 * length + message(count: longest).total
      + 8 * longest + 8 * mergedCount
    let rank = own.total + uploads
    // Mapped as stored; what is not F32 is widened besides, in shared memory.
    let weights = prepared.model.storedBytes + 4 * prepared.widenedCount
    // The new matrices are written while the old ones are there, for a moment on each node; rank 0 has
    // them in its state besides.
    let merged = 8 * mergedCount
    // Where uploads may be summed by host, the words that its ranks share.
    let sums = plan.uploads == .auto || plan.uploads.addsUp
    let sum = ranks > 1 && sums && !plan.method.aggregation.needsEach ? 8 * length : 0
    let node = weights + merged + ranksPerNode * rank + server + sum
    return "\nmemory, \(ranks) rank\(ranks == 1 ? "" : "s"), \(ranksPerNode) a node\n"
      + alignedText(
        [
          ["part", "bytes", "of"],
          ["base weights", byteText(weights), "a node, shared by its ranks"],
        ]
          + (merged == 0
            ? [] : [["merged weights", byteText(merged), "a node: old and new, at a merge"]]) + [
            [
              "activations", byteText(own.activations),
              "a rank: micro-batches of \(capacity) tokens",
            ],
            [
              "vectors", byteText(own.vectors),
              "a rank: start, trained, moments, gradients" + (isFull ? ", weights" : ""),
            ],
            ["uploads", byteText(uploads), "a rank: its clients' encoded messages"],
            ["program", byteText(own.program), "a rank: libraries, MPI, tokens (measured once)"],
            ["server", byteText(server), "rank 0: vector, moments, exact sum, one upload"],
            ["host's sum", byteText(sum), "a node: exact words to which its ranks add uploads"],
            ["rank", byteText(rank), "sum of a rank"],
            ["first node", byteText(node), "sum of the node with rank 0"],
          ], indent: "  ")
      + "  bytes: private memory, from the buffers that a run allocates for these shapes\n"
  }
}
