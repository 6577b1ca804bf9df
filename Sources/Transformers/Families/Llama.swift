// Llama (Touvron et al., arXiv 2302.13971) and its descendants with the same modules: Mistral with its
// sliding window (Jiang et al., arXiv 2310.06825), Qwen 2, SmolLM.

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// Llama, Mistral and Qwen 2.
  static let llama = ModelFamily(
    name: "llama",
    classifiers: [
      "llama": "LlamaForSequenceClassification", "mistral": "MistralForSequenceClassification",
      "qwen2": "Qwen2ForSequenceClassification",
    ],
    fields: LlamaFields.meanings, hasRotaryFields: true,
    read: { fields, type, rope in try fields.llama(type, rope: rope) },
    names: .decoder(
      .init(
        path: "model.layers.", linears: ModuleNames.decoderLinears,
        attentionNorm: "input_layernorm", feedForwardNorm: "post_attention_layernorm")),
    gguf: GGUFFamily(
      architectures: ["llama": "llama", "mistral": "llama", "qwen2": "qwen2"],
      rotatesNeighbours: ["llama", "mistral"], hasAllBiases: true, rotaryFactors: .llama3))
}

/// The fields of config.json.
private enum LlamaFields {
  static func meanings(of modelType: String) -> [String: FieldMeaning] {
    let own =
      switch modelType {
      case "mistral": mistral
      case "qwen2": qwen2
      default: llama
      }
    return ModelFields.rotary.merging(own) { $1 }
  }

  static let llama: [String: FieldMeaning] = [
    "attention_bias": .computed, "mlp_bias": .computed,
    "pretraining_tp": .only([.number("1")]),
    // Fields of SmolLM's training framework.
    "is_llama_config": .withoutEffect, "rope_interleaved": ModelFields.falseOnly,
  ]

  /// Mistral's layers have no biases, whatever the file says.
  static let mistral: [String: FieldMeaning] = [
    "sliding_window": .computed, "attention_bias": ModelFields.falseOnly,
    "mlp_bias": ModelFields.falseOnly,
  ]

  /// Query, key and value have biases and no other layer has, whatever the file says.
  static let qwen2: [String: FieldMeaning] = [
    "sliding_window": .computed, "use_sliding_window": .computed,
    "max_window_layers": .computed, "attention_bias": .withoutEffect,
    "mlp_bias": ModelFields.falseOnly,
    "use_mrope": ModelFields.falseOnly,
  ]
}

extension ConfigurationFields {
  fileprivate func llama(_ type: String, rope: RotaryFields) throws -> ModelConfiguration {
    let positions =
      try integer("max_position_embeddings")
      ?? (type == "llama" ? 2048 : type == "mistral" ? 131_072 : 32768)
    let rotary = try rotary(
      try rope.forAllLayers(), headSize: headSize(), maximumPositions: positions)
    let attention = try llamaWindows(type).map { AttentionKind(rotary: rotary, window: $0) }
    var model = try decoder(
      .llama, attention: attention, maximumPositions: positions,
      keyValueHeads: type == "mistral" ? 8 : type == "qwen2" ? 32 : nil)
    let hasBias = type == "llama" ? try bool("attention_bias") ?? false : false
    model.attentionInputBias = type == "qwen2" || hasBias
    model.attentionOutputBias = hasBias
    model.feedForwardBias = try bool("mlp_bias") ?? false
    return model
  }

  private func llamaWindows(_ type: String) throws -> [AttentionWindow?] {
    switch type {
    case "qwen2": return try qwenWindows()
    case "mistral":
      // A missing field has transformers' default; null says that there is no window.
      let size = has("sliding_window") ? try integer("sliding_window") : 4096
      return try sameWindows(size: size)
    default: return try sameWindows(size: nil)
    }
  }

  /// Qwen's windows, which only the upper blocks have.
  func qwenWindows() throws -> [AttentionWindow?] {
    let isUsed = try bool("use_sliding_window") ?? false
    let size = has("sliding_window") ? try integer("sliding_window") : 4096
    let first = try integer("max_window_layers") ?? 28
    return try windows(size: isUsed ? size : nil) { $0 >= first }
  }
}
