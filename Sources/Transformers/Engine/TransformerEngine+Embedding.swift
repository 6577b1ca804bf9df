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
      copy(scratch.normalized, to: out, count: batch.tokenCount * configuration.channels)
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
    scale(dSum, by: configuration.embeddingScale, count: batch.tokenCount * channels)
    addRows(gradients.place(of: tokenEmbedding), batch.tokens, from: dSum, channels: channels)
    if let positions = weights.positionEmbedding {
      addRows(gradients.place(of: positions), positionRows, from: dSum, channels: channels)
    }
    if let kind = weights.tokenTypeEmbedding {
      biasGradient(
        dBias: gradients.place(of: kind), dOut: dSum, tokens: batch.tokenCount,
        channels: channels)
    }
  }

  private func sumEmbeddings(into out: MutableFloats) {
    guard let tokenEmbedding = weights.tokenEmbedding else { return }
    let channels = configuration.channels
    for token in batch.tokens {
      precondition(
        token >= 0 && Int(token) < configuration.vocabularySize,
        "token \(token) outside a vocabulary of \(configuration.vocabularySize)")
    }
    gatherRows(out, from: tokenEmbedding, batch.tokens, channels: channels)
    scale(out, by: configuration.embeddingScale, count: batch.tokenCount * channels)
    if let positions = weights.positionEmbedding {
      addRows(out, from: positions, positionRows, channels: channels)
    }
    if let kind = weights.tokenTypeEmbedding {
      addBias(out, bias: kind, tokens: batch.tokenCount, channels: channels)
    }
  }

  /// The row of the position embedding of each token.
  private var positionRows: [Int32] {
    guard let offset = configuration.learnedPositionOffset, offset > 0 else {
      return batch.positions
    }
    return batch.positions.map { $0 + Int32(offset) }
  }
}
