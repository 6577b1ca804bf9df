// `cellm-mpi plan`: does it fit, and what will travel? Opens model and corpus, makes the partition,
// encodes one message of each size with the real codec, and computes nothing else.

internal import Adapters
package import Configuration
internal import Corpora
internal import Federation
internal import Files
internal import FineTuning
internal import Foundation
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
package func planReport(
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
    directory: directory, precision: loaded.experiment.compute.precision,
    packsLanguageHead: loaded.experiment.task.kind.usesLanguageHead)
  try loaded.source.check(plan.problems(population: prepared.partition.clientCount))
  if let problem = prepared.partition.problem(exampleCount: prepared.corpus.train.count) {
    throw CommandFailure(ExitCode.data, problem)
  }
  let population = prepared.partition.clientCount
  do { plan = try plan.settlingNoise(population: population) } catch {
    throw loaded.source.located(error)
  }
  let privacy = PrivacyReport(plan, population: population)
  try prepared.model.checkFinite()
  let start = try prepared.initialVector(loaded.experiment, assets: assets)
  try loaded.source.check(
    plan.problems(ofStart: start, factors: FactorLayout(prepared.layout)))
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
    + report.sizes + report.populationTable + report.messages.text + (privacy?.table ?? "")
    + report.memory + report.time(start: start) + (written ?? "")
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
  /// The tokens of the first hundred rounds.
  private var roundTokens: [Int] = []

  init(
    experiment: Experiment, plan: FederationPlan, prepared: PreparedModel, ranks: Int,
    ranksPerNode: Int
  ) {
    self.experiment = experiment
    self.plan = plan
    self.prepared = prepared
    self.ranks = ranks
    self.ranksPerNode = ranksPerNode
    let population = population
    roundTokens = (0..<min(plan.rounds, 100)).map { round in
      plan.participants(round: round, population: population.clientCount)
        .filter { $0.fate == .used }
        .reduce(0) { $0 + plan.local.epochs * tokens(of: population.examples(of: $1.client)) }
    }
  }

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

  /// The time of the run, by the rates of this machine.
  func time(start: [Float]) -> String {
    let rates: ComputeRates
    do { rates = try prepared.measuredRates(experiment, start: start) } catch {
      return "\ntime: not estimated, for \(error)\n"
    }
    let clients = plan.participants(round: 0, population: prepared.partition.clientCount).count
    return TimeEstimate(
      roundTokens: Double(roundTokens.reduce(0, +)) / Double(max(roundTokens.count, 1)),
      rounds: plan.rounds, evaluationTokens: evaluationTokens,
      evaluations: plan.evaluation.count(rounds: plan.rounds),
      trainingRanks: min(ranks, max(clients, 1)), ranks: ranks, rates: rates
    ).table
  }

  /// The tokens of one evaluation: splits, and clients by their mean.
  private var evaluationTokens: Double {
    let (limit, evaluation, corpus) = (
      experiment.data.maximumLength, plan.evaluation, prepared.corpus
    )
    let sum = evaluation.splits.reduce(0) { sum, split in
      evaluation.examples(of: split, count: corpus.exampleCount(split), seed: plan.seed)
        .reduce(sum) { $0 + corpus.tokenCount(of: $1, in: split, limit: limit) }
    }
    let views = evaluation.tiers ? 1 + experiment.method.tiers.count : 1
    let all = tokens(of: Array(0..<corpus.train.count))
    let held = evaluation.holdout > 0 ? evaluation.holdout : 1
    let client = Double(all) / Double(max(1, population.clientCount)) * held
    return Double(evaluation.vectors.count)
      * (Double(views * sum) + 2 * Double(evaluation.clients) * client)
  }

  /// Exact where cohorts are drawn by the seed or given: the first hundred rounds are looked at.
  private var tokensPerRound: String {
    let (counts, rounds) = (roundTokens, roundTokens.count)
    return "\(grouped(counts.reduce(0, +) / rounds)) on average, "
      + "\(grouped(counts.min() ?? 0)) to \(grouped(counts.max() ?? 0)) in the first \(rounds)"
      + " rounds (the cohorts of this seed)"
  }

  /// Coordinates of the head.
  private var headCount: Int {
    prepared.layout.segments.reduce(0) { sum, segment in
      segment.kind.isOfHead ? sum + segment.range.count : sum
    }
  }

  /// Floats of the base matrices that factors are merged into; 0 where they are not.
  private var mergedCount: Int {
    plan.method.aggregation.kind.factors == .asStack ? prepared.adaptedWeightCount : 0
  }

  var messages: PlanMessages {
    PlanMessages(
      plan: plan, prepared: prepared, headCount: headCount, isFull: isFull)
  }

  /// What a rank needs in a GPU's memory, if one may compute.
  private var deviceRows: [[String]] {
    guard experiment.compute.device != .cpu else { return [] }
    return [
      [
        "device", byteText(prepared.deviceBytes(experiment)),
        "a rank, in its GPU's memory: weights, vector, gradient, activations",
      ]
    ]
  }

  var memory: String {
    let capacity = prepared.capacity(experiment)
    let own = RankMemory(
      prepared, capacity: capacity, threads: experiment.compute.threads,
      localMoments: plan.local.optimizer.momentCount,
      isOnDevice: ![.cpu, .auto].contains(experiment.compute.device))
    let vector = 4 * length
    let messages = messages
    let longest = messages.largestUpload
    let cohort = plan.participants(round: 0, population: prepared.partition.clientCount)
      .count { $0.fate == .used }
    let uploads = ((cohort + ranks - 1) / ranks) * longest.size.total
    // Vector, moments, pseudo-gradient, exact sum; one upload as received and as decoded.
    let server =
      (2 + plan.server.momentCount) * vector + 8 * length + longest.size.total
      + 8 * longest.count + 8 * mergedCount
    let rank = own.total + uploads
    // Mapped as stored; what is not F32 is widened besides, in shared memory.
    let weights = prepared.model.storedBytes + 4 * prepared.widenedCount
    // The new matrices are written while the old ones are there, for a moment on each node; rank 0
    // has them in its state besides.
    let merged = 8 * mergedCount
    // Where uploads may be summed by host, the words that its ranks share.
    let sums = plan.uploads == .auto || plan.uploads.addsUp
    let sum = ranks > 1 && sums && plan.method.aggregation.kind.needs == .sum ? 8 * length : 0
    let known = messages.rememberedSupports
    let knownBytes = known.count * known.bytes
    let node = weights + merged + ranksPerNode * rank + server + sum + knownBytes
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
          ] + deviceRows + [
            ["uploads", byteText(uploads), "a rank: its clients' encoded messages"],
            ["program", byteText(own.program), "a rank: libraries, MPI, tokens (measured once)"],
            ["server", byteText(server), "rank 0: vector, moments, exact sum, one upload"],
          ]
          + (known.count == 0
            ? []
            : [
              [
                "downloads known", byteText(knownBytes),
                "rank 0, and each checkpoint: at most \(grouped(known.count)) supports of"
                  + " \(byteText(known.bytes)), one for each client that took part",
              ]
            ]) + [
            ["host's sum", byteText(sum), "a node: exact words to which its ranks add uploads"],
            ["rank", byteText(rank), "sum of a rank"],
            ["first node", byteText(node), "sum of the node with rank 0"],
          ], indent: "  ")
      + "  bytes: private memory, from the buffers that a run allocates for these shapes\n"
  }
}
