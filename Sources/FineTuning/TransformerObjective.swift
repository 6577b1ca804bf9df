// The real objective: a transformer, with an adapter or trained itself, on a token corpus.
//
// A batch is cut into micro-batches of bounded tokens in the order of its examples. Each has a
// gradient of its own, on one of the rank's threads; the gradients are added in the order of the
// micro-batches. The cut and the order depend on the examples and the bound alone, so a client's
// update has the same bits wherever it is computed, and on any number of threads.

package import Adapters
package import Corpora
internal import Dispatch
package import Federation
internal import Kernels
package import RandomStreams
internal import Transformers

/// Mean cross-entropy of a transformer, with LoRA or trained itself, over examples of a token
/// corpus.
package final class TransformerObjective: LocalObjective {
  private let workers: [Worker]
  private let corpus: any Examples
  private let maximumLength: Int
  private var onProgress: () -> Void = {}
  private let layout: TrainableLayout
  private let task: any Task
  /// The model as it was given, of which base matrices are replaced.
  private let base: PretrainedModel

  /// An objective over `corpus`, whose examples are cut to `maximumLength` tokens.
  ///
  /// - Parameters:
  ///   - engines: one for each thread, alike; micro-batches are as large as they take.
  ///   - layout: the engines' trainable vector.
  ///   - task: the engines' task.
  /// - Precondition: the corpus has labels if the task has classes, and the engines take sequences of
  ///   `maximumLength`.
  package init(
    engines: [any StepEngine], layout: TrainableLayout, task: any Task, corpus: any Examples,
    maximumLength: Int
  ) {
    precondition(!engines.isEmpty, "an objective needs an engine")
    workers = engines.map { Worker(engine: $0, parameterCount: layout.parameterCount) }
    base = engines[0].model
    self.layout = layout
    self.task = task
    self.corpus = corpus
    self.maximumLength = maximumLength
    factors = FactorLayout(layout)
    precondition(
      type(of: task).kind.targets != .label || corpus.hasLabels,
      "the task needs a corpus with labels")
  }

  /// The objective of CPU engines, which know their layout and their task.
  package convenience init(models: [AdaptedModel], corpus: any Examples, maximumLength: Int) {
    precondition(!models.isEmpty, "an objective needs a model")
    self.init(
      engines: models, layout: models[0].layout, task: models[0].task, corpus: corpus,
      maximumLength: maximumLength)
  }

  /// The length of the trainable vector.
  package var parameterCount: Int { layout.parameterCount }

  /// The number of classes; 0 for a task without classes.
  package var labelCount: Int { task.labelCount }

  /// The adapter's pairs; nil in full fine-tuning.
  package let factors: FactorLayout?

  /// The weights of the adapted layers; nil if they are packed.
  package var baseMatrices: [UnsafePointer<Float>]? {
    let model = workers[0].engine.model
    let matrices = layout.adaptedPlaces.compactMap { model.linear(at: $0)?.weight.floats }
    return matrices.count == layout.adaptedPlaces.count ? matrices : nil
  }

  /// Gives every worker a model with these weights in its adapted layers.
  package func replaceBase(by matrices: UnsafePointer<Float>, owner: AnyObject) {
    guard let factors else { preconditionFailure("nothing is adapted") }
    var weights: [LinearPlace: UnsafePointer<Float>] = [:]
    for (place, offset) in zip(layout.adaptedPlaces, factors.baseOffsets) {
      weights[place] = matrices + offset
    }
    let model = base.replacing(weights, owner: owner)
    for worker in workers { worker.engine.model = model }
  }

  /// The ends of the adapter's and the head's tensors.
  package var tensorEnds: [Int] { layout.segments.map(\.range.upperBound) }

  /// The number of examples of a split; 0 if the corpus lacks it.
  package func exampleCount(_ split: Split) -> Int { corpus.exampleCount(split) }

  /// The tokens of an example that are computed.
  package func tokenCount(ofTrainingExample example: Int) -> Int {
    corpus.tokenCount(of: example, in: .train, limit: maximumLength)
  }

  /// The mean loss's gradient over one batch, micro-batch by micro-batch.
  package func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    gradient.update(repeating: 0)
    let items = examples.reduce(0) { $0 + itemCount(.train, $1) }
    let scale = items == 0 ? 0 : 1 / Float(items)
    var sums = LossSums()
    forEachWave(of: microBatches(of: examples, .train, isTraining: true), .train) {
      worker, index, microBatch in
      worker.addGradient(
        of: microBatch, parameters: parameters, scale: scale,
        dropout: dropout.map { key in
          var key = key
          key.microBatch = index
          return key
        })
    } finish: { worker, microBatch in
      add(gradient.baseAddress!, worker.gradient.baseAddress!, count: gradient.count)
      for outcome in worker.outcomes { sums += outcome }
      sums.tokens += microBatch.sequences.tokenCount
    }
    return sums
  }

  /// The outcome of every example.
  package func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    try forEachWave(of: microBatches(of: examples, split, isTraining: false), split) {
      worker, _, microBatch in
      worker.evaluate(microBatch, parameters: parameters)
    } finish: { worker, microBatch in
      for (example, outcome) in zip(microBatch.examples, worker.outcomes) {
        try each(example, outcome)
      }
    }
  }

  /// Has `onProgress` called after each micro-batch.
  package func watch(_ onProgress: @escaping () -> Void) { self.onProgress = onProgress }

  /// Items of an example that its training loss averages over.
  private func itemCount(_ split: Split, _ example: Int) -> Int {
    guard targets != .choice else {
      return sequences(of: example, in: split, isTraining: true).reduce(0) { sum, sequence in
        sum
          + task.itemCount(
            tokens: sequence.tokens.count, isAnswer: { sequence.isCounted ?? [] })
      }
    }
    return task.itemCount(
      tokens: corpus.tokenCount(of: example, in: split, limit: maximumLength),
      isAnswer: { corpus.isAnswer(of: example, in: split, limit: maximumLength) })
  }

  /// Examples in order, as many in each micro-batch as fit.
  ///
  /// - Parameter isTraining: true if only right choices are computed.
  private func microBatches(
    of examples: [Int], _ split: Split, isTraining: Bool
  ) -> [MicroBatch] {
    let capacity = workers[0].engine.capacity
    var all: [MicroBatch] = []
    for example in examples {
      let sequences = sequences(of: example, in: split, isTraining: isTraining)
      let count = sequences.reduce(0) { $0 + $1.tokens.count }
      if all.isEmpty || all[all.count - 1].sequences.tokenCount + count > capacity {
        all.append(MicroBatch())
      }
      for sequence in sequences {
        all[all.count - 1].sequences.append(
          sequence.tokens, isCounted: sequence.isCounted, targets: sequence.targets)
      }
      all[all.count - 1].examples.append(example)
      if targets == .label {
        all[all.count - 1].labels.append(corpus.label(of: example, in: split))
      }
    }
    return all
  }

  /// A micro-batch as it is computed: images with their patches, which are kept no longer.
  private func filled(_ microBatch: MicroBatch, _ split: Split) -> MicroBatch {
    guard let image = base.configuration.image else { return microBatch }
    var microBatch = microBatch
    for example in microBatch.examples {
      microBatch.sequences.appendPatches {
        corpus.appendPatches(of: example, in: split, size: image.patchSize, to: &$0)
      }
    }
    return microBatch
  }

  /// A sequence of an example.
  private struct ExampleSequence {
    var tokens: ArraySlice<Int32>
    var isCounted: [Bool]?
    var targets: [Float] = []
  }

  /// The sequences of an example: one, or one for each choice.
  private func sequences(
    of example: Int, in split: Split, isTraining: Bool
  ) -> [ExampleSequence] {
    var tokens: [Int32] = []
    corpus.appendTokens(of: example, in: split, limit: maximumLength, to: &tokens)
    let marks =
      targets == .answer || targets == .choice
      ? corpus.isAnswer(of: example, in: split, limit: maximumLength) : nil
    guard targets == .choice, let marks else {
      return [
        ExampleSequence(
          tokens: tokens[...], isCounted: marks, targets: numbers(of: example, in: split))
      ]
    }
    let right = Int(corpus.label(of: example, in: split))
    let choices = corpus.choices(of: example, in: split)
    var found: [ExampleSequence] = []
    var start = 0
    for (index, choice) in choices.enumerated() {
      let range = start..<start + choice.tokens
      start = range.upperBound
      guard !isTraining || index == right else { continue }
      found.append(
        ExampleSequence(
          tokens: tokens[range], isCounted: Array(marks[range]),
          targets: MultipleChoice.targets(
            characters: choice.characters, isRight: index == right,
            isLast: isTraining || index == choices.count - 1)))
    }
    return found
  }

  /// What the task wants of an example.
  private var targets: TaskTargets { type(of: task).kind.targets }

  /// The numbers that the task wants of an example.
  private func numbers(of example: Int, in split: Split) -> [Float] {
    switch targets {
    case .none, .label, .answer, .choice: []
    case .labelSet: corpus.labelSet(of: example, in: split).map { $0 ? 1 : 0 }
    case .score: [corpus.score(of: example, in: split)]
    }
  }

  /// Computes as many micro-batches at a time as there are workers, then finishes them in order.
  private func forEachWave(
    of microBatches: [MicroBatch], _ split: Split,
    compute: (_ worker: Worker, _ index: Int, _ microBatch: MicroBatch) -> Void,
    finish: (_ worker: Worker, _ microBatch: MicroBatch) throws -> Void
  ) rethrows {
    for first in stride(from: 0, to: microBatches.count, by: workers.count) {
      let count = min(workers.count, microBatches.count - first)
      let wave = microBatches[first..<first + count].map { filled($0, split) }
      if count == 1 {
        compute(workers[0], first, wave[0])
      } else {
        withoutActuallyEscaping(compute) { compute in
          // Each iteration has a worker of its own, and all end before this returns.
          nonisolated(unsafe) let compute = compute
          DispatchQueue.concurrentPerform(iterations: count) { [workers] index in
            compute(workers[index], first + index, wave[index])
          }
        }
      }
      for index in 0..<count { try finish(workers[index], wave[index]) }
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

/// One thread's own engine and gradient, and the outcomes of its last micro-batch.
private final class Worker: @unchecked Sendable {
  let engine: any StepEngine
  let gradient: UnsafeMutableBufferPointer<Float>
  private(set) var outcomes: [ExampleOutcome] = []

  init(engine: any StepEngine, parameterCount: Int) {
    self.engine = engine
    gradient = .allocate(capacity: parameterCount)
  }

  deinit { gradient.deallocate() }

  func addGradient(
    of microBatch: MicroBatch, parameters: UnsafeBufferPointer<Float>, scale: Float,
    dropout: RandomKey?
  ) {
    gradient.update(repeating: 0)
    outcomes = engine.addGradient(
      of: microBatch.sequences, labels: microBatch.labels, parameters: parameters.baseAddress!,
      gradient: gradient.baseAddress!, lossScale: scale, dropout: dropout)
  }

  func evaluate(_ microBatch: MicroBatch, parameters: UnsafeBufferPointer<Float>) {
    outcomes = engine.evaluate(
      microBatch.sequences, labels: microBatch.labels, parameters: parameters.baseAddress!)
  }
}
