// BERT and MiniLM: post-norm blocks with LayerNorm, learned positions, token types, a pooler, and a
// language head with a transform.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// BERT.
  static let bert = ModelFamily(
    name: "bert", classifiers: ["bert": "BertForSequenceClassification"],
    fields: { _ in bertFields }, hasRotaryFields: false,
    read: { fields, _, _ in try fields.bert() },
    names: ModuleNames(
      basePrefix: "bert.",
      embeddings: .init(
        tokens: "bert.embeddings.word_embeddings", positions: "bert.embeddings.position_embeddings",
        tokenTypes: "bert.embeddings.token_type_embeddings", norm: "bert.embeddings.LayerNorm"),
      block: .init(
        path: "bert.encoder.layer.",
        linears: [
          .query: "attention.self.query", .key: "attention.self.key",
          .value: "attention.self.value", .attentionOutput: "attention.output.dense",
          .up: "intermediate.dense", .down: "output.dense",
        ], attentionNorm: "attention.output.LayerNorm", feedForwardNorm: "output.LayerNorm"),
      pooler: .init(module: "bert.pooler.dense"),
      languageHead: .init(
        output: "cls.predictions.decoder", transform: "cls.predictions.transform.dense",
        transformNorm: "cls.predictions.transform.LayerNorm", bias: "cls.predictions.bias",
        biasCopy: "cls.predictions.decoder.bias"),
      classificationHead: .init(module: "classifier", hasBias: true),
      outside: ["cls.", "classifier."]),
    gguf: .encoder(["bert": "bert"]))
}

/// The fields of config.json.
private let bertFields: [String: FieldMeaning] = [
  "type_vocab_size": .computed, "layer_norm_eps": .computed, "is_decoder": .computed,
  "position_embedding_type": .only([.string("absolute")]),
  "hidden_dropout_prob": .withoutEffect, "attention_probs_dropout_prob": .withoutEffect,
  "classifier_dropout": .withoutEffect,
  // The original BERT checkpoints.
  "directionality": .withoutEffect, "pooler_fc_size": .withoutEffect,
  "pooler_num_attention_heads": .withoutEffect, "pooler_num_fc_layers": .withoutEffect,
  "pooler_size_per_head": .withoutEffect, "pooler_type": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func bert() throws -> ModelConfiguration {
    let heads = try required("num_attention_heads")
    let channels = try required("hidden_size")
    return ModelConfiguration(
      family: .bert, vocabularySize: try required("vocab_size"), channels: channels,
      attention: try sameAttention(), headCount: heads,
      keyValueHeadCount: heads, headSize: try derivedHeadSize(channels, heads),
      intermediateSize: try required("intermediate_size"),
      maximumPositions: try required("max_position_embeddings"),
      norm: .layer, normEpsilon: try float("layer_norm_eps") ?? 1e-12, normPlacement: .post,
      learnedPositionOffset: 0, tokenTypeCount: try integer("type_vocab_size") ?? 2,
      activation: try activation(default: "gelu"), isGated: false,
      isCausal: try bool("is_decoder") ?? false, attentionInputBias: true,
      attentionOutputBias: true, feedForwardBias: true,
      tiesWordEmbeddings: try bool("tie_word_embeddings") ?? true,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .first)
  }
}
