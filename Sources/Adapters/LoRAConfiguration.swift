// Which linear layers carry a LoRA pair, and how (Hu et al. 2021): W x becomes
// W x + (alpha / r) B A dropout(x). The words and meanings are PEFT's.

/// The linear layers that are adapted.
public enum LoRATargets: Sendable, Equatable {
  /// Every linear layer but the head, as PEFT's "all-linear".
  case allLinear
  /// Layers whose module path is, or ends with a dot and, one of these names.
  case named([String])
}

/// Rank, scale, targets and dropout of an adapter.
public struct LoRAConfiguration: Sendable, Equatable {
  /// Rows of every A, columns of every B ("r").
  public var loraRank: Int
  /// Numerator of the scale alpha / r.
  public var alpha: Float
  /// Divides alpha by sqrt(r) in place of r (rank-stabilized LoRA, Kalajdzievski 2023).
  public var isRankStabilized: Bool
  /// Adapted layers.
  public var targets: LoRATargets
  /// Blocks that are adapted ("layers_to_transform"), or nil for all.
  public var layers: [Int]?
  /// Probability that an element of A's input is dropped during training.
  public var dropout: Float

  /// A configuration; only rank and alpha have no default.
  public init(
    loraRank: Int, alpha: Float, isRankStabilized: Bool = false,
    targets: LoRATargets = .allLinear, layers: [Int]? = nil, dropout: Float = 0
  ) {
    precondition(loraRank > 0, "a LoRA rank is at least 1, found \(loraRank)")
    precondition(dropout >= 0 && dropout < 1, "dropout is in 0 ..< 1, found \(dropout)")
    self.loraRank = loraRank
    self.alpha = alpha
    self.isRankStabilized = isRankStabilized
    self.targets = targets
    self.layers = layers
    self.dropout = dropout
  }

  /// Factor of B A x.
  public var scale: Float {
    alpha / (isRankStabilized ? Float(loraRank).squareRoot() : Float(loraRank))
  }

  /// Whether the layer at `modulePath` is adapted; `layer` is nil outside the blocks.
  func adapts(modulePath: String, layer: Int?) -> Bool {
    if let layers {
      guard let layer, layers.contains(layer) else { return false }
    }
    switch targets {
    case .allLinear: return true
    case .named(let names):
      return names.contains { modulePath == $0 || modulePath.hasSuffix("." + $0) }
    }
  }
}
