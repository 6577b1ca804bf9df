// ModernBERT (Warner et al., arXiv 2412.13663): pre-norm blocks without biases, GeGLU, rotary positions,
// and two local blocks after each global one. The classifier reads the dense layer of the language
// head, with GELU and a norm, which stay frozen with an adapter.

internal import GGUF
internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// ModernBERT.
  static let modernBert = ModelFamily(
    name: "modernbert", classifiers: ["modernbert": "ModernBertForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(modernBertFields) { $1 } },
    spelling: ["hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"],
    hasRotaryFields: true, read: { fields, _, rope in try fields.modernBert(rope) },
    names: ModuleNames(
      basePrefix: "model.",
      embeddings: .init(tokens: "model.embeddings.tok_embeddings", norm: "model.embeddings.norm"),
      block: .init(
        path: "model.layers.",
        linears: [
          .query: "attn.Wqkv", .key: "attn.Wqkv", .value: "attn.Wqkv", .attentionOutput: "attn.Wo",
          .gate: "mlp.Wi", .up: "mlp.Wi", .down: "mlp.Wo",
        ], attentionNorm: "attn_norm", firstHasAttentionNorm: false, feedForwardNorm: "mlp_norm"),
      finalNorm: "model.final_norm",
      pooler: .init(
        module: "head.dense", activation: .gelu, norm: "head.norm", hasBias: false,
        takesMean: true),
      languageHead: .init(output: "decoder", bias: "decoder.bias"),
      classificationHead: .init(module: "classifier", hasBias: true),
      outside: ["head.", "decoder.", "classifier."]),
    gguf: GGUFFamily(
      architectures: ["modernbert": "modern-bert"], activations: [.gelu],
      metadata: { model in
        let kinds = model.attention
        let local = kinds.first { $0.window != nil }
        // A block that sees all tokens, and the local ones after it.
        let pattern = kinds.dropFirst().firstIndex { $0.window == nil } ?? kinds.count
        try GGUFFamily.require(
          "a sliding window", in: kinds.map { $0.window != nil }, where: { $0 % pattern != 0 })
        return [
          GGUFEntry(
            "attention.sliding_window", .uint32(UInt32((local?.window?.before ?? 0) * 2))),
          GGUFEntry("attention.sliding_window_pattern", .uint32(UInt32(pattern))),
          GGUFEntry("rope.freq_base_swa", .float32(Float(local?.rotary?.theta ?? 10000))),
          GGUFEntry("hidden_activation", .string("gelu")),
        ]
      }))
}

/// The fields of config.json.
private let modernBertFields: [String: FieldMeaning] = [
  "local_attention": .computed, "global_attn_every_n_layers": .computed,
  "global_rope_theta": .computed, "local_rope_theta": .computed, "rope_scaling": .only([]),
  "attention_bias": .computed, "mlp_bias": .computed, "classifier_pooling": .computed,
  "norm_bias": ModelFields.falseOnly, "classifier_bias": ModelFields.falseOnly,
  "classifier_activation": .only([.string("gelu")]), "decoder_bias": .withoutEffect,
  "position_embedding_type": .withoutEffect, "initializer_cutoff_factor": .withoutEffect,
  "embedding_dropout": .withoutEffect, "mlp_dropout": .withoutEffect,
  "classifier_dropout": .withoutEffect, "deterministic_flash_attn": .withoutEffect,
  "sparse_prediction": .withoutEffect, "sparse_pred_ignore_index": .withoutEffect,
  "reference_compile": .withoutEffect, "repad_logits_with_grad": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func modernBert(_ rope: RotaryFields) throws -> ModelConfiguration {
    let (channels, heads) = (try required("hidden_size"), try required("num_attention_heads"))
    let positions = try integer("max_position_embeddings") ?? 8192
    let headSize = try derivedHeadSize(channels, heads)
    // transformers does not read one object for all layers here.
    guard self["rope_parameters"] == nil || !rope.byLayerType.isEmpty else {
      throw FieldProblem(
        "rope_parameters needs the objects \"full_attention\" and \"sliding_attention\"")
    }
    let global = try rotary(
      rope.byLayerType["full_attention"], headSize: headSize, maximumPositions: positions,
      theta: 160_000, thetaField: "global_rope_theta")
    let local = try rotary(
      rope.byLayerType["sliding_attention"], headSize: headSize, maximumPositions: positions,
      thetaField: "local_rope_theta")
    let hasBias = try bool("attention_bias") ?? false
    return ModelConfiguration(
      family: .modernBert, vocabularySize: try required("vocab_size"), channels: channels,
      attention: try modernBertAttention(global: global, local: local), headCount: heads,
      keyValueHeadCount: heads, headSize: headSize,
      intermediateSize: try required("intermediate_size"), maximumPositions: positions,
      norm: .layerWithoutBias, normEpsilon: try float("layer_norm_eps") ?? 1e-5,
      normPlacement: .pre, learnedPositionOffset: nil, tokenTypeCount: 0,
      activation: try activation(default: "gelu"), isGated: true, isCausal: false,
      attentionInputBias: hasBias, attentionOutputBias: hasBias,
      feedForwardBias: try bool("mlp_bias") ?? false,
      tiesWordEmbeddings: try bool("tie_word_embeddings") ?? true,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: try modernBertPooling())
  }

  private func modernBertAttention(
    global: RotaryConfiguration, local: RotaryConfiguration
  ) throws -> [AttentionKind] {
    let (width, interval) = (
      try integer("local_attention") ?? 128, try integer("global_attn_every_n_layers") ?? 3
    )
    guard width >= 2, width <= 1 << 30, interval >= 1 else {
      throw FieldProblem(
        "local_attention is \(width) and global_attn_every_n_layers is \(interval); numbers from 2 to "
          + "2^30, and of at least 1, were expected")
    }
    let window = AttentionWindow(before: width / 2, after: width / 2)
    return try slidingLayers { $0 % interval != 0 }.map {
      AttentionKind(rotary: $0 ? local : global, window: $0 ? window : nil)
    }
  }

  private func modernBertPooling() throws -> Pooling {
    switch try string("classifier_pooling") ?? "cls" {
    case "cls": return .first
    case "mean": return .mean
    case let other:
      throw FieldProblem("classifier_pooling \"\(other)\" is not supported; supported: cls, mean")
    }
  }
}
