// GPT-2 (Radford et al. 2019): pre-norm blocks with LayerNorm, learned positions, biases everywhere.
// Query, key and value are one module, and files hold weights as (inputs, outputs): Conv1D.

internal import Safetensors

extension ModelFamily {
  /// GPT-2.
  static let gpt2 = ModelFamily(
    name: "gpt2", classifiers: ["gpt2": "GPT2ForSequenceClassification"],
    fields: { _ in gpt2Fields },
    spelling: [
      "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
      "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
      "intermediate_size": "n_inner", "hidden_act": "activation_function",
      "layer_norm_eps": "layer_norm_epsilon",
    ],
    otherSpellings: [
      "hidden_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    ], hasRotaryFields: false, read: { fields, _, _ in try fields.gpt2() },
    names: ModuleNames(
      basePrefix: "transformer.",
      embeddings: .init(tokens: "transformer.wte", positions: "transformer.wpe"),
      block: .init(
        path: "transformer.h.",
        linears: [
          .query: "attn.c_attn", .key: "attn.c_attn", .value: "attn.c_attn",
          .attentionOutput: "attn.c_proj", .up: "mlp.c_fc", .down: "mlp.c_proj",
        ], storesInputsFirst: true, attentionNorm: "ln_1", feedForwardNorm: "ln_2"),
      finalNorm: "transformer.ln_f", languageHead: .init(output: "lm_head"),
      classificationHead: .init(module: "score", hasBias: false),
      outside: ["lm_head.", "score."],
      // The causal mask.
      buffers: [".attn.bias", ".attn.masked_bias"]),
    gguf: GGUFFamily(architectures: ["gpt2": "gpt2"], activations: [.geluTanh], hasAllBiases: true))
}

/// The fields of config.json.
private let gpt2Fields: [String: FieldMeaning] = [
  "scale_attn_weights": .only([.bool(true)]),
  "scale_attn_by_inverse_layer_idx": ModelFields.falseOnly,
  "reorder_and_upcast_attn": .withoutEffect, "n_ctx": .withoutEffect,
  "resid_pdrop": .withoutEffect, "embd_pdrop": .withoutEffect, "attn_pdrop": .withoutEffect,
  // The head of GPT2DoubleHeadsModel.
  "summary_type": .withoutEffect, "summary_use_proj": .withoutEffect,
  "summary_activation": .withoutEffect, "summary_proj_to_labels": .withoutEffect,
  "summary_first_dropout": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func gpt2() throws -> ModelConfiguration {
    let channels = try integer("hidden_size") ?? 768
    let heads = try integer("num_attention_heads") ?? 12
    return ModelConfiguration(
      family: .gpt2, vocabularySize: try integer("vocab_size") ?? 50257, channels: channels,
      attention: try sameAttention(), headCount: heads, keyValueHeadCount: heads,
      headSize: try derivedHeadSize(channels, heads),
      intermediateSize: try integer("intermediate_size") ?? 4 * min(channels, 1 << 30),
      maximumPositions: try integer("max_position_embeddings") ?? 1024, norm: .layer,
      normEpsilon: try float("layer_norm_eps") ?? 1e-5, normPlacement: .pre,
      learnedPositionOffset: 0, tokenTypeCount: 0, activation: try activation(default: "gelu_new"),
      isGated: false, isCausal: true, attentionInputBias: true, attentionOutputBias: true,
      feedForwardBias: true, tiesWordEmbeddings: try bool("tie_word_embeddings") ?? true,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .last)
  }
}
