// The attention half of a block, forward and backward.
//
// Pre-norm:  middle = x + O(attention(qkv(norm(x)))).
// Post-norm: middle = x + O(attention(qkv(x))); its norm belongs to the feed-forward half's input.

internal import Kernels

extension TransformerEngine {
  /// Fills the block's query, key, value, attention and middle from its input.
  func attentionForward(layer: Int) {
    let slot = slot(layer)
    let tokens = batch.tokenCount
    let channels = configuration.channels
    let input = attentionInput(layer: layer, slot)
    forward(
      .attentionInput, layer: layer, input: input, tokens: tokens,
      outputs: [slot.query, slot.key, slot.value], .overwrite)
    rotate(slot.query, heads: configuration.headCount, .forward)
    rotate(slot.key, heads: configuration.keyValueHeadCount, .forward)
    let count = rowCount(layer)
    Kernels.attentionForward(
      out: slot.attention, logSumExp: slot.logSumExp, query: slot.query, key: slot.key,
      value: slot.value, spans: attentionSpans(layer), queries: count,
      shape: configuration.attentionShape, scratch: scratch.attention)
    if count == tokens && attentionSpans(layer) == spans {
      slot.middle.update(from: slot.input, count: tokens * channels)
    } else {
      forEachSelectedRow(layer) { row, source in
        (slot.middle + row * channels).update(from: slot.input + source * channels, count: channels)
      }
    }
    forward(
      .attentionOutput, layer: layer, input: slot.attention, tokens: count,
      outputs: [slot.middle], .add)
  }

  /// The input of query, key and value; recomputed in the backward pass.
  private func attentionInput(layer: Int, _ slot: BlockActivations) -> Floats {
    guard configuration.normPlacement == .pre else { return Floats(slot.input) }
    normForward(
      weights.blocks[layer].attentionNorm, out: scratch.normalized, mean: slot.attentionMean,
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
    backward(
      .attentionOutput, layer: layer, input: Floats(slot.attention), tokens: count,
      dOutputs: [Floats(scratch.dStream)], dInput: goesOn ? scratch.dAttention : nil)
    guard goesOn else { return }
    Kernels.attentionBackward(
      dQuery: scratch.dQuery, dKey: scratch.dKey, dValue: scratch.dValue,
      dOut: scratch.dAttention, out: slot.attention, logSumExp: slot.logSumExp,
      query: slot.query, key: slot.key, value: slot.value, spans: attentionSpans(layer),
      tokens: tokens, queries: count, shape: configuration.attentionShape,
      scratch: scratch.attention)
    rotate(scratch.dQuery, heads: configuration.headCount, .backward)
    rotate(scratch.dKey, heads: configuration.keyValueHeadCount, .backward)
    let needsInput = stop != .attentionInput
    backward(
      .attentionInput, layer: layer, input: attentionInput(layer: layer, slot), tokens: tokens,
      dOutputs: [Floats(scratch.dQuery), Floats(scratch.dKey), Floats(scratch.dValue)],
      dInput: needsInput ? scratch.dNormalized : nil)
    guard needsInput else { return }
    if attentionSpans(layer) != spans {
      scratch.dStreamAll.update(repeating: 0, count: tokens * channels)
      forEachSelectedRow(layer) { row, source in
        (scratch.dStreamAll + source * channels)
          .update(from: scratch.dStream + row * channels, count: channels)
      }
      scratch.dStream.update(from: scratch.dStreamAll, count: tokens * channels)
    }
    if configuration.normPlacement == .pre {
      normBackward(
        block.attentionNorm, dInput: scratch.dStream, dOut: scratch.dNormalized,
        input: slot.input, mean: slot.attentionMean, rstd: slot.attentionRstd, tokens: tokens,
        .add)
    } else {
      add(scratch.dStream, scratch.dNormalized, count: tokens * channels)
    }
  }
}
