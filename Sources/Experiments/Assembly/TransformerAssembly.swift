// The assembly of a real run: pretrained model, token corpus, partition, LoRA layout, objective.

internal import Adapters
package import Communication
package import Configuration
internal import Corpora
internal import Digests
internal import Federation
internal import Files
internal import FineTuning
internal import Foundation
internal import Kernels
internal import OpenCLDevices
internal import RunFiles
internal import Safetensors
internal import Sparsity
internal import Transformers

/// A model with its corpus and layout: what `run` and `plan` have in common.
struct PreparedModel {
  var model: PretrainedModel
  let corpus: TokenCorpus
  let task: any Task
  let layout: TrainableLayout
  /// The coordinates that are trained; nil for all.
  let part: SupportMask?
  let partition: any Population
  let longestSequence: Int
  /// Floats that the node's ranks share beside the mapped file.
  var widenedCount = 0
  init(
    _ experiment: Experiment, assets: AssetDirectory, model: PretrainedModel
  ) throws {
    self.model = model
    let path = try assets.existing(experiment.data.path, what: "data")
    corpus = try TokenCorpus(
      directory: path, imageTokens: model.configuration.image?.tokenCount ?? 1)
    try Self.check(experiment, model, corpus, path)
    task = try experiment.makeTask(model.configuration, corpus)
    layout = try TrainableLayout(
      model: model, adaptation: experiment.adapter.adaptation, task: task)
    part = try layout.part(without: experiment.adapter.frozen)
    partition = try experiment.makePopulation(of: corpus.train, assets: assets)
    longestSequence = corpus.longest(limit: experiment.data.maximumLength)
  }

  /// The tokens of a micro-batch; a sequence is never cut.
  ///
  /// Where the experiment leaves it open: the largest size that keeps a rank with one thread within
  /// 350 MB, as more rows make products faster; with full fine-tuning without its vectors, which no size
  /// makes smaller. It depends on the model, the adapter and the longest example, not on this machine,
  /// since it decides the order of sums and so the last bits.
  func capacity(_ experiment: Experiment) -> Int {
    if let given = experiment.compute.microBatchTokens { return max(given, longestSequence) }
    // For clients with one moment, whatever theirs keeps: another local optimizer is no reason for
    // other bits elsewhere.
    func memory(_ tokens: Int) -> RankMemory {
      RankMemory(self, capacity: max(tokens, longestSequence), threads: 1, localMoments: 1)
    }
    let fitting =
      switch experiment.adapter.kind {
      case .lora: [512, 384, 256, 192].first { memory($0).total <= 350_000_000 }
      // Each micro-batch goes over all weights' gradients: larger ones do so less often.
      case .full:
        [2048, 1024, 512, 384, 256, 192].first {
          memory($0).total - memory($0).vectors <= 350_000_000
        }
      }
    return max(fitting ?? 128, longestSequence)
  }

  /// The vector that training starts from.
  func initialVector(_ experiment: Experiment, assets: AssetDirectory) throws -> [Float] {
    guard let initial = experiment.adapter.initial else {
      return layout.initialVector(
        model: model, seed: experiment.seed, headRows: labelOrder(experiment)?.rows)
    }
    return try AdapterDirectory.read(assets.resolve(initial), layout: layout)
  }

  /// Weights of all layers that are adapted.
  var adaptedWeightCount: Int {
    layout.adaptedPlaces.reduce(0) { sum, place in
      let module = model.configuration.module(of: place.role)
      return sum + module.inputs * module.outputs
    }
  }

  /// Length of the vector that is trained.
  var trainedCount: Int { part?.count ?? layout.parameterCount }

  /// The labels beside those of the classification head that training starts from; nil where it
  /// starts from another one.
  func labelOrder(_ experiment: Experiment) -> LabelOrder? {
    guard experiment.adapter.initial == nil, let labels = task.head.labels,
      let head = model.classificationHead, head.labels == labels
    else { return nil }
    return LabelOrder(of: corpus.train.labelNames, in: head)
  }

  /// Remarks for the user on the model, its head and the initial adapter.
  func notices(_ experiment: Experiment, assets: AssetDirectory) throws -> [String] {
    let initial = try experiment.adapter.initial.map {
      try AdapterDescription(directory: assets.resolve($0)).notices
    }
    return model.notices + (initial ?? []) + [headNotice(experiment)].compactMap { $0 }
  }

  /// Says which head training starts from, where the model brings one.
  private func headNotice(_ experiment: Experiment) -> String? {
    if let order = labelOrder(experiment) { return order.notice }
    guard experiment.adapter.initial == nil, let labels = task.head.labels,
      let head = model.classificationHead
    else { return nil }
    return
      "the model's own classification head of \(head.labels) labels is not used, for the corpus has"
      + " \(labels); training starts from a new one"
  }

  private static func check(
    _ experiment: Experiment, _ model: PretrainedModel, _ corpus: TokenCorpus, _ path: String
  ) throws {
    try corpus.requireImages(of: model.configuration)
    try corpus.requireTokens(of: model.configuration)
    try experiment.requireWholeImages(of: model.configuration)
    let tokenizer = model.directory + "/tokenizer.json"
    if let expected = corpus.train.tokenizerHash, let bytes = try contentsIfThere(of: tokenizer) {
      let found = SHA256.hexDigits(of: bytes)
      guard found == expected.lowercased() else {
        throw CommandFailure(
          ExitCode.data,
          "\(path) was made with another tokenizer than \(tokenizer): SHA-256 \(expected.prefix(12))..."
            + ", found \(found.prefix(12))...; prepare the corpus for this model")
      }
    }
    if let cut = corpus.train.cutLength, experiment.data.maximumLength > cut {
      throw CommandFailure(
        ExitCode.usage,
        "data.max_length: \(path) was cut to \(cut) tokens when it was prepared, so "
          + "\(experiment.data.maximumLength) would have no effect; give at most \(cut), or prepare it anew"
          + " with --length \(experiment.data.maximumLength)")
    }
    for split in experiment.evaluation.splits
    where split == .validation && corpus.validation == nil {
      throw CommandFailure(
        ExitCode.usage, "evaluation.splits: \(path) has no split \(split.rawValue)")
    }
    let kind = experiment.task.kind
    for (name, split) in corpus.namedSplits {
      guard split.longest(limit: experiment.data.maximumLength) >= kind.leastTokens else {
        throw CommandFailure(
          ExitCode.usage,
          "task.kind: \(kind.rawValue) needs examples of at least \(kind.leastTokens) tokens, but split"
            + " \(name) in \(path) has none (data.max_length: \(experiment.data.maximumLength))"
        )
      }
    }
    let longest = corpus.longest(limit: experiment.data.maximumLength)
    // A cut answer would count as a whole one.
    let uncut = [.answer, .choice].contains(kind.targets) ? corpus.longest(limit: .max) : longest
    guard uncut == longest else {
      throw CommandFailure(
        ExitCode.usage,
        "data.max_length: \(path) has examples of up to \(uncut) tokens, whose"
          + " answers cannot be cut; give at least that, or prepare it anew with a smaller --length"
      )
    }
    guard longest <= model.configuration.maximumPositions else {
      throw CommandFailure(
        ExitCode.usage,
        "data.max_length: \(experiment.data.maximumLength) is more than the model's"
          + " \(model.configuration.maximumPositions) positions")
    }
  }
}

extension TrainableLayout {
  /// The coordinates that are trained with something frozen; nil for all.
  func part(without frozen: Experiment.AdapterSection.Frozen) throws -> SupportMask? {
    let indices: [UInt32]
    switch frozen {
    case .none: return nil
    case .loraA: indices = coordinates { if case .loraA = $0 { false } else { true } }
    case .both:
      indices = coordinates { $0.isOfHead }
      guard !indices.isEmpty else {
        throw CommandFailure(
          ExitCode.usage,
          "adapter.frozen: both leaves nothing to train: language modelling has no head of its own")
      }
    }
    return SupportMask(length: parameterCount, indices: indices)
  }
}

extension Experiment {
  /// The task, with the labels of the corpus; no corpus is needed for a task without labels.
  func makeTask(_ configuration: ModelConfiguration, _ corpus: TokenCorpus?) throws -> any Task {
    switch task.kind.targets {
    case .none: break
    case .label: try corpus?.requireLabels()
    case .labelSet: try corpus?.requireLabelSets()
    case .score: try corpus?.requireScores()
    case .answer: try corpus?.requireAnswers()
    case .choice: try corpus?.requireChoices()
    }
    let pooling: Pooling =
      switch task.pooling {
      case .auto: configuration.pooling
      case .first: .first
      case .last: .last
      case .mean: .mean
      }
    let labels =
      task.kind.targets == .labelSet ? corpus?.train.labelSetWidth : corpus?.labelCount
    return task.kind.make(TaskKind.Request(labels: labels ?? 0, pooling: pooling))
  }
}

extension PreparedModel {
  /// The objective over the whole trainable vector, with one engine for each thread or for the
  /// device.
  func objective(
    _ experiment: Experiment, device: OpenCLDevice?
  ) -> TransformerObjective {
    TransformerObjective(
      models: (0..<experiment.compute.threads).map { _ in
        AdaptedModel(
          model: model, layout: layout, task: task, capacity: capacity(experiment),
          longestSequence: longestSequence, firstTrained: Int(part?.indices.first ?? 0),
          device: device)
      }, corpus: corpus, maximumLength: experiment.data.maximumLength)
  }
}

/// The assembly of a real run.
package func assembleTransformer(
  _ experiment: Experiment, assets: AssetDirectory, communicator: any Communicator
) throws -> Assembly {
  let directory = try communicator.agreed {
    try assets.existing(experiment.model.path, what: "model")
  }
  let (model, warning) = try communicator.openModel(directory, experiment)
  let shared = try communicator.agreed { () -> PreparedModel in
    try model.checkFinite(part: communicator.rank, of: communicator.size)
    return try PreparedModel(experiment, assets: assets, model: model)
  }
  return try communicator.agreed {
    let layout = shared.layout
    let configuration = shared.model.configuration
    let (device, deviceNotice) = try shared.openDevice(experiment, place: communicator.node)
    let whole = shared.objective(experiment, device: device)
    OpenDevices.hasBegun = device != nil
    // What is frozen is needed on every rank, the start of what is trained on rank 0 alone.
    let part = shared.part
    let start =
      part != nil || communicator.rank == 0
      ? try shared.initialVector(experiment, assets: assets) : []
    let notices =
      [warning, deviceNotice, experiment.numberingNotice(shared.corpus.train)].compactMap { $0 }
      + (try shared.notices(experiment, assets: assets))
    func writePartition(to path: String) throws {
      // Again after a resume: it is a function of the experiment, and may be an earlier version's.
      _ = try writePopulation(
        shared.partition, of: shared.corpus.train, limit: experiment.data.maximumLength,
        clientsAtMost: 2000, replacing: true, to: path)
    }
    if experiment.adapter.kind == .full {
      let difference = DifferenceObjective(
        whole, origin: layout.pretrainedRanges(of: shared.model), owner: shared.model)
      return Assembly(
        partition: shared.partition, objective: difference, initialVector: start,
        notices: notices, device: device?.description, trainedName: RunDirectory.modelName,
        writePartition: writePartition
      ) { vector, _, path in
        try difference.withWhole(of: vector) { weights in
          try MergedModel.write(
            model: shared.model, layout: layout, vector: Array(weights),
            labelNames: shared.corpus.train.labelNames, to: path)
        }
      }
    }
    let partial = part.map { PartialObjective(whole, part: $0, frozen: start) }
    return Assembly(
      partition: shared.partition, objective: partial ?? whole,
      initialVector: part.map { $0.indices.map { start[Int($0)] } } ?? start, notices: notices,
      device: device?.description, writePartition: writePartition
    ) { vector, mergedBase, path in
      guard mergedBase.isEmpty else {
        return try MergedBase.write(
          base: mergedBase, vector: vector, layout: layout, configuration: configuration, to: path)
      }
      try AdapterDirectory.write(
        partial?.whole(with: vector) ?? vector, layout: layout, configuration: configuration,
        baseModel: directory, to: path)
    }
  }
}

extension Communicator {
  /// The model of a directory, with one copy of its weights on each node: F32 tensors are mapped
  /// from the file, the others are widened by one rank into memory that the node's ranks share.
  ///
  /// - Communication: a few short agreements; and those of `nodeShared` if anything is widened.
  fileprivate func openModel(_ directory: String, _ experiment: Experiment) throws -> (
    PretrainedModel, warning: String?
  ) {
    let precision = experiment.compute.precision
    let packsHead = experiment.task.kind.usesLanguageHead
    func open(_ storage: WidenedStorage? = nil, owner: AnyObject? = nil) throws -> PretrainedModel {
      try PretrainedModel(
        directory: directory, storage: storage, owner: owner, precision: precision,
        packsLanguageHead: packsHead)
    }
    let count = try agreed {
      try PretrainedModel.widenedCount(
        directory: directory, precision: precision, packsLanguageHead: packsHead)
    }
    guard count > 0 else { return (try agreed { try open() }, nil) }
    let memory = try filled(byteCount: count * MemoryLayout<Float>.stride) { bytes in
      let slices = WidenedSlices(
        bytes.assumingMemoryBound(to: Float.self).baseAddress!, isFilled: false)
      _ = try open(slices.take)
    }
    let model = try agreed {
      let slices = WidenedSlices(
        UnsafeMutablePointer(
          mutating: memory.bytes.assumingMemoryBound(to: Float.self).baseAddress!),
        isFilled: true)
      return try open(slices.take, owner: memory)
    }
    return (model, memory.warning)
  }

  /// `nodeShared`, with failures of `fill` as `agreed` has them: one line and one exit code on all
  /// ranks.
  private func filled(byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws
    -> NodeSharedMemory
  {
    do {
      return try nodeShared(byteCount: byteCount) { bytes in
        do { try fill(bytes) } catch {
          throw CommandFailure(ExitCode.code(of: error), "\(error)")
        }
      }
    } catch  where error is CommandFailure || error is RankFailure {
      throw RunFailure(agreed: error, communicator: self)
    }
  }
}
