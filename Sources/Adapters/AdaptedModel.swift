// A transformer with a head, frozen with LoRA or trained itself: loss, gradient and logits of packed
// micro-batches as a function of the trainable vector.

public import Kernels
public import RandomStreams
public import Transformers

/// What a model said of one sequence.
public struct SequenceOutcome: Sendable, Equatable {
  /// Sum of the losses of the counted items: the sequence itself, or its predicted tokens.
  public var loss: Double
  /// Items predicted right.
  public var correct: Int
  /// Items counted: 1, or length - 1 for language modelling.
  public var count: Int
  /// The predicted label (classification).
  public var predicted: Int32
}

/// One model, its adapter and its head on one thread; memory is allocated once.
///
/// The model keeps no parameters: every call takes the trainable vector (`layout.parameterCount`). With
/// full fine-tuning that vector is the weights, and the pretrained model only says their shapes.
public final class AdaptedModel {
  /// The pretrained model; only one of the same configuration can take its place.
  public var model: PretrainedModel { didSet { engine.model = model } }
  /// Order of the trainable vector.
  public let layout: TrainableLayout
  /// Most tokens of a micro-batch.
  public let capacity: Int

  let adapter: LoRAAdapter?
  let engine: TransformerEngine
  let buffers: HeadBuffers
  var configuration: ModelConfiguration { model.configuration }

  /// A model for micro-batches up to `capacity` tokens of sequences up to `longestSequence`.
  public init(
    model: PretrainedModel, layout: TrainableLayout, capacity: Int, longestSequence: Int
  ) {
    self.model = model
    self.layout = layout
    self.capacity = capacity
    adapter =
      switch layout.adaptation {
      case .lora: LoRAAdapter(layout: layout, capacity: capacity)
      case .full: nil
      }
    engine = TransformerEngine(
      model: model, capacity: capacity, longestSequence: longestSequence, adapter: adapter)
    buffers = HeadBuffers(
      configuration: model.configuration, task: layout.task, capacity: capacity)
  }

  /// Bytes that one model allocates beside the weights: activations, LoRA's h, the head's buffers.
  public static func bufferBytes(
    configuration: ModelConfiguration, layout: TrainableLayout, capacity: Int,
    longestSequence: Int
  ) -> Int {
    TransformerEngine.arenaBytes(
      configuration: configuration, capacity: capacity, longestSequence: longestSequence)
      + (layout.adaptation == .full
        ? 0 : LoRAAdapter.bufferBytes(layout: layout, capacity: capacity))
      + HeadBuffers.byteCount(
        configuration: configuration, task: layout.task, capacity: capacity)
  }

  /// Whether gradients go back through the blocks; without, only the head's are complete.
  public var trainsAdapter = true

  /// Adds d(`lossScale` * sum of the items' losses) / d(parameters) to `gradient`.
  ///
  /// - Parameters:
  ///   - labels: one for each sequence (classification), or empty.
  ///   - lossScale: 1 / items of the whole batch gives the mean's gradient over its micro-batches.
  ///   - dropout: key of the masks, or nil for none.
  /// - Returns: an outcome for each sequence.
  public func addGradient(
    of batch: PackedSequences, labels: [Int32], parameters: Floats, gradient: MutableFloats,
    lossScale: Float, dropout: RandomKey? = nil
  ) -> [SequenceOutcome] {
    place(parameters, gradient: gradient, dropout: dropout)
    engine.forward(batch, rows: rows, keep: true, hidden: buffers.hidden)
    let outcomes: [SequenceOutcome]
    switch layout.task {
    case .classification(_, let pooling):
      outcomes = classify(
        batch, labels: labels, pooling: pooling, parameters: parameters, gradient: gradient,
        lossScale: lossScale)
    case .languageModelling:
      outcomes = predictNext(batch, lossScale: lossScale)
    }
    if trainsAdapter { engine.backward(dHidden: buffers.dHidden) }
    return outcomes
  }

  /// Losses and predictions of a micro-batch, without dropout.
  public func evaluate(_ batch: PackedSequences, labels: [Int32], parameters: Floats)
    -> [SequenceOutcome]
  {
    runForward(batch, parameters: parameters)
    switch layout.task {
    case .classification(_, let pooling):
      return classify(
        batch, labels: labels, pooling: pooling, parameters: parameters, gradient: nil,
        lossScale: 0)
    case .languageModelling:
      return predictNext(batch, lossScale: nil)
    }
  }

  /// The logits of a micro-batch: (sequences, labels), or (tokens, V) for language modelling.
  public func logits(_ batch: PackedSequences, parameters: Floats) -> [Float] {
    runForward(batch, parameters: parameters)
    switch layout.task {
    case .classification(let labels, let pooling):
      pool(batch, pooling)
      computeLabelLogits(count: batch.count, labels: labels, parameters: parameters)
      return Array(
        UnsafeBufferPointer(start: buffers.logits, count: batch.count * labels))
    case .languageModelling:
      return vocabularyLogits(batch)
    }
  }

  private func runForward(_ batch: PackedSequences, parameters: Floats) {
    place(parameters, gradient: nil, dropout: nil)
    engine.forward(batch, rows: rows, keep: false, hidden: buffers.hidden)
  }

  /// Says where this pass's parameters are, and where their gradient goes.
  private func place(_ parameters: Floats, gradient: MutableFloats?, dropout: RandomKey?) {
    if let adapter {
      adapter.parameters = parameters
      adapter.gradient = gradient
      adapter.dropoutKey = layout.lora.dropout > 0 ? dropout : nil
    }
    if let base = layout.base {
      engine.weights = base.weights(in: parameters)
      engine.gradients = gradient.map { WeightGradients(parameters: parameters, gradient: $0) }
    }
  }

  /// The tokens whose hidden states the task needs.
  private var rows: OutputRows {
    switch layout.task {
    case .classification(_, .first): .first
    case .classification(_, .last): .last
    case .classification(_, .mean), .languageModelling: .all
    }
  }
}

/// Buffers between the last block and the loss.
final class HeadBuffers {
  /// Rows of the vocabulary's logits that exist at a time.
  static let logitRows = 64

  /// Hidden states, (T', C), and their gradient.
  let hidden: MutableFloats
  let dHidden: MutableFloats
  /// The vector of each sequence that the head reads, (sequences, C), or a transform of T' rows.
  let pooled: MutableFloats
  let dPooled: MutableFloats
  /// Before the activation of the pooler or the transform, (T', C).
  let before: MutableFloats
  let mean: MutableFloats
  let rstd: MutableFloats
  let logits: MutableFloats
  let losses: MutableFloats
  let predictions: UnsafeMutablePointer<Int32>

  init(configuration: ModelConfiguration, task: TrainingTask, capacity: Int) {
    let wide = capacity * configuration.channels
    hidden = .allocate(capacity: wide)
    dHidden = .allocate(capacity: wide)
    pooled = .allocate(capacity: wide)
    dPooled = .allocate(capacity: wide)
    before = .allocate(capacity: wide)
    mean = .allocate(capacity: capacity)
    rstd = .allocate(capacity: capacity)
    logits = .allocate(
      capacity: Self.logitCount(configuration: configuration, task: task, capacity: capacity))
    losses = .allocate(capacity: capacity)
    predictions = .allocate(capacity: capacity)
  }

  deinit {
    for buffer in [hidden, dHidden, pooled, dPooled, before, mean, rstd, logits, losses] {
      buffer.deallocate()
    }
    predictions.deallocate()
  }

  static func logitCount(configuration: ModelConfiguration, task: TrainingTask, capacity: Int)
    -> Int
  {
    switch task {
    case .classification(let labels, _): capacity * labels
    case .languageModelling: logitRows * configuration.vocabularySize
    }
  }

  static func byteCount(configuration: ModelConfiguration, task: TrainingTask, capacity: Int)
    -> Int
  {
    let logits = logitCount(configuration: configuration, task: task, capacity: capacity)
    return (5 * capacity * configuration.channels + 4 * capacity + logits) * 4
  }
}
