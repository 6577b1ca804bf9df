// Sequence classification: pooling, the pooler with its adapter, the trained head, cross-entropy.
//
//   pooled = hidden[first], hidden[last] or mean(hidden); BERT: pooled = tanh(pooler(pooled))
//   logits = pooled W^T + b

internal import Kernels
internal import Transformers

extension AdaptedModel {
  /// Whether the pooled vector goes through the model's pooler.
  private func usesPooler(_ pooling: Pooling) -> Bool {
    pooling == .first && engine.weights.pooler != nil
  }

  /// Fills `buffers.pooled` (sequences, C) from `buffers.hidden`.
  func pool(_ batch: PackedSequences, _ pooling: Pooling) {
    let channels = configuration.channels
    let target = usesPooler(pooling) ? buffers.dPooled : buffers.pooled
    if pooling == .mean {
      for index in 0..<batch.count {
        let row = target + index * channels
        row.update(repeating: 0, count: channels)
        for token in batch.offsets[index]..<batch.offsets[index + 1] {
          add(row, buffers.hidden + token * channels, count: channels)
        }
        let factor = 1 / Float(batch.length(of: index))
        for channel in 0..<channels { row[channel] *= factor }
      }
    } else {
      target.update(from: buffers.hidden, count: batch.count * channels)
    }
    guard usesPooler(pooling), let pooler = engine.weights.pooler else { return }
    engineLinear(pooler, output: buffers.before, input: target, tokens: batch.count)
    adapter?.forward(
      .pooler, layer: 0, input: target, tokens: batch.count, outputs: [buffers.before], .add)
    activationForward(
      out: buffers.pooled, input: buffers.before, count: batch.count * channels, .tanh)
  }

  /// Fills `buffers.logits` (count, labels) from `buffers.pooled`.
  func computeLabelLogits(count: Int, labels: Int, parameters: Floats) {
    guard let head = layout.head else { preconditionFailure("classification without a head") }
    linearForward(
      output: buffers.logits, input: buffers.pooled,
      weight: parameters + head.weight.range.lowerBound, tokens: count,
      inputs: configuration.channels, outputs: labels)
    if let bias = head.bias {
      addBias(
        buffers.logits, bias: parameters + bias.range.lowerBound, tokens: count, channels: labels)
    }
  }

  /// Losses of a batch; with `gradient`, also the head's gradients and `buffers.dHidden`.
  func classify(
    _ batch: PackedSequences, labels: [Int32], pooling: Pooling, parameters: Floats,
    gradient: MutableFloats?, lossScale: Float
  ) -> [SequenceOutcome] {
    guard case .classification(let labelCount, _) = layout.task, let head = layout.head else {
      preconditionFailure("the task is not classification")
    }
    precondition(
      labels.count == batch.count, "\(labels.count) labels for \(batch.count) sequences")
    let count = batch.count
    pool(batch, pooling)
    computeLabelLogits(count: count, labels: labelCount, parameters: parameters)
    labels.withUnsafeBufferPointer {
      crossEntropy(
        logits: buffers.logits, targets: $0.baseAddress!, losses: buffers.losses,
        predictions: buffers.predictions, rows: count, columns: labelCount,
        gradientScale: gradient == nil ? nil : lossScale)
    }
    if let gradient {
      classifyBackward(
        batch, pooling: pooling, labels: labelCount, head: head, parameters: parameters,
        gradient: gradient)
    }
    return (0..<count).map { index in
      SequenceOutcome(
        loss: Double(buffers.losses[index]),
        correct: buffers.predictions[index] == labels[index] ? 1 : 0, count: 1,
        predicted: buffers.predictions[index])
    }
  }

  private func classifyBackward(
    _ batch: PackedSequences, pooling: Pooling, labels: Int,
    head: (weight: TrainableSegment, bias: TrainableSegment?), parameters: Floats,
    gradient: MutableFloats
  ) {
    let count = batch.count
    let channels = configuration.channels
    linearBackwardWeight(
      dWeight: gradient + head.weight.range.lowerBound, dOutput: buffers.logits,
      input: buffers.pooled, tokens: count, inputs: channels, outputs: labels)
    if let bias = head.bias {
      biasGradient(
        dBias: gradient + bias.range.lowerBound, dOut: buffers.logits, tokens: count,
        channels: labels)
    }
    let isPooled = usesPooler(pooling)
    // `dPooled` holds the pooler's input, which its adapter still needs: `pooled` is free by now.
    let dPooled = isPooled ? buffers.pooled : buffers.dPooled
    linearBackwardInput(
      dInput: dPooled, dOutput: buffers.logits,
      weight: parameters + head.weight.range.lowerBound, tokens: count, inputs: channels,
      outputs: labels)
    if isPooled, let pooler = engine.weights.pooler {
      activationBackward(
        dInput: dPooled, dOut: dPooled, input: buffers.before, count: count * channels, .tanh)
      engine.gradients?.add(
        pooler, dOutput: Floats(dPooled), input: buffers.dPooled, tokens: count)
      let isAdapted = adapter?.isAdapted(.pooler, layer: 0) == true
      if let adapter, isAdapted {
        adapter.backward(
          .pooler, layer: 0, input: buffers.dPooled, tokens: count, dOutputs: [Floats(dPooled)],
          dInput: buffers.dHidden)
      }
      linearBackwardInput(
        dInput: buffers.dHidden, dOutput: dPooled, weight: pooler.weight, tokens: count,
        inputs: channels, outputs: channels, isAdapted ? .add : .overwrite)
    } else if pooling == .mean {
      for index in 0..<count {
        let factor = 1 / Float(batch.length(of: index))
        for token in batch.offsets[index]..<batch.offsets[index + 1] {
          for channel in 0..<channels {
            buffers.dHidden[token * channels + channel] =
              dPooled[index * channels + channel] * factor
          }
        }
      }
    } else {
      buffers.dHidden.update(from: dPooled, count: count * channels)
    }
  }

  /// A linear layer of the model with its bias.
  func engineLinear(_ linear: LinearWeights, output: MutableFloats, input: Floats, tokens: Int) {
    linearForward(
      output: output, input: input, weight: linear.weight, tokens: tokens, inputs: linear.inputs,
      outputs: linear.outputs)
    if let bias = linear.bias {
      addBias(output, bias: bias, tokens: tokens, channels: linear.outputs)
    }
  }
}
