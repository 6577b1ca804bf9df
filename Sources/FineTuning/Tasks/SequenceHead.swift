// The head of tasks over whole sequences: pooling, the pooler with its adapter, the trained product.
//
//   pooled = hidden[first], hidden[last] or mean(hidden)
//   pooler: pooled = f(pooler(pooled)), frozen with an adapter, and its norm (BERT: tanh, no norm)
//   dense: pooled = f(pooled D^T + d), trained as a part of the head (RoBERTa: tanh)
//   logits = pooled W^T + b

package import Adapters
internal import Kernels
package import Transformers

/// A task over whole sequences: `SequenceHead` with a loss. Every model can do it.
package protocol SequenceTask: Task {
  /// The head.
  var output: SequenceHead { get }
}

extension SequenceTask {
  /// The pooled token, or all tokens of a mean.
  package var rows: OutputRows { output.rows }

  /// Every model has hidden states.
  package func check(_ model: PretrainedModel) {}

  /// A row for each sequence.
  package func logitCount(configuration: ModelConfiguration, capacity: Int) -> Int {
    capacity * output.outputs
  }

  /// The outputs of each sequence, (sequences, outputs).
  package func logits(_ batch: PackedSequences, _ pass: HeadPass) -> [Float] {
    output.logits(batch, pass)
  }
}

/// From hidden states to (sequences, outputs) and back; a task adds its loss.
package struct SequenceHead: Sendable {
  /// The number of outputs of a sequence.
  package let outputs: Int
  /// The hidden state that stands for a sequence.
  package let pooling: Pooling

  /// The pooled token, or all tokens of a mean.
  package var rows: OutputRows {
    switch pooling {
    case .first: .first
    case .last: .last
    case .mean: .all
    }
  }

  /// A new head; in PEFT `SEQ_CLS`, whose heads are called `classifier` or `score`.
  package func taskHead(problemType: String) -> TaskHead {
    TaskHead(
      pooling: pooling, usesLanguageHead: false, labels: outputs, peftTask: "SEQ_CLS",
      peftModules: ["classifier", "score"], problemType: problemType)
  }

  /// Writes the outputs of each sequence, (sequences, outputs), to `buffers.logits`.
  package func forward(_ batch: PackedSequences, _ pass: HeadPass) {
    pool(batch, pass)
    computeLogits(count: batch.count, pass)
  }

  /// The outputs of each sequence, (sequences, outputs).
  package func logits(_ batch: PackedSequences, _ pass: HeadPass) -> [Float] {
    forward(batch, pass)
    return values(at: pass.buffers.logits, count: batch.count * outputs)
  }

  /// The pooler; nil if the pooled vector does not go through one.
  private func pooler(_ pass: HeadPass) -> LinearWeights? {
    pass.configuration.hasPooler(after: pooling) ? pass.weights.pooler : nil
  }

  private func head(_ pass: HeadPass) -> HeadSegments {
    guard let head = pass.layout.head else {
      preconditionFailure("a task over sequences without a head")
    }
    return head
  }

  /// Fills `buffers.pooled` (sequences, C) from `buffers.hidden`.
  private func pool(_ batch: PackedSequences, _ pass: HeadPass) {
    let (buffers, channels) = (pass.buffers, pass.configuration.channels)
    let (pooler, dense) = (pooler(pass), head(pass).dense)
    let target = pooler == nil && dense == nil ? buffers.pooled : buffers.dPooled
    if pooling == .mean {
      meanRows(target, of: buffers.hidden, offsets: batch.offsets, channels: channels)
    } else {
      copy(buffers.hidden, to: target, count: batch.count * channels)
    }
    let activation: Activation
    if let pooler, let names = pass.configuration.names.pooler {
      activation = names.activation
      pass.linear(
        pooler, of: .pooler, output: buffers.before, input: target, tokens: batch.count)
    } else if let dense {
      activation = pass.configuration.names.classificationHead.activation
      linearForward(
        output: buffers.before, input: target,
        weight: pass.parameters + dense.weight.range.lowerBound, tokens: batch.count,
        inputs: channels, outputs: channels)
      addBias(
        buffers.before, bias: pass.parameters + dense.bias.range.lowerBound, tokens: batch.count,
        channels: channels)
    } else {
      return
    }
    let norm = pooler == nil ? nil : pass.weights.poolerNorm
    activationForward(
      out: norm == nil ? buffers.pooled : buffers.dHidden, input: buffers.before,
      count: batch.count * channels, activation)
    if let norm {
      pass.engine.normForward(
        norm, out: buffers.pooled, mean: buffers.mean, rstd: buffers.rstd, input: buffers.dHidden,
        tokens: batch.count)
    }
  }

  /// Fills `buffers.logits` (count, labels) from `buffers.pooled`.
  private func computeLogits(count: Int, _ pass: HeadPass) {
    let head = head(pass)
    linearForward(
      output: pass.buffers.logits, input: pass.buffers.pooled,
      weight: pass.parameters + head.weight.range.lowerBound, tokens: count,
      inputs: pass.configuration.channels, outputs: outputs)
    if let bias = head.bias {
      addBias(
        pass.buffers.logits, bias: pass.parameters + bias.range.lowerBound, tokens: count,
        channels: outputs)
    }
  }

  /// Goes back from the gradient of the outputs, in `buffers.logits`, if the pass has a gradient.
  package func backward(_ batch: PackedSequences, _ pass: HeadPass) {
    guard let gradient = pass.gradient else { return }
    let (buffers, channels, count) = (pass.buffers, pass.configuration.channels, batch.count)
    let head = head(pass)
    linearBackwardWeight(
      dWeight: gradient + head.weight.range.lowerBound, dOutput: buffers.logits,
      input: buffers.pooled, tokens: count, inputs: channels, outputs: outputs)
    if let bias = head.bias {
      biasGradient(
        dBias: gradient + bias.range.lowerBound, dOut: buffers.logits, tokens: count,
        channels: outputs)
    }
    let isPooled = pooler(pass) != nil
    // `dPooled` holds the input of the pooler or the dense layer, which is still needed: `pooled` is
    // free by now.
    let dPooled = isPooled || head.dense != nil ? buffers.pooled : buffers.dPooled
    linearBackwardInput(
      dInput: dPooled, dOutput: buffers.logits,
      weight: pass.parameters + head.weight.range.lowerBound, tokens: count, inputs: channels,
      outputs: outputs)
    if isPooled {
      poolerBackward(batch, dPooled, pass)
    } else if let dense = head.dense {
      activationBackward(
        dInput: dPooled, dOut: dPooled, input: buffers.before, count: count * channels,
        pass.configuration.names.classificationHead.activation)
      backward(dense, dOutput: dPooled, count: count, gradient, pass)
      spread(buffers.before, batch, to: buffers.dHidden, channels: channels)
    } else {
      spread(dPooled, batch, to: buffers.dHidden, channels: channels)
    }
  }

  /// Takes the gradient of the pooler's result to that of the hidden states.
  private func poolerBackward(
    _ batch: PackedSequences, _ dPooled: MutableFloats, _ pass: HeadPass
  ) {
    let (buffers, channels, count) = (pass.buffers, pass.configuration.channels, batch.count)
    guard let activation = pass.configuration.names.pooler?.activation else { return }
    if let norm = pass.weights.poolerNorm {
      // The norm's input is recomputed.
      activationForward(
        out: buffers.dHidden, input: buffers.before, count: count * channels, activation)
      pass.engine.normBackward(
        norm, dInput: dPooled, dOut: dPooled, input: buffers.dHidden, mean: buffers.mean,
        rstd: buffers.rstd, tokens: count, .overwrite)
    }
    activationBackward(
      dInput: dPooled, dOut: dPooled, input: buffers.before, count: count * channels, activation)
    pass.engine.backward(
      .pooler, layer: 0, input: Floats(buffers.dPooled), tokens: count,
      dOutputs: [Floats(dPooled)], dInput: buffers.before)
    spread(buffers.before, batch, to: buffers.dHidden, channels: channels)
  }

  /// Adds the gradients of the head's dense layer, and writes that of its input to `buffers.before`.
  private func backward(
    _ dense: HeadSegments.Dense, dOutput: MutableFloats, count: Int, _ gradient: MutableFloats,
    _ pass: HeadPass
  ) {
    let (buffers, channels) = (pass.buffers, pass.configuration.channels)
    linearBackwardWeight(
      dWeight: gradient + dense.weight.range.lowerBound, dOutput: dOutput,
      input: buffers.dPooled, tokens: count, inputs: channels, outputs: channels)
    biasGradient(
      dBias: gradient + dense.bias.range.lowerBound, dOut: dOutput, tokens: count,
      channels: channels)
    linearBackwardInput(
      dInput: buffers.before, dOutput: dOutput,
      weight: pass.parameters + dense.weight.range.lowerBound, tokens: count, inputs: channels,
      outputs: channels)
  }

  /// Writes the gradient of the hidden states, of which `dVector` (sequences, C) is that of the
  /// pooled ones.
  private func spread(
    _ dVector: MutableFloats, _ batch: PackedSequences, to dHidden: MutableFloats, channels: Int
  ) {
    guard pooling == .mean else {
      copy(dVector, to: dHidden, count: batch.count * channels)
      return
    }
    spreadRows(dHidden, of: dVector, offsets: batch.offsets, channels: channels)
  }
}
