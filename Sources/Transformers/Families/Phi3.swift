// Phi-3 and Phi-4-mini (arXiv 2404.14219): a decoder whose query, key and value are one module, as
// are gate and up. LongRoPE, and rotary positions for a part of the channels.

internal import GGUF
internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// Phi-3 and Phi-4-mini.
  static let phi3 = ModelFamily(
    name: "phi3", classifiers: ["phi3": "Phi3ForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(phi3Fields) { $1 } }, hasRotaryFields: true,
    read: { fields, _, rope in try fields.phi3(rope) },
    names: .decoder(
      .init(
        path: "model.layers.",
        linears: [
          .query: "self_attn.qkv_proj", .key: "self_attn.qkv_proj", .value: "self_attn.qkv_proj",
          .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_up_proj", .up: "mlp.gate_up_proj",
          .down: "mlp.down_proj",
        ], attentionNorm: "input_layernorm", feedForwardNorm: "post_attention_layernorm")),
    gguf: GGUFFamily(
      architectures: ["phi3": "phi3"], rotaryFactors: .long, ignoresWindow: true,
      metadata: { model in
        // 0 stands for no window.
        let window = model.attention[0].window.map { $0.before + 1 } ?? 0
        return [GGUFEntry("attention.sliding_window", .uint32(UInt32(window)))]
      }))
}

/// The fields of config.json.
private let phi3Fields: [String: FieldMeaning] = [
  "sliding_window": .computed, "resid_pdrop": .withoutEffect, "embd_pdrop": .withoutEffect,
  "attention_bias": ModelFields.falseOnly, "mlp_bias": ModelFields.falseOnly,
  "full_attn_mod": .only([.number("1")]), "interpolate_factor": .only([.number("1")]),
  "lm_head_bias": ModelFields.falseOnly, "auto_map": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func phi3(_ rope: RotaryFields) throws -> ModelConfiguration {
    let positions = try integer("max_position_embeddings") ?? 4096
    let rotary = try rotary(
      try rope.forAllLayers(), headSize: headSize(), maximumPositions: positions, isPartial: true)
    let windows = try sameWindows(size: try integer("sliding_window"))
    return try decoder(
      .phi3, attention: windows.map { .init(rotary: rotary, window: $0) },
      maximumPositions: positions, epsilon: 1e-5)
  }
}
