// What the forward pass keeps of a block for the backward pass, and the scratch that both share.
//
// Normalized inputs, gated products and attention probabilities are recomputed: they cost little
// time and half of the memory.

internal import Kernels

/// All buffers of an engine.
struct EngineBuffers {
  /// The kept activations of each block.
  let slots: [BlockActivations]
  let scratch: Scratch
  /// Output of the last block, (T', C), and the final norm's statistics.
  let final: MutableFloats
  let finalMean: MutableFloats
  let finalRstd: MutableFloats

  /// Takes them from a plan.
  init(
    _ plan: BufferPlan, tokens: Int, longest: Int, configuration c: ModelConfiguration,
    isOnDevice: Bool
  ) {
    slots = (0..<c.layerCount).map { _ in
      BlockActivations(plan, tokens: tokens, configuration: c)
    }
    scratch = Scratch(
      plan, tokens: tokens, longest: longest, configuration: c, isOnDevice: isOnDevice)
    final = plan.take(tokens * c.channels)
    finalMean = plan.take(tokens)
    finalRstd = plan.take(tokens)
  }
}

/// One block's kept activations. Rows are T, but T' (the output rows) from `attention` on in the
/// last block.
struct BlockActivations {
  /// The block's input, (T, C).
  let input: MutableFloats
  let attentionMean: MutableFloats
  let attentionRstd: MutableFloats
  /// Queries and keys before their norms; nil in models without such norms.
  let unnormalized: UnnormalizedHeads?
  /// After bias, adapter, norm and rotation, (T, H * D).
  let query: MutableFloats
  let key: MutableFloats
  let value: MutableFloats
  /// (H, T').
  let logSumExp: MutableFloats
  /// Attention's result before the output product, (T', H * D).
  let attention: MutableFloats
  /// What attention and the feed-forward part give before the norms of both, (T', C); nil in models
  /// without such norms.
  let branches: Branches?
  /// Input plus attention, (T', C).
  let middle: MutableFloats
  let feedForwardMean: MutableFloats
  let feedForwardRstd: MutableFloats
  /// Before the activation, (T', I); `gate` only in gated models.
  let up: MutableFloats
  let gate: MutableFloats?
  /// Post-norm models: the second residual sum before its norm, (T', C).
  let sum: MutableFloats?

  init(_ plan: BufferPlan, tokens: Int, configuration c: ModelConfiguration) {
    input = plan.take(tokens * c.channels)
    attentionMean = plan.take(tokens)
    attentionRstd = plan.take(tokens)
    unnormalized = c.names.block.queryKeyNorms.map { _ in
      UnnormalizedHeads(plan, tokens: tokens, configuration: c)
    }
    query = plan.take(tokens * c.queryChannels)
    key = plan.take(tokens * c.keyChannels)
    value = plan.take(tokens * c.keyChannels)
    logSumExp = plan.take(tokens * c.headCount)
    attention = plan.take(tokens * c.queryChannels)
    branches = c.names.block.branchNorms.map { _ in
      Branches(plan, tokens: tokens, channels: c.channels)
    }
    middle = plan.take(tokens * c.channels)
    feedForwardMean = plan.take(tokens)
    feedForwardRstd = plan.take(tokens)
    up = plan.take(tokens * c.intermediateSize)
    gate = c.isGated ? plan.take(tokens * c.intermediateSize) : nil
    sum = c.normPlacement == .post ? plan.take(tokens * c.channels) : nil
  }
}

/// Queries and keys before they are normalized.
struct UnnormalizedHeads {
  /// (T, H * D).
  let query: MutableFloats
  /// (T, keyValueHeads * D).
  let key: MutableFloats
  /// 1 / the deviation of each normalized row.
  let queryRstd: MutableFloats
  let keyRstd: MutableFloats

  init(_ plan: BufferPlan, tokens: Int, configuration c: ModelConfiguration) {
    query = plan.take(tokens * c.queryChannels)
    key = plan.take(tokens * c.keyChannels)
    queryRstd = plan.take(tokens * c.queryChannels / c.queryNormChannels)
    keyRstd = plan.take(tokens * c.keyChannels / c.keyNormChannels)
  }
}

/// What the halves of a block give before their norms.
struct Branches {
  let attention: Branch
  let feedForward: Branch

  init(_ plan: BufferPlan, tokens: Int, channels: Int) {
    attention = Branch(plan, tokens: tokens, channels: channels)
    feedForward = Branch(plan, tokens: tokens, channels: channels)
  }
}

/// The input of one norm, (T', C), and its statistics.
struct Branch {
  let values: MutableFloats
  let mean: MutableFloats
  let rstd: MutableFloats

  init(_ plan: BufferPlan, tokens: Int, channels: Int) {
    values = plan.take(tokens * channels)
    mean = plan.take(tokens)
    rstd = plan.take(tokens)
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
  /// The patches of a micro-batch's images; nil if the CPU reads them where they are.
  let patches: MutableFloats?
  /// 1 + the weight of a norm around one; nil in models without such norms.
  let normFactor: MutableFloats?

  init(
    _ plan: BufferPlan, tokens: Int, longest: Int, configuration c: ModelConfiguration,
    isOnDevice: Bool
  ) {
    normalized = plan.take(tokens * c.channels)
    dStream = plan.take(tokens * c.channels)
    dStreamAll = plan.take(tokens * c.channels)
    dNormalized = plan.take(tokens * c.channels)
    activated = plan.take(tokens * c.intermediateSize)
    dUp = plan.take(tokens * c.intermediateSize)
    dGate = plan.take(tokens * c.intermediateSize)
    dAttention = plan.take(tokens * c.queryChannels)
    dQuery = plan.take(tokens * c.queryChannels)
    dKey = plan.take(tokens * c.keyChannels)
    dValue = plan.take(tokens * c.keyChannels)
    mean = plan.take(tokens)
    rstd = plan.take(tokens)
    let shape = c.attentionShape(layer: 0)
    attention = plan.take(
      isOnDevice
        ? shape.deviceScratchCount(longest: longest, queries: tokens)
        : shape.scratchCount(longest: longest))
    patches =
      isOnDevice
      ? c.image.map { plan.take(tokens / $0.tokenCount * $0.patchCount * $0.patchValues) } : nil
    normFactor =
      c.norm == .rootMeanSquareAroundOne
      ? plan.take(max(c.channels, c.queryNormChannels, c.keyNormChannels)) : nil
  }
}
