// RoBERTa (Liu et al., arXiv 1907.11692) and XLM-R (Conneau et al., arXiv 1911.02116): BERT's block.
// Positions start at pad_token_id + 1, the token type is always 0, there is no pooler, and the
// classifier is a dense layer with tanh and a product, both trained with the head.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// RoBERTa and XLM-R.
  static let roberta = ModelFamily(
    name: "roberta",
    classifiers: [
      "roberta": "RobertaForSequenceClassification",
      "xlm-roberta": "XLMRobertaForSequenceClassification",
    ],
    fields: { _ in robertaFields }, hasRotaryFields: false,
    read: { fields, _, _ in try fields.roberta() },
    names: ModuleNames(
      basePrefix: "roberta.",
      embeddings: .init(
        tokens: "roberta.embeddings.word_embeddings",
        positions: "roberta.embeddings.position_embeddings",
        tokenTypes: "roberta.embeddings.token_type_embeddings",
        norm: "roberta.embeddings.LayerNorm"),
      block: .init(
        path: "roberta.encoder.layer.",
        linears: [
          .query: "attention.self.query", .key: "attention.self.key",
          .value: "attention.self.value", .attentionOutput: "attention.output.dense",
          .up: "intermediate.dense", .down: "output.dense",
        ], attentionNorm: "attention.output.LayerNorm", feedForwardNorm: "output.LayerNorm"),
      languageHead: .init(
        output: "lm_head.decoder", transform: "lm_head.dense", transformNorm: "lm_head.layer_norm",
        bias: "lm_head.bias", biasCopy: "lm_head.decoder.bias"),
      classificationHead: .init(
        dense: "classifier.dense", module: "classifier.out_proj", hasBias: true),
      outside: ["lm_head.", "classifier."]),
    gguf: .encoder(["roberta": "bert", "xlm-roberta": "bert"]))
}

/// The fields of config.json. A decoder is refused: no task here trains one of this family.
private let robertaFields: [String: FieldMeaning] = [
  "type_vocab_size": .computed, "layer_norm_eps": .computed, "pad_token_id": .computed,
  "is_decoder": ModelFields.falseOnly,
  "position_embedding_type": .only([.string("absolute")]),
  "hidden_dropout_prob": .withoutEffect, "attention_probs_dropout_prob": .withoutEffect,
  "classifier_dropout": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func roberta() throws -> ModelConfiguration {
    let heads = try required("num_attention_heads")
    let channels = try required("hidden_size")
    let offset = try (integer("pad_token_id") ?? 1) + 1
    guard offset > 0, offset < 1 << 30 else {
      throw FieldProblem("pad_token_id is \(offset - 1); a number from 0 to 2^30 was expected")
    }
    return ModelConfiguration(
      family: .roberta, vocabularySize: try required("vocab_size"), channels: channels,
      attention: try sameAttention(), headCount: heads,
      keyValueHeadCount: heads, headSize: try derivedHeadSize(channels, heads),
      intermediateSize: try required("intermediate_size"),
      maximumPositions: try required("max_position_embeddings") - offset,
      norm: .layer, normEpsilon: try float("layer_norm_eps") ?? 1e-12, normPlacement: .post,
      learnedPositionOffset: offset, tokenTypeCount: try integer("type_vocab_size") ?? 2,
      activation: try activation(default: "gelu"), isGated: false, isCausal: false,
      attentionInputBias: true, attentionOutputBias: true, feedForwardBias: true,
      tiesWordEmbeddings: try bool("tie_word_embeddings") ?? true,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .first)
  }
}
