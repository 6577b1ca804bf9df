// OLMo 2 (arXiv 2501.00656): a decoder that normalizes what each half of a block adds to the residual
// stream in place of what it reads, and all heads' queries and keys together.

internal import Safetensors

extension ModelFamily {
  /// OLMo 2.
  static let olmo2 = ModelFamily(
    name: "olmo2", classifiers: ["olmo2": "Olmo2ForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(["attention_bias": .computed]) { $1 } },
    hasRotaryFields: true, read: { fields, _, rope in try fields.olmo2(rope) },
    names: .decoder(
      .init(
        path: "model.layers.", linears: ModuleNames.decoderLinears,
        branchNorms: .init(
          attention: "post_attention_layernorm", feedForward: "post_feedforward_layernorm"),
        queryKeyNorms: .init(
          query: "self_attn.q_norm", key: "self_attn.k_norm", isPerHead: false))),
    gguf: GGUFFamily(architectures: ["olmo2": "olmo2"]))
}

extension ConfigurationFields {
  fileprivate func olmo2(_ rope: RotaryFields) throws -> ModelConfiguration {
    let positions = try integer("max_position_embeddings") ?? 2048
    let rotary = try rotary(
      try rope.forAllLayers(), headSize: headSize(), maximumPositions: positions)
    var model = try decoder(
      .olmo2, attention: try sameAttention(.init(rotary: rotary)),
      maximumPositions: positions, epsilon: 1e-5)
    model.attentionInputBias = try bool("attention_bias") ?? false
    model.attentionOutputBias = model.attentionInputBias
    return model
  }
}
