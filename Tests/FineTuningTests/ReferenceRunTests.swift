// Whole federated runs against an independent PyTorch and PEFT program
// (Tests/Goldens/federation/reference_run.py): after each round the trainable vector agrees to
// 1e-4, and every kept index set, of the download and of each client's upload, is identical.

import Adapters
import Communication
import Corpora
import Federation
import FineTuning
import Foundation
import Safetensors
import Sparsity
import TestSupport
import Testing
import Transformers

/// A golden run: what was run, and what PyTorch found.
struct ReferenceRun {
  static let root = goldenPath("federation")
  static let names: [String] = (try! FileManager.default.contentsOfDirectory(atPath: root))
    .filter { FileManager.default.fileExists(atPath: "\(root)/\($0)/golden.safetensors") }.sorted()

  let golden: SafetensorsFile
  let plan: FederationPlan
  let partition: Partition
  let cohorts: [[Int]]
  let initial: [Float]
  let task: any Task
  let layout: TrainableLayout
  /// What is trained, where that is not the whole layout, and the rest.
  private let part: (support: SupportMask, frozen: [Float])?
  /// Whether all weights are trained.
  private let isFull: Bool
  private let model: PretrainedModel
  private let corpus: TokenCorpus
  private let maximumLength: Int

  init(_ name: String) throws {
    let directory = "\(Self.root)/\(name)"
    func json(_ file: String) throws -> Any {
      try JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(file).json")))
    }
    golden = try SafetensorsFile(path: directory + "/golden.safetensors")
    model = try PretrainedModel(directory: directory + "/model")
    corpus = try TokenCorpus(directory: directory + "/corpus")
    let text = try json("plan") as! [String: Any]
    maximumLength = text["max_length"] as! Int
    let clients = try json("partition") as! [[Int]]
    partition = try Partition(checking: clients, exampleCount: corpus.train.count)
    cohorts = try json("cohorts") as! [[Int]]
    task =
      text["task"] as! String == "classification"
      ? Classification(
        labels: text["label_count"] as! Int, pooling: model.configuration.pooling)
      : LanguageModelling()
    let adapter = directory + "/initial_adapter"
    isFull = (text["method"] as! [String: Any])["adapter"] as? String == "full"
    layout = try TrainableLayout(
      model: model,
      adaptation: isFull ? .full : .lora(try AdapterDirectory.configuration(at: adapter)),
      task: task)
    let whole =
      isFull
      ? try Self.fullStart(layout, directory) : try AdapterDirectory.read(adapter, layout: layout)
    let indices: [UInt32]? =
      switch (text["method"] as! [String: Any])["frozen"] as? String {
      case "lora_a": layout.coordinates { if case .loraA = $0 { false } else { true } }
      case "both": layout.coordinates { $0 == .headWeight || $0 == .headBias }
      default: nil
      }
    part = indices.map { (SupportMask(length: whole.count, indices: $0), whole) }
    initial = indices?.map { whole[Int($0)] } ?? whole
    plan = Self.plan(text, cohorts: cohorts)
  }

  /// Zeros, which are the pretrained weights, and the head.
  private static func fullStart(_ layout: TrainableLayout, _ directory: String) throws -> [Float] {
    let head = try SafetensorsFile(path: directory + "/initial_head.safetensors")
    var vector = [Float](repeating: 0, count: layout.parameterCount)
    for segment in layout.segments where segment.kind != .base {
      try vector.withUnsafeMutableBufferPointer {
        try head.readFloats(
          named: segment.name, into: UnsafeMutableBufferPointer(rebasing: $0[segment.range]))
      }
    }
    return vector
  }

  private static func plan(_ text: [String: Any], cohorts: [[Int]]) -> FederationPlan {
    func number(_ map: [String: Any], _ key: String) -> Double {
      (map[key] as! NSNumber).doubleValue
    }
    let method = text["method"] as! [String: Any]
    func selection(_ direction: String) -> Selection {
      let map = method[direction] as! [String: Any]
      if map["select"] as! String == "all" { return .all }
      if map["select"] as! String == "downloaded" { return .downloaded }
      guard let schedule = map["density"] as? [String: Any] else {
        return .topMagnitude(.constant(number(map, "density")))
      }
      return .topMagnitude(
        .geometric(
          initial: number(schedule, "initial"), factor: number(schedule, "factor"),
          period: schedule["period"] as! Int,
          minimum: schedule["minimum"] == nil ? 0 : number(schedule, "minimum")))
    }
    func choice<Value: RawRepresentable<String>>(_ key: String, _ usual: Value) -> Value {
      (method[key] as? String).map { Value(rawValue: $0)! } ?? usual
    }
    let tiers = (method["tiers"] as? [[String: Any]] ?? []).map { tier in
      Tier(
        loraRank: tier["lora_rank"] as? Int,
        downloadDensity: (tier["download_density"] as? NSNumber)?.doubleValue,
        uploadDensity: (tier["upload_density"] as? NSNumber)?.doubleValue)
    }
    let pruning = (method["rank_pruning"] as? [String: Any]).map {
      RankPruning(factor: number($0, "factor"), penalty: number($0, "penalty"))
    }
    let server = text["server"] as! [String: Any]
    let rate = number(server, "learning_rate")
    let optimizer: ServerOptimizer =
      switch server["optimizer"] as! String {
      case "sgd": .sgd(learningRate: rate)
      case "fed_adam":
        .fedAdam(
          learningRate: rate, beta1: number(server, "beta1"),
          beta2: number(server, "beta2"), tau: number(server, "tau"))
      default:
        .adamW(
          learningRate: rate, beta1: number(server, "beta1"),
          beta2: number(server, "beta2"), epsilon: number(server, "epsilon"),
          weightDecay: number(server, "weight_decay"))
      }
    let local = text["local"] as! [String: Any]
    return FederationPlan(
      rounds: text["rounds"] as! Int, cohort: .file(cohorts),
      weighting: Weighting(rawValue: text["weighting"] as! String)!,
      method: Method(
        download: selection("download"), upload: selection("upload"),
        persistence: choice("persistence", .anew), trained: choice("trainable", .all),
        residual: choice("residual", .dropped),
        aggregation: AggregationRule(named: method["aggregation"] as? String ?? "mean")!,
        tiers: tiers, rankPruning: pruning),
      server: optimizer,
      local: LocalTraining(
        epochs: local["epochs"] as! Int, batchSize: local["batch_size"] as! Int,
        learningRate: Float(number(local, "learning_rate")),
        momentum: Float(number(local, "momentum")), shuffle: false),
      evaluation: EvaluationPlan(every: 1, splits: [.test], maximumExamples: nil),
      seed: 0)
  }

  /// Whether a round's selections depend on nothing but the vector before it.
  var hasIndependentRounds: Bool {
    part == nil && plan.method.tiers.isEmpty && plan.method.residual == .dropped
      && plan.method.persistence == .anew && plan.method.aggregation != .stacked
      && plan.method.rankPruning == nil
  }

  func objective(microBatchTokens: Int = 20, threads: Int = 1) -> any LocalObjective {
    let whole = TransformerObjective(
      models: (0..<threads).map { _ in
        AdaptedModel(
          model: model, layout: layout, task: task, capacity: max(microBatchTokens, maximumLength),
          longestSequence: maximumLength)
      }, corpus: corpus, maximumLength: maximumLength)
    if isFull {
      return DifferenceObjective(
        whole, origin: layout.pretrainedRanges(of: model), owner: model)
    }
    guard let part else { return whole }
    return PartialObjective(whole, part: part.support, frozen: part.frozen)
  }

  /// The label of a test example; nil in language modelling.
  func testLabel(of example: Int) -> Int32? {
    task.labelCount > 0 ? corpus.test.label(of: example) : nil
  }

  func floats(_ name: String) throws -> [Float] {
    var values = [Float](repeating: 0, count: golden[name]!.elementCount)
    try values.withUnsafeMutableBufferPointer { try golden.readFloats(named: name, into: $0) }
    return values
  }

  func indices(_ name: String) throws -> [UInt32] {
    try golden.readIntegers(named: name).map(UInt32.init)
  }
}

@Suite("Federated runs against PyTorch")
struct ReferenceRunTests {
  static let remedy: Comment = "goldens: python Tests/Goldens/federation/make_federation_goldens.py"

  @Test("there are goldens of both families, tasks, all server optimizers and methods")
  func exist() { #expect(ReferenceRun.names.count >= 19, Self.remedy) }

  @Test("the vector after each round, losses and evaluation agree", arguments: ReferenceRun.names)
  func rounds(_ name: String) throws {
    let reference = try ReferenceRun(name)
    #expect(reference.initial == (try reference.floats("initial_vector")))
    for rounds in 1...reference.plan.rounds {
      // A run of so many rounds: its last record and final state are round `rounds - 1`'s.
      var plan = reference.plan
      plan.rounds = rounds
      let run = try FederatedRun(
        plan: plan, partition: reference.partition, objective: reference.objective(),
        initialVector: reference.initial, communicator: SingleProcessCommunicator())
      var last: RoundRecord?
      _ = try run.run(onRound: { last = $0 })
      let t = rounds - 1
      let vector = try #require(run.state?.vector)
      let expected = try reference.floats("round\(t).vector")
      let difference = zip(vector, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
      let largest = expected.reduce(0) { max($0, abs($1)) }
      #expect(difference <= 1e-4 * largest, "round \(t): \(Self.remedy)")
      let record = try #require(last)
      try Self.compareMethods(run, record, reference, t)
      for (client, loss) in zip(record.clients, try reference.floats("round\(t).client_loss")) {
        #expect(abs(Float(try #require(client.loss)) - loss) <= 1e-4 * loss)
      }
      let test = try #require(record.evaluation.first)
      #expect(
        test.correct == (try reference.golden.readIntegers(named: "round\(t).test_correct"))[0])
      let loss = try reference.floats("round\(t).test_loss")[0]
      #expect(abs(Float(try #require(test.loss)) - loss) <= 1e-4 * loss)
      // One label an example: F1 over all of them together is the accuracy.
      #expect((test.f1 == nil) == (test.perplexity != nil))
      if let f1 = test.f1 { #expect(abs(f1.micro - (try #require(test.accuracy))) < 1e-15) }
      try Self.compareConfusion(test, run, reference)
    }
  }

  /// The pairs of label and prediction are those of the examples, evaluated one by one.
  private static func compareConfusion(
    _ record: EvaluationRecord, _ run: FederatedRun, _ reference: ReferenceRun
  ) throws {
    guard record.f1 != nil else { return #expect(record.confusion.isEmpty) }
    #expect(record.confusion.reduce(0) { $0 + $1.count } == record.examples)
    #expect(
      record.confusion.reduce(0) { $0 + ($1.label == $1.predicted ? $1.count : 0) }
        == record.correct)
    let labels = (0..<record.examples).compactMap { reference.testLabel(of: $0).map(Int.init) }
    for (label, examples) in Dictionary(grouping: labels, by: { $0 }) {
      let row = record.confusion.filter { $0.label == label }
      #expect(row.reduce(0) { $0 + $1.count } == examples.count)
    }
  }

  /// What only some methods have: merged base weights, to the element, and the ranks that clients sent.
  private static func compareMethods(
    _ run: FederatedRun, _ record: RoundRecord, _ reference: ReferenceRun, _ t: Int
  ) throws {
    #expect(
      (run.state?.mergedBase.isEmpty == false) == (reference.golden["round\(t).base.0"] != nil))
    var base = (run.state?.mergedBase ?? [])[...]
    for index in 0... {
      guard reference.golden["round\(t).base.\(index)"] != nil else { break }
      let expected = try reference.floats("round\(t).base.\(index)")
      let largest = expected.reduce(0) { max($0, abs($1)) }
      for (found, expected) in zip(base.prefix(expected.count), expected) {
        #expect(abs(found - expected) <= 1e-5 * largest, "round \(t), layer \(index)")
      }
      base = base.dropFirst(expected.count)
    }
    #expect(base.isEmpty)
    if reference.golden["round\(t).client_ranks"] != nil {
      let ranks = try reference.golden.readIntegers(named: "round\(t).client_ranks")
      #expect(record.clients.map(\.loraRank) == ranks.map { Int($0) }, "round \(t)")
    }
  }

  @Test("an example's outcome has its label and a prediction", arguments: ReferenceRun.names)
  func outcomes(_ name: String) throws {
    let reference = try ReferenceRun(name)
    let objective = reference.objective()
    let labels = objective.labelCount
    var outcomes: [Int: ExampleOutcome] = [:]
    try reference.initial.withUnsafeBufferPointer { vector in
      let examples = Array(0..<objective.exampleCount(.test))
      try objective.evaluate(.test, examples: examples, at: vector) { outcomes[$0] = $1 }
    }
    for (example, outcome) in outcomes {
      #expect(outcome.label == reference.testLabel(of: example))
      #expect((outcome.predicted == nil) == (labels == 0))
      guard let label = outcome.label, let predicted = outcome.predicted else { continue }
      #expect((0..<labels).contains(Int(label)) && (0..<labels).contains(Int(predicted)))
      #expect(outcome.correct == (label == predicted ? 1 : 0))
    }
    #expect(outcomes.count == objective.exampleCount(.test))
  }

  @Test("the kept index sets of downloads and uploads are identical", arguments: ReferenceRun.names)
  func indices(_ name: String) throws {
    let reference = try ReferenceRun(name)
    guard reference.hasIndependentRounds else { return }
    let objective = reference.objective()
    let trainer = LocalTrainer(objective: objective)
    let plan = reference.plan
    var generator = SystemRandomNumberGenerator()
    for t in 0..<plan.rounds {
      // The server's vector before round t comes from the reference, so that rounds are independent.
      let before =
        t == 0 ? reference.initial : try reference.floats("round\(t - 1).vector")
      let download = before.withUnsafeBufferPointer { vector -> SupportMask in
        let mask = plan.method.download.mask(of: vector, round: t, using: &generator)
        SparseVector(gathering: vector, at: mask).scatter(into: trainer.start)
        return mask
      }
      #expect(
        download.indices == (try reference.indices("round\(t).download_indices")), "round \(t)")
      for (position, client) in reference.cohorts[t].enumerated() {
        let outcome = try trainer.train(
          plan.local, examples: reference.partition.clients[client],
          support: plan.method.trained == .downloaded ? download : nil, round: t, client: client,
          seed: plan.seed)
        let mask = plan.method.upload.mask(
          of: UnsafeBufferPointer(outcome.clientDelta), round: t, downloaded: download,
          using: &generator)
        #expect(
          mask.indices == (try reference.indices("round\(t).upload_indices.\(position)")),
          "round \(t), client \(client)")
      }
    }
  }

  @Test("transformers train to the same bits on any number of threads")
  func threads() throws {
    for name in ["llama_adam_w", "bert_adam_w", "llama_lm", "full_flasc"] {
      let results = try [1, 2, 3, 5].map { threads in
        let reference = try ReferenceRun(name)
        var plan = reference.plan
        plan.rounds = 2
        let run = try FederatedRun(
          plan: plan, partition: reference.partition,
          objective: reference.objective(threads: threads), initialVector: reference.initial,
          communicator: SingleProcessCommunicator())
        var evaluation: [EvaluationRecord] = []
        let digest = try run.run(onRound: { evaluation = $0.evaluation }).digest
        return "\(digest) \(evaluation.map { [$0.loss, $0.accuracy] })"
      }
      #expect(Set(results).count == 1, "\(name): \(results)")
    }
  }

  @Test("transformers train to the same bits on 1, 2, 3 and 8 ranks and with either collective")
  func sameBits() throws {
    for name in ["llama_adam_w", "bert_adam_w", "llama_lm", "full_dense"] {
      var digests: Set<String> = []
      var evaluations: Set<String> = []
      for uploads in UploadCollective.allCases {
        for size in [1, 2, 3, 8] {
          let results = try ThreadCommunicators.run(size: size) { communicator in
            let reference = try ReferenceRun(name)
            var plan = reference.plan
            plan.uploads = uploads
            plan.rounds = 2
            let run = try FederatedRun(
              plan: plan, partition: reference.partition, objective: reference.objective(),
              initialVector: reference.initial, communicator: communicator)
            var lines: [String] = []
            let final = try run.run(onRound: { record in
              lines.append(
                "\(record.trainLoss ?? .nan) \(record.evaluation.map { [$0.loss, $0.accuracy] })")
            })
            return (final.digest, lines.joined(separator: ";"))
          }
          digests.insert(results[0].0)
          evaluations.insert(results[0].1)
        }
      }
      #expect(digests.count == 1, "\(name)")
      #expect(evaluations.count == 1, "\(name)")
    }
  }
}
