// ViT (Dosovitskiy et al., arXiv 2010.11929): pre-norm blocks with LayerNorm over the patches of an
// image, after a class token, which the classifier reads.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// ViT.
  static let vit = ModelFamily(
    name: "vit", classifiers: ["vit": "ViTForImageClassification"],
    fields: { _ in vitFields }, hasRotaryFields: false,
    read: { fields, _, _ in try fields.vit() },
    names: ModuleNames(
      basePrefix: "vit.",
      embeddings: .init(
        images: .init(
          patches: "vit.embeddings.patch_embeddings.projection",
          classToken: "vit.embeddings.cls_token", positions: "vit.embeddings.position_embeddings")),
      block: .init(
        path: "vit.layers.",
        linears: [
          .query: "attention.q_proj", .key: "attention.k_proj", .value: "attention.v_proj",
          .attentionOutput: "attention.o_proj", .up: "mlp.fc1", .down: "mlp.fc2",
        ], attentionNorm: "layernorm_before", feedForwardNorm: "layernorm_after"),
      finalNorm: "vit.layernorm",
      classificationHead: .init(module: "classifier", hasBias: true),
      outside: ["classifier."],
      // transformers 5 renamed the modules, and writes files as before.
      fileSpellings: [
        .init(file: "vit.encoder.layer.", module: "vit.layers."),
        .init(file: ".attention.attention.query", module: ".attention.q_proj"),
        .init(file: ".attention.attention.key", module: ".attention.k_proj"),
        .init(file: ".attention.attention.value", module: ".attention.v_proj"),
        .init(file: ".attention.output.dense", module: ".attention.o_proj"),
        .init(file: ".intermediate.dense", module: ".mlp.fc1"),
        .init(file: ".output.dense", module: ".mlp.fc2"),
      ],
      // The bare model's pooler, which no classifier reads, and the token of masked images.
      buffers: ["pooler.dense.weight", "pooler.dense.bias", "embeddings.mask_token"]))
}

/// The fields of config.json.
private let vitFields: [String: FieldMeaning] = [
  "image_size": .computed, "patch_size": .computed, "num_channels": .computed,
  "qkv_bias": .computed, "layer_norm_eps": .computed,
  "hidden_dropout_prob": .withoutEffect, "attention_probs_dropout_prob": .withoutEffect,
  "encoder_stride": .withoutEffect, "pooler_output_size": .withoutEffect,
  "pooler_act": .withoutEffect, "vocab_size": .withoutEffect,
  "max_position_embeddings": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func vit() throws -> ModelConfiguration {
    let heads = try integer("num_attention_heads") ?? 12
    let channels = try integer("hidden_size") ?? 768
    let image = try imageShape()
    var configuration = ModelConfiguration(
      family: .vit, vocabularySize: 0, channels: channels, attention: try sameAttention(),
      headCount: heads, keyValueHeadCount: heads, headSize: try derivedHeadSize(channels, heads),
      intermediateSize: try integer("intermediate_size") ?? 3072,
      maximumPositions: image.tokenCount, norm: .layer,
      normEpsilon: try float("layer_norm_eps") ?? 1e-12, normPlacement: .pre,
      learnedPositionOffset: nil, tokenTypeCount: 0, activation: try activation(default: "gelu"),
      isGated: false, isCausal: false, attentionInputBias: try bool("qkv_bias") ?? true,
      attentionOutputBias: true, feedForwardBias: true, tiesWordEmbeddings: false,
      initializerRange: try float("initializer_range") ?? 0.02, pooling: .first)
    configuration.image = image
    return configuration
  }

  private func imageShape() throws -> ImageShape {
    let (size, patch) = (try integer("image_size") ?? 224, try integer("patch_size") ?? 16)
    let channels = try integer("num_channels") ?? 3
    guard (1...4096).contains(size), (1...size).contains(patch), size % patch == 0 else {
      throw FieldProblem(
        "image_size \(size) and patch_size \(patch) are not supported; an image has whole patches,"
          + " and 4096 pixels a side at most")
    }
    guard (1...16).contains(channels) else {
      throw FieldProblem("num_channels is \(channels); a number from 1 to 16 was expected")
    }
    return ImageShape(size: size, patchSize: patch, channels: channels)
  }
}
