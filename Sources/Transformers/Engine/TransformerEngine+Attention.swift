// The attention half of a block, forward and backward.
//
// Pre-norm:  middle = x + O(attention(qkv(norm(x)))).
// Post-norm: middle = x + O(attention(qkv(x))); its norm belongs to the feed-forward half's input.
// A branch norm normalizes O's result before it is added; norms of queries and keys come before the
// rotation.

internal import Kernels

extension TransformerEngine {
  /// Fills the block's query, key, value, attention and middle from its input.
  func attentionForward(layer: Int) {
    let slot = slot(layer)
    let tokens = batch.tokenCount
    let channels = configuration.channels
    let input = attentionInput(layer: layer, slot)
    let heads = slot.unnormalized
    forward(
      .attentionInput, layer: layer, input: input, tokens: tokens,
      outputs: [heads?.query ?? slot.query, heads?.key ?? slot.key, slot.value], .overwrite)
    if let heads { normalize(heads, layer: layer, slot) }
    rotate(slot.query, heads: configuration.headCount, layer: layer, .forward)
    rotate(slot.key, heads: configuration.keyValueHeadCount, layer: layer, .forward)
    let count = rowCount(layer)
    Kernels.attentionForward(
      out: slot.attention, logSumExp: slot.logSumExp, query: slot.query, key: slot.key,
      value: slot.value, spans: attentionSpans(layer), tokens: tokens, queries: count,
      shape: configuration.attentionShape(layer: layer), scratch: scratch.attention)
    if count == tokens && attentionSpans(layer) == spans {
      copy(slot.input, to: slot.middle, count: tokens * channels)
    } else {
      gatherRows(slot.middle, from: slot.input, selectedRows(layer), channels: channels)
    }
    forward(
      .attentionOutput, layer: layer, input: slot.attention, tokens: count,
      branch: slot.branches?.attention, norm: weights.blocks[layer].attentionBranchNorm,
      to: slot.middle)
  }

  /// Adds the outputs of a group to `sum` (T', C), through the norm of the branch if there is one.
  func forward(
    _ group: LinearGroup, layer: Int, input: MutableFloats, tokens: Int, branch: Branch?,
    norm: NormWeights?, to sum: MutableFloats
  ) {
    guard let branch, let norm else {
      return forward(
        group, layer: layer, input: Floats(input), tokens: tokens, outputs: [sum], .add)
    }
    forward(
      group, layer: layer, input: Floats(input), tokens: tokens, outputs: [branch.values],
      .overwrite)
    normForward(
      norm, out: scratch.normalized, mean: branch.mean, rstd: branch.rstd, input: branch.values,
      tokens: tokens)
    add(sum, scratch.normalized, count: tokens * configuration.channels)
  }

  /// The gradient of a branch's values, of which `scratch.dStream` is that of their sum with the
  /// stream: that itself, or `scratch.dNormalized`, which the branch's norm gives.
  func branchGradient(_ branch: Branch?, norm: NormWeights?, tokens: Int) -> Floats {
    guard let branch, let norm else { return Floats(scratch.dStream) }
    normBackward(
      norm, dInput: scratch.dNormalized, dOut: scratch.dStream, input: branch.values,
      mean: branch.mean, rstd: branch.rstd, tokens: tokens, .overwrite)
    return Floats(scratch.dNormalized)
  }

  /// Writes the normalized queries and keys.
  private func normalize(_ heads: UnnormalizedHeads, layer: Int, _ slot: BlockActivations) {
    let (block, c, tokens) = (weights.blocks[layer], configuration, batch.tokenCount)
    normForward(
      block.queryNorm!, out: slot.query, mean: heads.queryRstd, rstd: heads.queryRstd,
      input: heads.query, tokens: tokens * c.queryChannels / c.queryNormChannels,
      channels: c.queryNormChannels)
    normForward(
      block.keyNorm!, out: slot.key, mean: heads.keyRstd, rstd: heads.keyRstd, input: heads.key,
      tokens: tokens * c.keyChannels / c.keyNormChannels, channels: c.keyNormChannels)
  }

  /// Takes the gradients of queries and keys back through their norms, in place.
  private func normalizeBackward(_ heads: UnnormalizedHeads, layer: Int) {
    let (block, c, tokens) = (weights.blocks[layer], configuration, batch.tokenCount)
    normBackward(
      block.queryNorm!, dInput: scratch.dQuery, dOut: scratch.dQuery, input: heads.query,
      mean: heads.queryRstd, rstd: heads.queryRstd,
      tokens: tokens * c.queryChannels / c.queryNormChannels, channels: c.queryNormChannels,
      .overwrite)
    normBackward(
      block.keyNorm!, dInput: scratch.dKey, dOut: scratch.dKey, input: heads.key,
      mean: heads.keyRstd, rstd: heads.keyRstd,
      tokens: tokens * c.keyChannels / c.keyNormChannels, channels: c.keyNormChannels, .overwrite)
  }

  /// The input of query, key and value; recomputed in the backward pass.
  private func attentionInput(layer: Int, _ slot: BlockActivations) -> Floats {
    guard configuration.normPlacement == .pre, let norm = weights.blocks[layer].attentionNorm else {
      return Floats(slot.input)
    }
    normForward(
      norm, out: scratch.normalized, mean: slot.attentionMean,
      rstd: slot.attentionRstd, input: slot.input, tokens: batch.tokenCount)
    return Floats(scratch.normalized)
  }

  /// Takes `scratch.dStream` from the gradient of `middle` to that of the block's input.
  ///
  /// - Parameter stop: the lowest adapted group, if it is in this block: nothing below it is formed.
  func attentionBackward(layer: Int, stopAt stop: LinearGroup?) {
    let slot = slot(layer)
    let block = weights.blocks[layer]
    let tokens = batch.tokenCount
    let count = rowCount(layer)
    let channels = configuration.channels
    let goesOn = stop != .attentionOutput
    let dBranch = branchGradient(
      slot.branches?.attention, norm: block.attentionBranchNorm, tokens: count)
    backward(
      .attentionOutput, layer: layer, input: Floats(slot.attention), tokens: count,
      dOutputs: [dBranch], dInput: goesOn ? scratch.dAttention : nil)
    guard goesOn else { return }
    Kernels.attentionBackward(
      dQuery: scratch.dQuery, dKey: scratch.dKey, dValue: scratch.dValue,
      dOut: scratch.dAttention, out: slot.attention, logSumExp: slot.logSumExp,
      query: slot.query, key: slot.key, value: slot.value, spans: attentionSpans(layer),
      tokens: tokens, queries: count, shape: configuration.attentionShape(layer: layer),
      scratch: scratch.attention)
    rotate(scratch.dQuery, heads: configuration.headCount, layer: layer, .backward)
    rotate(scratch.dKey, heads: configuration.keyValueHeadCount, layer: layer, .backward)
    if let heads = slot.unnormalized { normalizeBackward(heads, layer: layer) }
    let needsInput = stop != .attentionInput
    backward(
      .attentionInput, layer: layer, input: attentionInput(layer: layer, slot), tokens: tokens,
      dOutputs: [Floats(scratch.dQuery), Floats(scratch.dKey), Floats(scratch.dValue)],
      dInput: needsInput ? scratch.dNormalized : nil)
    guard needsInput else { return }
    if attentionSpans(layer) != spans {
      clear(scratch.dStreamAll, count: tokens * channels)
      scatterRows(
        scratch.dStreamAll, from: scratch.dStream, selectedRows(layer), channels: channels)
      copy(scratch.dStreamAll, to: scratch.dStream, count: tokens * channels)
    }
    if configuration.normPlacement == .pre, let norm = block.attentionNorm {
      normBackward(
        norm, dInput: scratch.dStream, dOut: scratch.dNormalized,
        input: slot.input, mean: slot.attentionMean, rstd: slot.attentionRstd, tokens: tokens,
        .add)
    } else {
      add(scratch.dStream, scratch.dNormalized, count: tokens * channels)
    }
  }
}
