// SmolLM3: a decoder with blocks without positions (NoPE, Kazemnejad et al., arXiv 2305.19466).

internal import Kernels
internal import Safetensors

extension ModelFamily {
  /// SmolLM3.
  static let smolLM3 = ModelFamily(
    name: "smollm3", classifiers: ["smollm3": "SmolLM3ForSequenceClassification"],
    fields: { _ in ModelFields.rotary.merging(smolLM3Fields) { $1 } }, hasRotaryFields: true,
    read: { fields, _, rope in try fields.smolLM3(rope) },
    names: .decoder(
      .init(
        path: "model.layers.", linears: ModuleNames.decoderLinears,
        attentionNorm: "input_layernorm", feedForwardNorm: "post_attention_layernorm")),
    gguf: GGUFFamily(
      architectures: ["smollm3": "smollm3"], rotatesNeighbours: ["smollm3"],
      metadata: { model in
        // llama.cpp has no key for these blocks.
        try GGUFFamily.require(
          "rotary positions", in: model.attention.map { $0.rotary != nil },
          where: { ($0 + 1) % 4 != 0 })
        return []
      }))
}

/// The fields of config.json.
private let smolLM3Fields: [String: FieldMeaning] = [
  "sliding_window": .computed, "use_sliding_window": .computed, "max_window_layers": .withoutEffect,
  "no_rope_layers": .computed, "no_rope_layer_interval": .computed,
  "attention_bias": .computed, "mlp_bias": .computed,
]

extension ConfigurationFields {
  fileprivate func smolLM3(_ rope: RotaryFields) throws -> ModelConfiguration {
    let positions = try integer("max_position_embeddings") ?? 32768
    let rotary = try rotary(
      try rope.forAllLayers(), headSize: headSize(), maximumPositions: positions, theta: 2_000_000)
    let isRotated = try rotatedLayers()
    let isUsed = try bool("use_sliding_window") ?? false
    let windows = try windows(size: isUsed ? try integer("sliding_window") : nil) { !isRotated[$0] }
    var model = try decoder(
      .smolLM3,
      attention: zip(isRotated, windows).map { .init(rotary: $0 ? rotary : nil, window: $1) },
      maximumPositions: positions, keyValueHeads: 4)
    model.attentionInputBias = try bool("attention_bias") ?? false
    model.attentionOutputBias = model.attentionInputBias
    model.feedForwardBias = try bool("mlp_bias") ?? false
    model.tiesWordEmbeddings = try bool("tie_word_embeddings") ?? true
    return model
  }

  /// For each block, true if it has rotary positions: `no_rope_layers` says 1 for those.
  private func rotatedLayers() throws -> [Bool] {
    let count = try layerCount()
    guard let listed = self["no_rope_layers"] else {
      let interval = try integer("no_rope_layer_interval") ?? 4
      guard interval > 0 else {
        throw FieldProblem(
          "no_rope_layer_interval is \(interval); a number of at least 1 was expected")
      }
      return (0..<count).map { ($0 + 1) % interval != 0 }
    }
    guard case .array(let values) = listed, values.count == count else {
      throw FieldProblem("no_rope_layers is no list of \(count) numbers, one for each block")
    }
    return try values.map { value in
      guard let number = value.integer, number == 0 || number == 1 else {
        throw FieldProblem("no_rope_layers has \(value.excerpt); 0 or 1 was expected")
      }
      return number == 1
    }
  }
}
