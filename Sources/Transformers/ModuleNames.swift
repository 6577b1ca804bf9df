// The names that Hugging Face gives to modules, and so to tensors and PEFT targets.

extension ModelConfiguration {
  /// Path of a linear layer inside the full model, such as `model.layers.0.self_attn.q_proj`.
  ///
  /// `layer` is ignored for layers outside the blocks.
  public func moduleName(of role: LinearRole, layer: Int) -> String {
    switch family {
    case .llama:
      let block = "model.layers.\(layer)."
      switch role {
      case .query: return block + "self_attn.q_proj"
      case .key: return block + "self_attn.k_proj"
      case .value: return block + "self_attn.v_proj"
      case .attentionOutput: return block + "self_attn.o_proj"
      case .gate: return block + "mlp.gate_proj"
      case .up: return block + "mlp.up_proj"
      case .down: return block + "mlp.down_proj"
      case .pooler, .languageHeadTransform: preconditionFailure("Llama has no \(role)")
      }
    case .bert:
      let block = "bert.encoder.layer.\(layer)."
      switch role {
      case .query: return block + "attention.self.query"
      case .key: return block + "attention.self.key"
      case .value: return block + "attention.self.value"
      case .attentionOutput: return block + "attention.output.dense"
      case .up: return block + "intermediate.dense"
      case .down: return block + "output.dense"
      case .pooler: return "bert.pooler.dense"
      case .languageHeadTransform: return "cls.predictions.transform.dense"
      case .gate: preconditionFailure("BERT's feed-forward part has no gate")
      }
    }
  }

  /// Path of the classification head.
  public var classificationHeadName: String {
    family == .llama ? "score" : "classifier"
  }

  /// Whether the classification head has a bias.
  public var classificationHeadHasBias: Bool { family == .bert }

  /// Module of the token embedding.
  var tokenEmbeddingName: String {
    family == .llama ? "model.embed_tokens" : "bert.embeddings.word_embeddings"
  }

  /// Module of a block's first norm (before or after attention).
  func attentionNormName(layer: Int) -> String {
    family == .llama
      ? "model.layers.\(layer).input_layernorm"
      : "bert.encoder.layer.\(layer).attention.output.LayerNorm"
  }

  /// Module of a block's second norm (before or after the feed-forward part).
  func feedForwardNormName(layer: Int) -> String {
    family == .llama
      ? "model.layers.\(layer).post_attention_layernorm"
      : "bert.encoder.layer.\(layer).output.LayerNorm"
  }

  /// Prefix that checkpoints of the bare model leave out.
  public var basePrefix: String { family == .llama ? "model." : "bert." }

  /// The name of a tensor of the full model, for a name in a file: with the prefix that checkpoints
  /// of the bare model leave out, and with LayerNorm's parameters named as PyTorch does, not
  /// TensorFlow.
  public func fullName(ofTensor name: String) -> String {
    let name = name.replacing("LayerNorm.gamma", with: "LayerNorm.weight")
      .replacing("LayerNorm.beta", with: "LayerNorm.bias")
    let outside = [basePrefix, "lm_head.", "cls.", "score.", "classifier."]
    return outside.contains(where: name.hasPrefix) ? name : basePrefix + name
  }
}
