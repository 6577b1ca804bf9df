// Llama and its descendants with the same modules: Mistral without a window, Qwen 2, SmolLM.
// Pre-norm blocks with RMSNorm, rotary positions, a gated feed-forward part, causal attention.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// Llama, Mistral and Qwen 2.
  static let llama = ModelFamily(
    name: "llama",
    classifiers: [
      "llama": "LlamaForSequenceClassification", "mistral": "MistralForSequenceClassification",
      "qwen2": "Qwen2ForSequenceClassification",
    ],
    fields: LlamaFields.meanings, hasRotaryFields: true,
    read: { fields, type, rope in try fields.llama(type, rope: rope) },
    names: ModuleNames(
      basePrefix: "model.", embeddings: .init(tokens: "model.embed_tokens"),
      block: .init(
        path: "model.layers.",
        linears: [
          .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
          .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_proj", .up: "mlp.up_proj",
          .down: "mlp.down_proj",
        ], attentionNorm: "input_layernorm", feedForwardNorm: "post_attention_layernorm"),
      finalNorm: "model.norm", languageHead: .init(output: "lm_head"),
      classificationHead: .init(module: "score", hasBias: false), outside: ["lm_head.", "score."]),
    pooling: .last)
}

/// The fields of config.json.
private enum LlamaFields {
  static func meanings(of modelType: String) -> [String: FieldMeaning] {
    let own =
      switch modelType {
      case "mistral": mistral
      case "qwen2": qwen2
      default: llama
      }
    return ModelFields.rotary.merging(own) { $1 }
  }

  static let llama: [String: FieldMeaning] = [
    "attention_bias": .computed, "mlp_bias": .computed,
    "pretraining_tp": .only([.number("1")]),
    // Fields of SmolLM's training framework.
    "is_llama_config": .withoutEffect, "rope_interleaved": ModelFields.falseOnly,
  ]

  /// Mistral's layers have no biases, whatever the file says.
  static let mistral: [String: FieldMeaning] = [
    "sliding_window": .computed, "attention_bias": ModelFields.falseOnly,
    "mlp_bias": ModelFields.falseOnly,
  ]

  /// Query, key and value have biases and no other layer has, whatever the file says.
  static let qwen2: [String: FieldMeaning] = [
    "sliding_window": .computed, "use_sliding_window": .computed,
    "max_window_layers": .withoutEffect, "attention_bias": .withoutEffect,
    "mlp_bias": ModelFields.falseOnly,
    "use_mrope": ModelFields.falseOnly,
  ]
}

extension ConfigurationFields {
  /// Refuses attention that does not see all of the past.
  fileprivate func checkAttention(_ type: String, positions: Int) throws {
    if case .array(let kinds) = self["layer_types"],
      let other = kinds.first(where: { $0 != .string("full_attention") })
    {
      throw FieldProblem(
        "layer_types \(other.excerpt) is not supported; supported: \"full_attention\"")
    }
    let window: Int?
    switch type {
    case "qwen2":
      window = try bool("use_sliding_window") ?? false ? try integer("sliding_window") : nil
    case "mistral":
      // A missing field has transformers' default; null says that there is no window.
      let isMissing = !names.contains("sliding_window")
      window = isMissing && positions > 4096 ? 4096 : try integer("sliding_window")
    default: window = nil
    }
    if let window {
      throw FieldProblem("sliding_window \(window) is not supported; supported: null")
    }
  }

  fileprivate func llama(_ type: String, rope: ConfigurationFields?) throws -> ModelConfiguration {
    let heads = try required("num_attention_heads")
    let channels = try required("hidden_size")
    let isQwen = type == "qwen2"
    let hasBias = type == "llama" ? try bool("attention_bias") ?? false : false
    let positions =
      try integer("max_position_embeddings")
      ?? (type == "llama" ? 2048 : type == "mistral" ? 131_072 : 32768)
    try checkAttention(type, positions: positions)
    return ModelConfiguration(
      family: .llama, vocabularySize: try required("vocab_size"), channels: channels,
      layerCount: try required("num_hidden_layers"), headCount: heads,
      keyValueHeadCount: try integer("num_key_value_heads") ?? heads,
      headSize: try integer("head_dim") ?? derivedHeadSize(channels, heads),
      intermediateSize: try required("intermediate_size"),
      maximumPositions: positions, norm: .rootMeanSquare,
      normEpsilon: try float("rms_norm_eps") ?? 1e-6, normPlacement: .pre,
      positions: .rotary(try rotary(rope, maximumPositions: positions)),
      tokenTypeCount: 0, activation: try activation(default: "silu"), isGated: true,
      isCausal: true, attentionInputBias: isQwen || hasBias, attentionOutputBias: hasBias,
      feedForwardBias: try bool("mlp_bias") ?? false,
      tiesWordEmbeddings: try bool("tie_word_embeddings") ?? false,
      initializerRange: try float("initializer_range") ?? 0.02)
  }
}
