// A pretrained model with other values in some of its linear layers: methods that merge what was trained
// into the base weights (FLoRA, Wang et al. 2024, arXiv 2409.05976). Everything else is the model's own, in
// place, so that a replacement costs the replaced matrices alone.

public import Kernels

/// A linear layer of a model.
public struct LinearPlace: Sendable, Hashable {
  /// What it is.
  public var role: LinearRole
  /// Its block; 0 for layers after the blocks.
  public var layer: Int

  /// The layer of this role in this block.
  public init(role: LinearRole, layer: Int) {
    self.role = role
    self.layer = layer
  }
}

extension PretrainedModel {
  /// The layer at a place; nil where the model has none.
  public func linear(at place: LinearPlace) -> LinearWeights? {
    switch place.role {
    case .pooler: pooler
    case .languageHeadTransform: languageHead?.transform
    default: weights.blocks[place.layer].linears[place.role.rawValue]
    }
  }

  /// The same model with other weights, (outputs, inputs) in F32, at some places. A place stands for
  /// its module: all layers that the module holds.
  ///
  /// - Parameter owner: keeps their memory; it lives as long as the new model.
  /// - Precondition: the model has a linear layer at each place.
  public func replacing(_ weights: [LinearPlace: Floats], owner: AnyObject?) -> PretrainedModel {
    func replaced(_ linear: LinearWeights?, _ role: LinearRole, layer: Int = 0) -> LinearWeights? {
      let module = configuration.module(of: role)
      guard let weight = weights[LinearPlace(role: module.role, layer: layer)] else {
        return linear
      }
      guard let linear, let rows = module.rows(of: role) else {
        preconditionFailure("no \(role) in layer \(layer) to replace")
      }
      return LinearWeights(
        weight: PlainMatrix(
          weight + rows.lowerBound * linear.inputs, inputs: linear.inputs, outputs: linear.outputs),
        bias: linear.bias, inputs: linear.inputs, outputs: linear.outputs)
    }
    var found = self.weights
    for layer in found.blocks.indices {
      // A layer after the blocks is none of block 0.
      for role in LinearRole.allCases where found.blocks[layer].linears[role.rawValue] != nil {
        found.blocks[layer].linears[role.rawValue] = replaced(
          found.blocks[layer].linears[role.rawValue], role, layer: layer)
      }
    }
    found.languageHead = found.languageHead.map { head in
      LanguageHeadWeights(
        transform: head.transform.flatMap { replaced($0, .languageHeadTransform) },
        transformNorm: head.transformNorm, output: head.output)
    }
    found.pooler = found.pooler.flatMap { replaced($0, .pooler) }
    return PretrainedModel(self, weights: found, owner: owner)
  }
}
