// Causal language modelling: the loss of each next token, over chunks of rows.
//
// A chunk holds the logits of 64 tokens over the whole vocabulary: softmax, loss and gradient are
// done at once and nothing is computed twice, and the (tokens, V) matrix never exists. (Chunks of
// columns would bound the memory as well, but need the product a second time for the gradient.)

internal import Kernels
internal import Transformers

extension AdaptedModel {
  private var head: LanguageHeadWeights {
    guard let head = engine.weights.languageHead else {
      preconditionFailure("the model has no language modelling head")
    }
    return head
  }

  /// Losses of all next tokens; with `lossScale`, also `buffers.dHidden`.
  func predictNext(_ batch: PackedSequences, lossScale: Float?) -> [SequenceOutcome] {
    let tokens = batch.tokenCount
    let vocabulary = configuration.vocabularySize
    let channels = configuration.channels
    var targets = [Int32](repeating: -1, count: tokens)
    for index in 0..<batch.count {
      let range = batch.offsets[index]..<batch.offsets[index + 1]
      for token in range.dropLast() { targets[token] = batch.tokens[token + 1] }
    }
    let input = transformForward(tokens: tokens)
    let dInput = head.transform == nil ? buffers.dHidden : buffers.dPooled
    for first in stride(from: 0, to: tokens, by: HeadBuffers.logitRows) {
      let rows = min(HeadBuffers.logitRows, tokens - first)
      engineLinear(
        head.output, output: buffers.logits, input: input + first * channels, tokens: rows)
      targets.withUnsafeBufferPointer {
        crossEntropy(
          logits: buffers.logits, targets: $0.baseAddress! + first,
          losses: buffers.losses + first, predictions: buffers.predictions + first, rows: rows,
          columns: vocabulary, gradientScale: lossScale)
      }
      if lossScale != nil {
        engine.gradients?.add(
          head.output, dOutput: buffers.logits, input: input + first * channels, tokens: rows)
        linearBackwardInput(
          dInput: dInput + first * channels, dOutput: buffers.logits, weight: head.output.weight,
          tokens: rows, inputs: channels, outputs: vocabulary)
      }
    }
    if lossScale != nil { transformBackward(tokens: tokens) }
    return (0..<batch.count).map { index in
      var outcome = SequenceOutcome(loss: 0, correct: 0, count: 0, predicted: -1)
      for token in batch.offsets[index]..<batch.offsets[index + 1] - 1 {
        outcome.loss += Double(buffers.losses[token])
        outcome.correct += buffers.predictions[token] == targets[token] ? 1 : 0
        outcome.count += 1
      }
      return outcome
    }
  }

  /// All logits, (tokens, V): for tests and tools on short texts only.
  func vocabularyLogits(_ batch: PackedSequences) -> [Float] {
    let vocabulary = configuration.vocabularySize
    let tokens = batch.tokenCount
    let input = transformForward(tokens: tokens)
    return [Float](unsafeUninitializedCapacity: tokens * vocabulary) { out, count in
      engineLinear(head.output, output: out.baseAddress!, input: input, tokens: tokens)
      count = tokens * vocabulary
    }
  }

  /// BERT: norm(f(dense(hidden))) in `buffers.pooled`; Llama: the hidden states themselves.
  private func transformForward(tokens: Int) -> Floats {
    guard let transform = head.transform, let norm = head.transformNorm else {
      return Floats(buffers.hidden)
    }
    let channels = configuration.channels
    engineLinear(transform, output: buffers.before, input: buffers.hidden, tokens: tokens)
    adapter?.forward(
      .languageHead, layer: 0, input: buffers.hidden, tokens: tokens, outputs: [buffers.before],
      .add)
    activationForward(
      out: buffers.dPooled, input: buffers.before, count: tokens * channels,
      configuration.activation)
    layerNormForward(
      out: buffers.pooled, mean: buffers.mean, rstd: buffers.rstd, input: buffers.dPooled,
      weight: norm.weight, bias: norm.bias!, tokens: tokens, channels: channels,
      epsilon: configuration.normEpsilon)
    return Floats(buffers.pooled)
  }

  /// Takes the gradient in `buffers.dPooled` back to `buffers.dHidden`.
  private func transformBackward(tokens: Int) {
    guard let transform = head.transform, let norm = head.transformNorm else { return }
    let channels = configuration.channels
    let count = tokens * channels
    // The norm's input is recomputed where its output was.
    activationForward(
      out: buffers.pooled, input: buffers.before, count: count, configuration.activation)
    engine.gradients?.add(
      norm, dOut: buffers.dPooled, input: buffers.pooled, mean: buffers.mean, rstd: buffers.rstd,
      tokens: tokens, channels: channels)
    layerNormBackward(
      dInput: buffers.dPooled, dOut: buffers.dPooled, input: buffers.pooled, weight: norm.weight,
      mean: buffers.mean, rstd: buffers.rstd, tokens: tokens, channels: channels, .overwrite)
    activationBackward(
      dInput: buffers.dPooled, dOut: buffers.dPooled, input: buffers.before, count: count,
      configuration.activation)
    engine.gradients?.add(
      transform, dOutput: buffers.dPooled, input: buffers.hidden, tokens: tokens)
    let isAdapted = adapter?.isAdapted(.languageHead, layer: 0) == true
    if let adapter, isAdapted {
      adapter.backward(
        .languageHead, layer: 0, input: buffers.hidden, tokens: tokens,
        dOutputs: [Floats(buffers.dPooled)], dInput: buffers.dHidden)
    }
    linearBackwardInput(
      dInput: buffers.dHidden, dOutput: buffers.dPooled, weight: transform.weight, tokens: tokens,
      inputs: channels, outputs: channels, isAdapted ? .add : .overwrite)
  }
}
