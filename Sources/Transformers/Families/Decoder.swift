// What the decoders with rotary positions share: pre-norm blocks with RMSNorm, a gated feed-forward
// part, a causal mask, the names of their modules. Each family is a file beside this one.

internal import Kernels
internal import Safetensors

extension ModuleNames {
  /// The linear layers of a decoder's block.
  static let decoderLinears: [LinearRole: String] = [
    .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
    .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_proj", .up: "mlp.up_proj",
    .down: "mlp.down_proj",
  ]

  /// The names of a decoder with this block.
  static func decoder(_ block: Block) -> ModuleNames {
    ModuleNames(
      basePrefix: "model.", embeddings: .init(tokens: "model.embed_tokens"), block: block,
      finalNorm: "model.norm", languageHead: .init(output: "lm_head"),
      classificationHead: .init(module: "score", hasBias: false), outside: ["lm_head.", "score."])
  }
}

extension ConfigurationFields {
  /// A decoder with the fields that Llama has too (`keyValueHeads` where a file has no such field, and as
  /// many as heads where it is null): no biases, and SiLU as the activation unless
  /// `hidden_act` says otherwise. A family changes what is different in it.
  func decoder(
    _ family: ModelFamily, attention: [AttentionKind], maximumPositions: Int,
    keyValueHeads: Int? = nil, epsilon: Float = 1e-6
  ) throws -> ModelConfiguration {
    let heads = try required("num_attention_heads")
    return ModelConfiguration(
      family: family, vocabularySize: try required("vocab_size"),
      channels: try required("hidden_size"), attention: attention, headCount: heads,
      keyValueHeadCount: try integer("num_key_value_heads")
        ?? (has("num_key_value_heads") ? heads : keyValueHeads ?? heads),
      headSize: try headSize(), intermediateSize: try required("intermediate_size"),
      maximumPositions: maximumPositions, norm: .rootMeanSquare,
      normEpsilon: try float("rms_norm_eps") ?? epsilon, normPlacement: .pre,
      learnedPositionOffset: nil, tokenTypeCount: 0, activation: try activation(default: "silu"),
      isGated: true, isCausal: true, attentionInputBias: false, attentionOutputBias: false,
      feedForwardBias: false, tiesWordEmbeddings: try bool("tie_word_embeddings") ?? false,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .last)
  }

  /// `head_dim`, or C / H where it is missing.
  func headSize() throws -> Int {
    try integer("head_dim")
      ?? derivedHeadSize(required("hidden_size"), required("num_attention_heads"))
  }

  /// The keys that each block sees if all have a causal window of `size` tokens; nil for all keys.
  func sameWindows(size: Int?) throws -> [AttentionWindow?] {
    let window = try causalWindow(size)
    return Array(repeating: window, count: try layerCount())
  }

  private func causalWindow(_ size: Int?) throws -> AttentionWindow? {
    if let size, size < 1 || size > 1 << 30 {
      throw FieldProblem("sliding_window is \(size); a number from 1 to 2^30 was expected")
    }
    return size.map { AttentionWindow(before: $0 - 1, after: 0) }
  }

  /// The keys that each block sees: a causal window of `size` tokens in the blocks that `layer_types`
  /// calls sliding, or else in those of `isSliding`; nil for all keys.
  func windows(
    size: Int?, isSliding: (_ layer: Int) -> Bool
  ) throws -> [AttentionWindow?] {
    let window = try causalWindow(size)
    return try slidingLayers(default: { size != nil && isSliding($0) }).map { isSliding in
      guard isSliding else { return nil }
      guard let window else {
        throw FieldProblem("layer_types has \"sliding_attention\", but there is no sliding_window")
      }
      return window
    }
  }

  /// For each block, true if `layer_types` calls it sliding; `isSliding` where it is missing.
  func slidingLayers(default isSliding: (_ layer: Int) -> Bool) throws -> [Bool] {
    let count = try layerCount()
    guard let kinds = self["layer_types"] else { return (0..<count).map(isSliding) }
    guard case .array(let kinds) = kinds, kinds.count == count else {
      throw FieldProblem("layer_types is no list of \(count) kinds, one for each block")
    }
    return try kinds.map { kind in
      switch kind {
      case .string("full_attention"): false
      case .string("sliding_attention"): true
      default:
        throw FieldProblem(
          "layer_types \(kind.excerpt) is not supported; supported: \"full_attention\", "
            + "\"sliding_attention\"")
      }
    }
  }
}
