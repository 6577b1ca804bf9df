// The real objective: a transformer, with an adapter or trained itself, on a token corpus.
//
// A batch is cut into micro-batches of bounded tokens in the order of its examples. Each has a
// gradient of its own, on one of the rank's threads; the gradients are added in the order of the
// micro-batches. The cut and the order depend on the examples and the bound alone, so a client's
// update has the same bits wherever it is computed, and on any number of threads.

public import Adapters
public import Corpora
internal import Dispatch
internal import Kernels
internal import Transformers

/// Mean cross-entropy of a transformer, with LoRA or trained itself, over examples of a token corpus.
public final class TransformerObjective: LocalObjective {
  private let workers: [Worker]
  private let corpus: TokenCorpus
  private let maximumLength: Int
  private var onProgress: () -> Void = {}
  private var layout: TrainableLayout { workers[0].model.layout }
  /// The model as it was given, of which base matrices are replaced.
  private let base: PretrainedModel

  /// An objective over `corpus`, whose examples are cut to `maximumLength` tokens.
  ///
  /// - Parameter models: one for each thread, alike; micro-batches are as large as they take.
  /// - Precondition: the corpus has labels where the task is classification, and the models' engines
  ///   take sequences of `maximumLength`.
  public init(models: [AdaptedModel], corpus: TokenCorpus, maximumLength: Int) {
    precondition(!models.isEmpty, "an objective needs a model")
    workers = models.map(Worker.init)
    base = models[0].model
    self.corpus = corpus
    self.maximumLength = maximumLength
    factors = FactorLayout(models[0].layout)
    precondition(
      !isClassification || corpus.train.hasLabels, "classification needs a corpus with labels")
  }

  /// The length of the trainable vector.
  public var parameterCount: Int { layout.parameterCount }

  /// The number of classes; 0 in language modelling.
  public var labelCount: Int {
    if case .classification(let labels, _) = layout.task { labels } else { 0 }
  }

  /// The adapter's pairs, where there is one.
  public let factors: FactorLayout?

  /// The weights of the adapted layers; nil where they are packed for products in bf16.
  public var baseMatrices: [UnsafePointer<Float>]? {
    let model = workers[0].model.model
    let matrices = layout.adaptedPlaces.compactMap { place -> UnsafePointer<Float>? in
      guard case .fp32(let weight) = model.linear(at: place)?.weight else { return nil }
      return weight
    }
    return matrices.count == layout.adaptedPlaces.count ? matrices : nil
  }

  /// Gives every worker a model with these weights in its adapted layers.
  public func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {
    guard let factors else { preconditionFailure("nothing is adapted") }
    var weights: [LinearPlace: UnsafePointer<Float>] = [:]
    for (place, offset) in zip(layout.adaptedPlaces, factors.baseOffsets) {
      weights[place] = matrices + offset
    }
    let model = base.replacing(weights, owner: owner)
    for worker in workers { worker.model.model = model }
  }

  /// The ends of the adapter's and the head's tensors.
  public var tensorEnds: [Int] { layout.segments.map(\.range.upperBound) }

  /// How many examples a split has.
  public func exampleCount(_ split: Split) -> Int { dataset(split)?.count ?? 0 }

  /// The tokens of an example that are computed.
  public func tokenCount(ofTrainingExample example: Int) -> Int {
    corpus.train.tokenCount(of: example, limit: maximumLength)
  }

  /// The mean loss's gradient over one batch, micro-batch by micro-batch.
  public func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    gradient.update(repeating: 0)
    let items = examples.reduce(0) { $0 + itemCount(corpus.train, $1) }
    let scale = items == 0 ? 0 : 1 / Float(items)
    var sums = LossSums()
    forEachWave(of: microBatches(of: examples, corpus.train)) { worker, index, microBatch in
      worker.addGradient(
        of: microBatch, parameters: parameters, scale: scale,
        dropout: dropout.map { key in
          DropoutKey(
            seed: key.seed, round: key.round, client: key.client, step: key.step,
            microBatch: index)
        })
    } finish: { worker, microBatch in
      add(gradient.baseAddress!, worker.gradient, count: gradient.count)
      for outcome in worker.outcomes {
        sums += LossSums(loss: outcome.loss, correct: outcome.correct, count: outcome.count)
      }
      sums.tokens += microBatch.sequences.tokenCount
    }
    return sums
  }

  /// The outcome of every example.
  public func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    guard let dataset = dataset(split) else {
      preconditionFailure("the corpus has no \(split.rawValue) split")
    }
    try forEachWave(of: microBatches(of: examples, dataset)) { worker, _, microBatch in
      worker.evaluate(microBatch, parameters: parameters)
    } finish: { worker, microBatch in
      for (example, outcome) in zip(microBatch.examples, worker.outcomes) {
        try each(
          example,
          ExampleOutcome(
            loss: outcome.loss, correct: outcome.correct, count: outcome.count,
            predicted: isClassification ? outcome.predicted : nil,
            label: isClassification ? dataset.label(of: example) : nil))
      }
    }
  }

  /// Has `onProgress` called after each micro-batch.
  public func watch(_ onProgress: @escaping () -> Void) { self.onProgress = onProgress }

  private var isClassification: Bool { labelCount > 0 }

  private func dataset(_ split: Split) -> TokenDataset? {
    switch split {
    case .train: corpus.train
    case .validation: corpus.validation
    case .test: corpus.test
    }
  }

  /// Items of an example that its loss averages over: itself, or its predicted tokens.
  private func itemCount(_ dataset: TokenDataset, _ example: Int) -> Int {
    isClassification ? 1 : dataset.tokenCount(of: example, limit: maximumLength) - 1
  }

  /// Examples in order, as many in each micro-batch as fit.
  private func microBatches(of examples: [Int], _ dataset: TokenDataset) -> [MicroBatch] {
    let capacity = workers[0].model.capacity
    var all: [MicroBatch] = []
    var tokens: [Int32] = []
    for example in examples {
      tokens.removeAll(keepingCapacity: true)
      dataset.appendTokens(of: example, limit: maximumLength, to: &tokens)
      if all.isEmpty || all[all.count - 1].sequences.tokenCount + tokens.count > capacity {
        all.append(MicroBatch())
      }
      all[all.count - 1].sequences.append(tokens)
      all[all.count - 1].examples.append(example)
      if isClassification { all[all.count - 1].labels.append(dataset.label(of: example)) }
    }
    return all
  }

  /// Computes as many micro-batches at a time as there are workers, then finishes them in order.
  private func forEachWave(
    of microBatches: [MicroBatch],
    compute: (_ worker: Worker, _ index: Int, _ microBatch: MicroBatch) -> Void,
    finish: (_ worker: Worker, _ microBatch: MicroBatch) throws -> Void
  ) rethrows {
    for first in stride(from: 0, to: microBatches.count, by: workers.count) {
      let count = min(workers.count, microBatches.count - first)
      if count == 1 {
        compute(workers[0], first, microBatches[first])
      } else {
        withoutActuallyEscaping(compute) { compute in
          // Each iteration has a worker of its own, and all end before this returns.
          nonisolated(unsafe) let compute = compute
          DispatchQueue.concurrentPerform(iterations: count) { [workers] index in
            compute(workers[index], first + index, microBatches[first + index])
          }
        }
      }
      for index in 0..<count { try finish(workers[index], microBatches[first + index]) }
      onProgress()
    }
  }
}

/// Examples that are computed at once.
private struct MicroBatch {
  var sequences = PackedSequences()
  var labels: [Int32] = []
  var examples: [Int] = []
}

/// What one thread has to itself: a model's buffers, a gradient, and what it found last.
private final class Worker: @unchecked Sendable {
  let model: AdaptedModel
  let gradient: UnsafeMutablePointer<Float>
  private(set) var outcomes: [SequenceOutcome] = []

  init(model: AdaptedModel) {
    self.model = model
    gradient = .allocate(capacity: model.layout.parameterCount)
  }

  deinit { gradient.deallocate() }

  func addGradient(
    of microBatch: MicroBatch, parameters: UnsafeBufferPointer<Float>, scale: Float,
    dropout: DropoutKey?
  ) {
    gradient.update(repeating: 0, count: model.layout.parameterCount)
    outcomes = model.addGradient(
      of: microBatch.sequences, labels: microBatch.labels, parameters: parameters.baseAddress!,
      gradient: gradient, lossScale: scale, dropout: dropout)
  }

  func evaluate(_ microBatch: MicroBatch, parameters: UnsafeBufferPointer<Float>) {
    outcomes = model.evaluate(
      microBatch.sequences, labels: microBatch.labels, parameters: parameters.baseAddress!)
  }
}

extension FactorLayout {
  /// The pairs of an adapter; nil where nothing is adapted.
  init?(_ layout: TrainableLayout) {
    let pairs = layout.segments.compactMap { a -> Pair? in
      guard case .loraA(let role) = a.kind,
        let b = layout.segments.first(where: { $0.kind == .loraB(role) && $0.layer == a.layer })
      else { return nil }
      return Pair(
        aOffset: a.range.lowerBound, bOffset: b.range.lowerBound, inputs: a.shape[1],
        outputs: b.shape[0])
    }
    guard !pairs.isEmpty else { return nil }
    self.init(
      length: layout.parameterCount, loraRank: layout.lora.loraRank, scale: layout.lora.scale,
      pairs: pairs)
  }
}
