// Gemma 3's language model (arXiv 2503.19786): a decoder with norms before and after each half of a
// block, norms of queries and keys, scaled embeddings, and a sliding window in five blocks of six.

internal import GGUF
internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// Gemma 3, text.
  static let gemma3 = ModelFamily(
    name: "gemma3_text", classifiers: ["gemma3_text": "Gemma3TextForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(gemma3Fields) { $1 } },
    spelling: ["hidden_act": "hidden_activation"], hasRotaryFields: true,
    read: { fields, _, rope in try fields.gemma3(rope) },
    names: .decoder(
      .init(
        path: "model.layers.", linears: ModuleNames.decoderLinears,
        attentionNorm: "input_layernorm", feedForwardNorm: "pre_feedforward_layernorm",
        branchNorms: .init(
          attention: "post_attention_layernorm", feedForward: "post_feedforward_layernorm"),
        queryKeyNorms: .init(
          query: "self_attn.q_norm", key: "self_attn.k_norm", isPerHead: true))),
    gguf: GGUFFamily(
      architectures: ["gemma3_text": "gemma3"], activations: [.geluTanh],
      metadata: { try $0.gemma3Metadata() }))
}

extension ModelConfiguration {
  /// llama.cpp has the windows of five blocks of six, and one factor of the scores.
  fileprivate func gemma3Metadata() throws -> [GGUFEntry] {
    let largest = 62  // blocks of the model with 27B parameters, which has another factor
    let size = layerCount == largest ? channels / headCount : headSize
    guard attentionScale == nil || attentionScale == 1 / Float(size).squareRoot() else {
      throw FieldProblem("llama.cpp has another query_pre_attn_scalar than this model")
    }
    guard let local = attention.first(where: { $0.window != nil }), let window = local.window
    else { return [] }
    try GGUFFamily.require(
      "a sliding window", in: attention.map { $0.window != nil }, where: { ($0 + 1) % 6 != 0 })
    return [
      GGUFEntry("attention.sliding_window", .uint32(UInt32(window.before + 1))),
      GGUFEntry("rope.freq_base_swa", .float32(Float(local.rotary?.theta ?? 10000))),
    ]
  }
}

/// The fields of config.json.
private let gemma3Fields: [String: FieldMeaning] = [
  "sliding_window": .computed, "sliding_window_pattern": .computed,
  "_sliding_window_pattern": .withoutEffect, "rope_local_base_freq": .computed,
  "query_pre_attn_scalar": .computed, "attention_bias": .computed,
  "attn_logit_softcapping": .only([]), "final_logit_softcapping": .only([]),
  "use_bidirectional_attention": ModelFields.falseOnly, "cache_implementation": .withoutEffect,
]

extension ConfigurationFields {
  fileprivate func gemma3(_ rope: RotaryFields) throws -> ModelConfiguration {
    let positions = try integer("max_position_embeddings") ?? 131_072
    let headSize = try integer("head_dim") ?? 256
    let pattern = try integer("sliding_window_pattern") ?? 6
    guard pattern > 0 else {
      throw FieldProblem(
        "sliding_window_pattern is \(pattern); a number of at least 1 was expected")
    }
    // transformers does not read one object for all layers here.
    guard self["rope_parameters"] == nil || !rope.byLayerType.isEmpty else {
      throw FieldProblem(
        "rope_parameters needs the objects \"full_attention\" and \"sliding_attention\"")
    }
    let size = has("sliding_window") ? try integer("sliding_window") : 4096
    let windows = try windows(size: size) { ($0 + 1) % pattern != 0 }
    let full = try rotary(
      rope.byLayerType["full_attention"] ?? rope.forAllLayers(), headSize: headSize,
      maximumPositions: positions, theta: 1_000_000)
    // `rope_theta` beside the objects is the full layers' alone.
    let local = try rotary(
      rope.byLayerType["sliding_attention"], headSize: headSize, maximumPositions: positions,
      thetaField: "rope_local_base_freq")
    var model = try decoder(
      .gemma3, attention: windows.map { .init(rotary: $0 == nil ? full : local, window: $0) },
      maximumPositions: positions, keyValueHeads: 4)
    model.headSize = headSize
    model.norm = .rootMeanSquareAroundOne
    model.activation = try activation(default: "gelu_pytorch_tanh")
    model.attentionInputBias = try bool("attention_bias") ?? false
    model.attentionOutputBias = model.attentionInputBias
    model.tiesWordEmbeddings = try bool("tie_word_embeddings") ?? true
    let scalar = try float("query_pre_attn_scalar") ?? 256
    guard scalar > 0 else {
      throw FieldProblem("query_pre_attn_scalar is \(scalar); a number above 0 was expected")
    }
    model.attentionScale = 1 / scalar.squareRoot()
    model.embeddingScale = Float(model.channels).squareRoot()
    return model
  }
}
