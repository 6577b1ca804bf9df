// Forward and backward of a transformer over one packed micro-batch: frozen with an adapter's
// additions, or with gradients of its own weights. The blocks' code stands side by side in
// `TransformerEngine+Attention.swift` and `TransformerEngine+FeedForward.swift`; this file is the way
// through them and back.

public import Kernels

/// Runs one transformer over micro-batches of at most `capacity` tokens, in memory allocated once.
///
/// Not Sendable: one engine belongs to one thread.
public final class TransformerEngine {
  /// The pretrained model; only one of the same configuration can take its place.
  public var model: PretrainedModel { didSet { weights = model.weights } }
  /// What it computes with: the pretrained model's frozen weights unless told otherwise.
  public var weights: ModelWeights
  /// Where the gradients of `weights` go; nil where they are frozen.
  public var gradients: WeightGradients?
  /// Most tokens of a micro-batch.
  public let capacity: Int
  /// Longest sequence.
  public let longestSequence: Int
  /// What is added to linear layers, or nil for the base model alone.
  public let adapter: (any LinearAdapter)?

  let configuration: ModelConfiguration
  private let plan: BufferPlan
  private let buffers: EngineBuffers
  var scratch: Scratch { buffers.scratch }
  /// Tables of the different rotations, and which of them each block has.
  private let rotaryTables: [RotaryTable]
  private let rotaryTable: [Int?]

  var batch = PackedSequences()
  var rows = OutputRows.all
  var isKept = false
  /// Spans of attention, for all queries and for the output rows only.
  var spans: [AttentionSpan] = []
  var outputSpans: [AttentionSpan] = []

  /// An engine for micro-batches up to `capacity` tokens.
  ///
  /// - Parameter longestSequence: at most `capacity`, and at most the model's positions.
  public convenience init(
    model: PretrainedModel, capacity: Int, longestSequence: Int, adapter: (any LinearAdapter)?
  ) {
    self.init(
      model: model, capacity: capacity, longestSequence: longestSequence, adapter: adapter,
      device: nil)
  }

  /// An engine whose buffers are memory of `device`, or of the host.
  package init(
    model: PretrainedModel, capacity: Int, longestSequence: Int, adapter: (any LinearAdapter)?,
    device: (any KernelDevice)?
  ) {
    let configuration = model.configuration
    precondition(
      longestSequence <= configuration.maximumPositions && longestSequence <= capacity,
      "sequences of \(longestSequence) tokens, but \(configuration.maximumPositions) positions and "
        + "a micro-batch of \(capacity)")
    self.model = model
    weights = model.weights
    self.configuration = configuration
    self.capacity = capacity
    self.longestSequence = longestSequence
    self.adapter = adapter
    func take(_ plan: BufferPlan) -> EngineBuffers {
      EngineBuffers(
        plan, tokens: capacity, longest: longestSequence, configuration: configuration,
        isOnDevice: device != nil)
    }
    plan = BufferPlan(on: device) { _ = take($0) }
    buffers = take(plan)
    var kinds: [RotaryConfiguration] = []
    for case let rotary? in configuration.attention.map(\.rotary) where !kinds.contains(rotary) {
      kinds.append(rotary)
    }
    rotaryTables = kinds.map {
      RotaryTable(
        $0, positions: longestSequence, headSize: configuration.headSize, device: device)
    }
    rotaryTable = configuration.attention.map { $0.rotary.flatMap(kinds.firstIndex(of:)) }
  }

  /// Bytes that an engine of this size allocates.
  public static func bufferBytes(
    configuration: ModelConfiguration, capacity: Int, longestSequence: Int,
    isOnDevice: Bool = false
  ) -> Int {
    4
      * BufferPlan.count {
        _ = EngineBuffers(
          $0, tokens: capacity, longest: longestSequence, configuration: configuration,
          isOnDevice: isOnDevice)
      }.aligned
  }

  /// Number of output rows of `batch`, T'.
  static func outputCount(_ batch: PackedSequences, _ rows: OutputRows) -> Int {
    rows == .all ? batch.tokenCount : batch.count
  }

  /// Runs `batch` and writes the hidden states of `rows`, after the final norm, to `hidden` (T', C).
  ///
  /// - Parameter keep: keeps what `backward` needs; otherwise two blocks' memory is used in turn.
  public func forward(
    _ batch: PackedSequences, rows: OutputRows, keep: Bool, hidden: MutableFloats
  ) {
    precondition(batch.tokenCount <= capacity, "\(batch.tokenCount) tokens over \(capacity)")
    self.batch = batch
    self.rows = rows
    isKept = keep
    makeSpans()
    embed(into: buffers.slots[0].input)
    let last = configuration.layerCount - 1
    for layer in 0...last {
      let output = layer == last ? buffers.final : slot(layer + 1).input
      attentionForward(layer: layer)
      feedForwardForward(layer: layer, output: output)
    }
    let count = Self.outputCount(batch, rows)
    if let norm = weights.finalNorm {
      normForward(
        norm, out: hidden, mean: buffers.finalMean, rstd: buffers.finalRstd, input: buffers.final,
        tokens: count)
    } else {
      copy(buffers.final, to: hidden, count: count * configuration.channels)
    }
  }

  /// Goes back from `dHidden` (T', C) as far as anything is trained: to the embeddings with
  /// `gradients`, else to the lowest adapted layer; and tells the adapter.
  /// - Precondition: the last `forward` kept its activations.
  public func backward(dHidden: Floats) {
    precondition(isKept, "the forward pass kept nothing to go back from")
    let lowest = gradients == nil ? lowestAdapted() : nil
    guard gradients != nil || lowest != nil else { return }
    let count = Self.outputCount(batch, rows)
    if let norm = weights.finalNorm {
      normBackward(
        norm, dInput: scratch.dStream, dOut: dHidden, input: buffers.final,
        mean: buffers.finalMean, rstd: buffers.finalRstd, tokens: count, .overwrite)
    } else {
      copy(dHidden, to: scratch.dStream, count: count * configuration.channels)
    }
    for layer in stride(from: configuration.layerCount - 1, through: lowest?.layer ?? 0, by: -1) {
      let stop = layer == lowest?.layer ? lowest?.group : nil
      if feedForwardBackward(layer: layer, stopAt: stop) { return }
      attentionBackward(layer: layer, stopAt: stop)
    }
    if let gradients { embedBackward(gradients) }
  }

  // MARK: - Parts of both directions

  func slot(_ layer: Int) -> BlockActivations { buffers.slots[isKept ? layer : layer % 2] }

  /// Output rows of a block, T in all blocks but the last.
  func rowCount(_ layer: Int) -> Int {
    layer == configuration.layerCount - 1
      ? Self.outputCount(batch, rows) : batch.tokenCount
  }

  func attentionSpans(_ layer: Int) -> [AttentionSpan] {
    layer == configuration.layerCount - 1 ? outputSpans : spans
  }

  /// The row of the input that each output row of a block belongs to, T'.
  func selectedRows(_ layer: Int) -> [Int32] {
    attentionSpans(layer).flatMap { span in
      (0..<span.queryCount).map { Int32(span.start + span.queryStart + $0) }
    }
  }

  func rotate(_ x: MutableFloats, heads: Int, layer: Int, _ direction: RotaryDirection) {
    guard let table = rotaryTable[layer].map({ rotaryTables[$0] }) else { return }
    rotary(
      x, cosines: table.cosines.values, sines: table.sines.values, rows: table.rows(of: batch),
      tokens: batch.tokenCount, heads: heads, headSize: configuration.headSize,
      rotated: table.channels, direction)
  }

  /// The outputs of a group's layers, adapter and bias included, one buffer for each of its roles.
  func forward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, outputs: [MutableFloats],
    _ accumulation: Accumulation
  ) {
    adapter?.forward(
      group, layer: layer, input: input, tokens: tokens, outputs: outputs, accumulation)
    for (role, output) in zip(configuration.roles(of: group), outputs) {
      let linear = weights.blocks[layer][role]
      let isWritten = adapter?.writesOutput(of: role, layer: layer) == true
      linear.weight.forward(
        output: output, input: input, tokens: tokens, isWritten ? .add : accumulation)
      if let bias = linear.bias {
        addBias(output, bias: bias, tokens: tokens, channels: linear.outputs)
      }
    }
  }

  /// Whether the backward pass needs the input of a group: something in it is trained.
  func needsInput(of group: LinearGroup, layer: Int) -> Bool {
    gradients != nil || adapter?.isAdapted(group, layer: layer) == true
  }

  /// The gradients of what is trained in a group and, where given, `dInput` of its layers together.
  ///
  /// `input` is not formed if nothing in the group is trained; `layer` is ignored for groups after
  /// the blocks.
  package func backward(
    _ group: LinearGroup, layer: Int, input: @autoclosure () -> Floats, tokens: Int,
    dOutputs: [Floats], dInput: MutableFloats?
  ) {
    var accumulation = Accumulation.overwrite
    if let adapter, adapter.isAdapted(group, layer: layer) {
      adapter.backward(
        group, layer: layer, input: input(), tokens: tokens, dOutputs: dOutputs, dInput: dInput)
      accumulation = .add
    }
    if let gradients {
      let input = input()
      for (role, dOutput) in zip(configuration.roles(of: group), dOutputs) {
        gradients.add(
          weights.linear(role, layer: layer), dOutput: dOutput, input: input, tokens: tokens)
      }
    }
    guard let dInput else { return }
    for (role, dOutput) in zip(configuration.roles(of: group), dOutputs) {
      let linear = weights.linear(role, layer: layer)
      linear.weight.backwardInput(
        dInput: dInput, dOutput: dOutput, tokens: tokens, accumulation)
      accumulation = .add
    }
  }

  private func makeSpans() {
    spans.removeAll(keepingCapacity: true)
    outputSpans.removeAll(keepingCapacity: true)
    for index in 0..<batch.count {
      let start = batch.offsets[index]
      let length = batch.length(of: index)
      precondition(length <= longestSequence, "\(length) tokens over \(longestSequence)")
      let all = AttentionSpan(
        start: start, length: length, queryStart: 0, queryCount: length, outputStart: start)
      spans.append(all)
      switch rows {
      case .all: outputSpans.append(all)
      case .first, .last:
        outputSpans.append(
          AttentionSpan(
            start: start, length: length, queryStart: rows == .first ? 0 : length - 1,
            queryCount: 1, outputStart: index))
      }
    }
  }

  /// The first adapted group in forward order: nothing below it needs a gradient.
  private func lowestAdapted() -> (layer: Int, group: LinearGroup)? {
    guard let adapter else { return nil }
    for layer in 0..<configuration.layerCount {
      for group in LinearGroup.inBlock where adapter.isAdapted(group, layer: layer) {
        return (layer, group)
      }
    }
    return nil
  }
}
