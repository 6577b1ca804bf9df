// The paths of a model's modules in Hugging Face transformers, from the names of its family.

extension ModelConfiguration {
  /// The names of the family.
  package var names: ModuleNames { family.names }

  /// The path of a linear layer in the full model, such as `model.layers.0.self_attn.q_proj`.
  ///
  /// - Parameter layer: the block; ignored for layers outside the blocks.
  /// - Precondition: the family has the layer.
  public func moduleName(of role: LinearRole, layer: Int) -> String {
    guard let name = linearName(of: role) else {
      preconditionFailure("\(family.name) has no \(role)")
    }
    return role.group.isInBlock ? blockPath(layer) + name : name
  }

  /// The name of a linear layer, within its block if it is in one; nil if the family has none.
  func linearName(of role: LinearRole) -> String? {
    switch role {
    case .pooler: names.pooler?.module
    case .languageHeadTransform: names.languageHead?.transform
    default: names.block.linears[role]
    }
  }

  /// True if the family's classifier puts a pooler after this hidden state.
  package func hasPooler(after pooling: Pooling) -> Bool {
    switch pooling {
    case .first: names.pooler != nil
    case .last: false
    case .mean: names.pooler?.takesMean ?? false
    }
  }

  /// True if files hold a tensor of two dimensions as (inputs, outputs), as Conv1D of GPT-2 does.
  package func isStoredTransposed(_ tensor: String) -> Bool {
    names.block.storesInputsFirst && tensor.hasPrefix(names.block.path)
  }

  func blockPath(_ layer: Int) -> String { "\(names.block.path)\(layer)." }

  /// The name of a tensor of the full model, for a name in a file: with the prefix that checkpoints
  /// of the bare model leave out, and with LayerNorm's parameters named as PyTorch does, not
  /// TensorFlow.
  public func fullName(ofTensor name: String) -> String {
    let name = name.replacing("LayerNorm.gamma", with: "LayerNorm.weight")
      .replacing("LayerNorm.beta", with: "LayerNorm.bias")
    let outside = [names.basePrefix] + ModelFamily.all.flatMap(\.names.outside)
    let full = outside.contains(where: name.hasPrefix) ? name : names.basePrefix + name
    return names.fileSpellings.reduce(full) { $0.replacing($1.file, with: $1.module) }
  }

  /// The name in files of a tensor of the full model, as transformers writes it.
  package func fileName(ofTensor full: String) -> String {
    names.fileSpellings.reversed().reduce(full) { $0.replacing($1.module, with: $1.file) }
  }
}
