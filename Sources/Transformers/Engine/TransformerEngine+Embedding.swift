// The way into the blocks: token vectors, with learned positions, token type 0 and their norm where
// the model has them; and back, where the embeddings are trained.
//
//   x = norm(scale * token[t] + position[p] + type[0]);  each row of dx is added to the rows that it
//   came from
//
// Images: TransformerEngine+Images.swift.

internal import Kernels

extension TransformerEngine {
  /// Writes the first block's input, (T, C).
  func embed(into out: MutableFloats) {
    if let image = weights.imageEmbedding { return embed(image, into: out) }
    sumEmbeddings(into: out)
    if let norm = weights.embeddingNorm {
      normForward(
        norm, out: scratch.normalized, mean: scratch.mean, rstd: scratch.rstd, input: out,
        tokens: batch.tokenCount)
      out.update(from: scratch.normalized, count: batch.tokenCount * configuration.channels)
    }
  }

  /// Adds the gradients of the embeddings and their norm; `scratch.dStream` holds that of the first
  /// block's input, and is used up.
  func embedBackward(_ gradients: WeightGradients) {
    if let image = weights.imageEmbedding { return embedBackward(image, gradients) }
    guard let tokenEmbedding = weights.tokenEmbedding else { return }
    let channels = configuration.channels
    let dSum = scratch.dStream
    if let norm = weights.embeddingNorm {
      let sum = scratch.dStreamAll
      sumEmbeddings(into: sum)
      normForward(
        norm, out: scratch.normalized, mean: scratch.mean, rstd: scratch.rstd, input: sum,
        tokens: batch.tokenCount)
      normBackward(
        norm, dInput: dSum, dOut: dSum, input: sum, mean: scratch.mean, rstd: scratch.rstd,
        tokens: batch.tokenCount, .overwrite)
    }
    let offset = configuration.learnedPositionOffset ?? 0
    let dTokens = gradients.place(of: tokenEmbedding)
    for (row, token) in batch.tokens.enumerated() {
      let dRow = dSum + row * channels
      scale(dRow, by: configuration.embeddingScale, count: channels)
      add(dTokens + Int(token) * channels, dRow, count: channels)
      if let positions = weights.positionEmbedding {
        add(
          gradients.place(of: positions) + (offset + Int(batch.positions[row])) * channels, dRow,
          count: channels)
      }
    }
    if let kind = weights.tokenTypeEmbedding {
      biasGradient(
        dBias: gradients.place(of: kind), dOut: dSum, tokens: batch.tokenCount,
        channels: channels)
    }
  }

  private func sumEmbeddings(into out: MutableFloats) {
    guard let tokenEmbedding = weights.tokenEmbedding else { return }
    let (channels, offset) = (configuration.channels, configuration.learnedPositionOffset ?? 0)
    for (row, token) in batch.tokens.enumerated() {
      precondition(
        token >= 0 && Int(token) < configuration.vocabularySize,
        "token \(token) outside a vocabulary of \(configuration.vocabularySize)")
      let target = out + row * channels
      target.update(from: tokenEmbedding + Int(token) * channels, count: channels)
      scale(target, by: configuration.embeddingScale, count: channels)
      if let positions = weights.positionEmbedding {
        add(target, positions + (offset + Int(batch.positions[row])) * channels, count: channels)
      }
      if let kind = weights.tokenTypeEmbedding { add(target, kind, count: channels) }
    }
  }
}
