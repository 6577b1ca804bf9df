// The paths of a model's modules in Hugging Face transformers, from the names of its family.

extension ModelConfiguration {
  /// The names of the family.
  package var names: ModuleNames { family.names }

  /// The path of a linear layer in the full model, such as `model.layers.0.self_attn.q_proj`.
  ///
  /// - Parameter layer: the block; ignored for layers outside the blocks.
  /// - Precondition: the family has the layer.
  public func moduleName(of role: LinearRole, layer: Int) -> String {
    let name =
      switch role {
      case .pooler: names.pooler
      case .languageHeadTransform: names.languageHead.transform
      default: names.block.linears[role].map { blockPath(layer) + $0 }
      }
    guard let name else { preconditionFailure("\(family.name) has no \(role)") }
    return name
  }

  /// The module of a block's first norm (before or after attention).
  func attentionNormName(layer: Int) -> String { blockPath(layer) + names.block.attentionNorm }

  /// The module of a block's second norm (before or after the feed-forward part).
  func feedForwardNormName(layer: Int) -> String { blockPath(layer) + names.block.feedForwardNorm }

  private func blockPath(_ layer: Int) -> String { "\(names.block.path)\(layer)." }

  /// The name of a tensor of the full model, for a name in a file: with the prefix that checkpoints
  /// of the bare model leave out, and with LayerNorm's parameters named as PyTorch does, not
  /// TensorFlow.
  public func fullName(ofTensor name: String) -> String {
    let name = name.replacing("LayerNorm.gamma", with: "LayerNorm.weight")
      .replacing("LayerNorm.beta", with: "LayerNorm.bias")
    let outside = [names.basePrefix] + ModelFamily.all.flatMap(\.names.outside)
    return outside.contains(where: name.hasPrefix) ? name : names.basePrefix + name
  }
}
