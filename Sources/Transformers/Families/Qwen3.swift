// Qwen 3 (arXiv 2505.09388): a decoder that normalizes each head's queries and keys, without biases.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// Qwen 3 without experts.
  static let qwen3 = ModelFamily(
    name: "qwen3", classifiers: ["qwen3": "Qwen3ForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(qwen3Fields) { $1 } }, hasRotaryFields: true,
    read: { fields, _, rope in try fields.qwen3(rope) },
    names: .decoder(
      .init(
        path: "model.layers.", linears: ModuleNames.decoderLinears,
        attentionNorm: "input_layernorm", feedForwardNorm: "post_attention_layernorm",
        queryKeyNorms: .init(
          query: "self_attn.q_norm", key: "self_attn.k_norm", isPerHead: true))),
    gguf: GGUFFamily(architectures: ["qwen3": "qwen3"]))
}

/// The fields of config.json.
private let qwen3Fields: [String: FieldMeaning] = [
  "sliding_window": .computed, "use_sliding_window": .computed, "max_window_layers": .computed,
  "attention_bias": .computed, "mlp_bias": ModelFields.falseOnly,
]

extension ConfigurationFields {
  fileprivate func qwen3(_ rope: RotaryFields) throws -> ModelConfiguration {
    let positions = try integer("max_position_embeddings") ?? 32768
    let headSize = try integer("head_dim") ?? 128
    let rotary = try rotary(
      try rope.forAllLayers(), headSize: headSize, maximumPositions: positions)
    var model = try decoder(
      .qwen3, attention: try qwenWindows().map { AttentionKind(rotary: rotary, window: $0) },
      maximumPositions: positions, keyValueHeads: 32)
    model.headSize = headSize
    model.attentionInputBias = try bool("attention_bias") ?? false
    model.attentionOutputBias = model.attentionInputBias
    return model
  }
}
