// What the forward pass keeps of a block for the backward pass, and the scratch that both share.
//
// Normalized inputs, gated products and attention probabilities are recomputed: they cost little
// time and half of the memory.

internal import Kernels

/// Sizes that decide how much memory an engine needs.
struct ArenaSizes {
  let configuration: ModelConfiguration
  let tokens: Int
  let longest: Int
  let slots: Int

  var block: Int {
    let c = configuration
    var sizes = [
      tokens * c.channels, tokens, tokens, tokens * c.queryChannels, tokens * c.keyChannels,
      tokens * c.keyChannels, tokens * c.headCount, tokens * c.queryChannels,
      tokens * c.channels, tokens, tokens, tokens * c.intermediateSize,
    ]
    if c.isGated { sizes.append(tokens * c.intermediateSize) }
    if c.normPlacement == .post { sizes.append(tokens * c.channels) }
    return sizes.reduce(0) { $0 + Arena.rounded($1) }
  }

  var scratch: Int {
    let c = configuration
    let sizes = [
      tokens * c.channels, tokens * c.channels, tokens * c.channels, tokens * c.channels,
      tokens * c.intermediateSize, tokens * c.intermediateSize, tokens * c.intermediateSize,
      tokens * c.queryChannels, tokens * c.queryChannels, tokens * c.keyChannels,
      tokens * c.keyChannels, tokens, tokens,
      c.attentionShape.scratchCount(longest: longest),
    ]
    return sizes.reduce(0) { $0 + Arena.rounded($1) }
  }

  var total: Int {
    let final = Arena.rounded(tokens * configuration.channels) + 2 * Arena.rounded(tokens)
    return slots * block + scratch + final
  }
}

/// One block's kept activations. Rows are T, but T' (the output rows) from `attention` on in the
/// last block.
struct BlockActivations {
  /// The block's input, (T, C).
  let input: MutableFloats
  let attentionMean: MutableFloats
  let attentionRstd: MutableFloats
  /// After bias, adapter and rotation, (T, H * D).
  let query: MutableFloats
  let key: MutableFloats
  let value: MutableFloats
  /// (H, T').
  let logSumExp: MutableFloats
  /// Attention's result before the output product, (T', H * D).
  let attention: MutableFloats
  /// Input plus attention, (T', C).
  let middle: MutableFloats
  let feedForwardMean: MutableFloats
  let feedForwardRstd: MutableFloats
  /// Before the activation, (T', I); `gate` only in gated models.
  let up: MutableFloats
  let gate: MutableFloats?
  /// Post-norm models: the second residual sum before its norm, (T', C).
  let sum: MutableFloats?

  init(_ arena: Arena, tokens: Int, configuration c: ModelConfiguration) {
    input = arena.take(tokens * c.channels)
    attentionMean = arena.take(tokens)
    attentionRstd = arena.take(tokens)
    query = arena.take(tokens * c.queryChannels)
    key = arena.take(tokens * c.keyChannels)
    value = arena.take(tokens * c.keyChannels)
    logSumExp = arena.take(tokens * c.headCount)
    attention = arena.take(tokens * c.queryChannels)
    middle = arena.take(tokens * c.channels)
    feedForwardMean = arena.take(tokens)
    feedForwardRstd = arena.take(tokens)
    up = arena.take(tokens * c.intermediateSize)
    gate = c.isGated ? arena.take(tokens * c.intermediateSize) : nil
    sum = c.normPlacement == .post ? arena.take(tokens * c.channels) : nil
  }
}

/// Buffers that one block after the other uses.
struct Scratch {
  /// A norm's output: the input of a group of linear layers, (T, C).
  let normalized: MutableFloats
  /// The residual stream's gradient, (T, C), and a second one to scatter the last block's rows to.
  let dStream: MutableFloats
  let dStreamAll: MutableFloats
  /// A group input's gradient, (T, C).
  let dNormalized: MutableFloats
  /// The feed-forward part's activated values, (T, I), and gradients before it.
  let activated: MutableFloats
  let dUp: MutableFloats
  let dGate: MutableFloats
  let dAttention: MutableFloats
  let dQuery: MutableFloats
  let dKey: MutableFloats
  let dValue: MutableFloats
  let mean: MutableFloats
  let rstd: MutableFloats
  let attention: MutableFloats

  init(_ arena: Arena, tokens: Int, longest: Int, configuration c: ModelConfiguration) {
    normalized = arena.take(tokens * c.channels)
    dStream = arena.take(tokens * c.channels)
    dStreamAll = arena.take(tokens * c.channels)
    dNormalized = arena.take(tokens * c.channels)
    activated = arena.take(tokens * c.intermediateSize)
    dUp = arena.take(tokens * c.intermediateSize)
    dGate = arena.take(tokens * c.intermediateSize)
    dAttention = arena.take(tokens * c.queryChannels)
    dQuery = arena.take(tokens * c.queryChannels)
    dKey = arena.take(tokens * c.keyChannels)
    dValue = arena.take(tokens * c.keyChannels)
    mean = arena.take(tokens)
    rstd = arena.take(tokens)
    attention = arena.take(c.attentionShape.scratchCount(longest: longest))
  }
}
