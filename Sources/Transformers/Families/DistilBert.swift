// DistilBERT (Sanh et al., arXiv 1910.01108): BERT's block without token types and pooler. The
// classifier is a dense layer with ReLU and a product, both trained with the head.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// DistilBERT.
  static let distilBert = ModelFamily(
    name: "distilbert", classifiers: ["distilbert": "DistilBertForSequenceClassification"],
    fields: { _ in distilBertFields },
    spelling: [
      "hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers",
      "intermediate_size": "hidden_dim", "hidden_act": "activation",
    ], otherSpellings: ["hidden_size", "num_attention_heads", "num_hidden_layers"],
    hasRotaryFields: false, read: { fields, _, _ in try fields.distilBert() },
    names: ModuleNames(
      basePrefix: "distilbert.",
      embeddings: .init(
        tokens: "distilbert.embeddings.word_embeddings",
        positions: "distilbert.embeddings.position_embeddings",
        norm: "distilbert.embeddings.LayerNorm"),
      block: .init(
        path: "distilbert.transformer.layer.",
        linears: [
          .query: "attention.q_lin", .key: "attention.k_lin", .value: "attention.v_lin",
          .attentionOutput: "attention.out_lin", .up: "ffn.lin1", .down: "ffn.lin2",
        ], attentionNorm: "sa_layer_norm", feedForwardNorm: "output_layer_norm"),
      languageHead: .init(
        output: "vocab_projector", transform: "vocab_transform",
        transformNorm: "vocab_layer_norm", bias: "vocab_projector.bias"),
      classificationHead: .init(
        dense: "pre_classifier", activation: .relu, module: "classifier", hasBias: true),
      outside: ["vocab_", "pre_classifier.", "classifier."]),
    gguf: .encoder(["distilbert": "bert"]))
}

/// The fields of config.json.
private let distilBertFields: [String: FieldMeaning] = [
  // The vectors are in the files in any case.
  "sinusoidal_pos_embds": .withoutEffect, "tie_weights_": .withoutEffect,
  "dropout": .withoutEffect, "attention_dropout": .withoutEffect, "qa_dropout": .withoutEffect,
  "seq_classif_dropout": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func distilBert() throws -> ModelConfiguration {
    let (channels, heads) = (try required("hidden_size"), try required("num_attention_heads"))
    return ModelConfiguration(
      family: .distilBert, vocabularySize: try required("vocab_size"), channels: channels,
      attention: try sameAttention(), headCount: heads, keyValueHeadCount: heads,
      headSize: try derivedHeadSize(channels, heads),
      intermediateSize: try required("intermediate_size"),
      maximumPositions: try integer("max_position_embeddings") ?? 512, norm: .layer,
      normEpsilon: 1e-12, normPlacement: .post, learnedPositionOffset: 0, tokenTypeCount: 0,
      activation: try activation(default: "gelu"), isGated: false, isCausal: false,
      attentionInputBias: true, attentionOutputBias: true, feedForwardBias: true,
      tiesWordEmbeddings: try bool("tie_word_embeddings") ?? true,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .first)
  }
}
