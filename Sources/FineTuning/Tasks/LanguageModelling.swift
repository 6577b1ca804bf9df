// Causal language modelling: the loss of each next token, over chunks of rows.
//
// A chunk holds the logits of 128 tokens over the whole vocabulary: softmax, loss and gradient are
// done at once and nothing is computed twice, and the (tokens, V) matrix never exists. (Chunks of
// columns would bound the memory as well, but need the product a second time for the gradient.)

package import Adapters
package import Federation
internal import Kernels
package import Transformers

/// The next token of each token, by the model's own head, which LoRA leaves frozen.
package struct LanguageModelling: Task {
  /// Rows of the vocabulary's logits that exist at a time.
  private static let logitRows = 128

  /// Language modelling, which has no values.
  package init() {}

  /// In experiment files `language_modelling`.
  package static let kind = TaskKind(
    name: "language_modelling", usesLanguageHead: true, leastTokens: 2
  ) { _ in LanguageModelling() }

  /// The model's own head; in PEFT `CAUSAL_LM`.
  package var head: TaskHead {
    TaskHead(
      pooling: nil, usesLanguageHead: true, labels: nil, peftTask: "CAUSAL_LM",
      peftModules: nil)
  }

  /// Every token.
  package var rows: OutputRows { .all }

  /// No classes.
  package var labelCount: Int { 0 }

  /// Checks that the model is causal and has a head.
  package func check(_ model: PretrainedModel) throws {
    guard model.configuration.isCausal else {
      throw ModelError(
        path: model.directory,
        reason:
          "language modelling needs a causal model; this one sees the tokens that it predicts"
          + " (is_decoder is false)")
    }
    guard model.languageHead != nil else {
      throw ModelError(
        path: model.directory, reason: "the model holds no language modelling head")
    }
  }

  /// The tokens that are predicted: all but the first.
  package func itemCount(tokens: Int, isAnswer: () -> [Bool]) -> Int { tokens - 1 }

  /// A chunk of rows.
  package func logitCount(configuration: ModelConfiguration, capacity: Int) -> Int {
    Self.logitRows * configuration.vocabularySize
  }

  /// All logits, (tokens, V): for tests and tools on short texts only.
  package func logits(_ batch: PackedSequences, _ pass: HeadPass) -> [Float] {
    let vocabulary = pass.configuration.vocabularySize
    let tokens = batch.tokenCount
    let input = transformForward(tokens: tokens, pass)
    let channels = pass.configuration.channels
    return stride(from: 0, to: tokens, by: Self.logitRows).flatMap { first in
      let rows = min(Self.logitRows, tokens - first)
      pass.linear(
        head(pass).output, output: pass.buffers.logits, input: input + first * channels,
        tokens: rows)
      return values(at: pass.buffers.logits, count: rows * vocabulary)
    }
  }

  /// Cross-entropy of the next tokens that the batch counts; `labels` are not read.
  package func outcomes(
    _ batch: PackedSequences, labels: [Int32], _ pass: HeadPass
  ) -> [ExampleOutcome] {
    let (buffers, head) = (pass.buffers, head(pass))
    let tokens = batch.tokenCount
    let vocabulary = pass.configuration.vocabularySize
    let channels = pass.configuration.channels
    let goesBack = pass.gradient != nil
    var targets = [Int32](repeating: -1, count: tokens)
    for index in 0..<batch.count {
      let range = batch.offsets[index]..<batch.offsets[index + 1]
      for token in range.dropLast() where batch.isCounted.isEmpty || batch.isCounted[token + 1] {
        targets[token] = batch.tokens[token + 1]
      }
    }
    let input = transformForward(tokens: tokens, pass)
    let dInput = head.transform == nil ? buffers.dHidden : buffers.dPooled
    for first in stride(from: 0, to: tokens, by: Self.logitRows) {
      let rows = min(Self.logitRows, tokens - first)
      pass.linear(
        head.output, output: buffers.logits, input: input + first * channels, tokens: rows)
      targets.withUnsafeBufferPointer {
        crossEntropy(
          logits: buffers.logits, targets: $0.baseAddress! + first,
          losses: buffers.losses + first, predictions: buffers.predictions + first, rows: rows,
          columns: vocabulary, gradientScale: goesBack ? pass.lossScale : nil)
      }
      if goesBack {
        pass.engine.gradients?.add(
          head.output, dOutput: buffers.logits, input: input + first * channels, tokens: rows)
        head.output.weight.backwardInput(
          dInput: dInput + first * channels, dOutput: buffers.logits, tokens: rows, .overwrite)
      }
    }
    if goesBack { transformBackward(tokens: tokens, pass) }
    let losses = values(at: buffers.losses, count: tokens)
    let predictions = integers(at: buffers.predictions, count: tokens)
    return (0..<batch.count).map { index in
      var outcome = ExampleOutcome(loss: 0, correct: 0, count: 0)
      for token in batch.offsets[index]..<batch.offsets[index + 1] - 1 where targets[token] >= 0 {
        outcome.loss += Double(losses[token])
        outcome.correct += predictions[token] == targets[token] ? 1 : 0
        outcome.count += 1
      }
      return outcome
    }
  }

  private func head(_ pass: HeadPass) -> LanguageHeadWeights {
    guard let head = pass.weights.languageHead else {
      preconditionFailure("the model has no language modelling head")
    }
    return head
  }

  /// BERT: norm(f(dense(hidden))) in `buffers.pooled`; Llama: the hidden states themselves.
  private func transformForward(tokens: Int, _ pass: HeadPass) -> Floats {
    let (buffers, configuration) = (pass.buffers, pass.configuration)
    guard let transform = head(pass).transform, let norm = head(pass).transformNorm else {
      return Floats(buffers.hidden)
    }
    let channels = configuration.channels
    pass.linear(
      transform, of: .languageHead, output: buffers.before, input: buffers.hidden, tokens: tokens)
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
  private func transformBackward(tokens: Int, _ pass: HeadPass) {
    let (buffers, configuration) = (pass.buffers, pass.configuration)
    guard let norm = head(pass).transformNorm else { return }
    let channels = configuration.channels
    let count = tokens * channels
    // The norm's input is recomputed in place of its output.
    activationForward(
      out: buffers.pooled, input: buffers.before, count: count, configuration.activation)
    pass.engine.normBackward(
      norm, dInput: buffers.dPooled, dOut: buffers.dPooled, input: buffers.pooled,
      mean: buffers.mean, rstd: buffers.rstd, tokens: tokens, .overwrite)
    activationBackward(
      dInput: buffers.dPooled, dOut: buffers.dPooled, input: buffers.before, count: count,
      configuration.activation)
    pass.engine.backward(
      .languageHead, layer: 0, input: Floats(buffers.hidden), tokens: tokens,
      dOutputs: [Floats(buffers.dPooled)], dInput: buffers.dHidden)
  }
}
