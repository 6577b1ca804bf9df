// The linear layers of a model: their parts, the groups that share an input, and the modules of
// transformers that hold them. A module is one layer, or several of a group side by side (GPT-2's
// `c_attn` is query, key and value).

extension ModelConfiguration {
  /// The linear layers of a block's `group`, in order.
  public func roles(of group: LinearGroup) -> [LinearRole] {
    switch group {
    case .attentionInput: [.query, .key, .value]
    case .attentionOutput: [.attentionOutput]
    case .feedForwardInput: isGated ? [.gate, .up] : [.up]
    case .feedForwardOutput: [.down]
    case .pooler: [.pooler]
    case .languageHead: [.languageHeadTransform]
    }
  }

  /// (inputs, outputs) of a linear layer.
  public func size(of role: LinearRole) -> (inputs: Int, outputs: Int) {
    switch role {
    case .query: (channels, queryChannels)
    case .key, .value: (channels, keyChannels)
    case .attentionOutput: (queryChannels, channels)
    case .gate, .up: (channels, intermediateSize)
    case .down: (intermediateSize, channels)
    case .pooler, .languageHeadTransform: (channels, channels)
    }
  }

  /// Whether a linear layer has a bias.
  public func hasBias(_ role: LinearRole) -> Bool {
    switch role {
    case .query, .key, .value: attentionInputBias
    case .attentionOutput: attentionOutputBias
    case .gate, .up, .down: feedForwardBias
    case .pooler: names.pooler?.hasBias ?? true
    case .languageHeadTransform: true
    }
  }

  /// The modules of a group, in order.
  public func modules(of group: LinearGroup) -> [LinearModule] {
    var modules: [LinearModule] = []
    var name: String?
    for role in roles(of: group) {
      let (own, size) = (linearName(of: role), size(of: role))
      if own != nil, own == name {
        modules[modules.count - 1].append(role, outputs: size.outputs)
      } else {
        modules.append(LinearModule(role, inputs: size.inputs, outputs: size.outputs))
      }
      name = own
    }
    return modules
  }

  /// The module that holds a layer.
  public func module(of role: LinearRole) -> LinearModule {
    guard let module = modules(of: role.group).first(where: { $0.rows(of: role) != nil }) else {
      preconditionFailure("\(family.name) has no \(role)")
    }
    return module
  }
}

/// One linear module of transformers: (inputs, outputs), whose output rows belong to one layer or,
/// one after the other, to several.
public struct LinearModule: Sendable, Equatable {
  /// A layer's rows of the module.
  public struct Part: Sendable, Equatable {
    /// The layer.
    public let role: LinearRole
    /// Its outputs among the module's.
    public let rows: Range<Int>
  }

  /// The layers, in the order of their rows.
  public private(set) var parts: [Part]
  /// Inputs.
  public let inputs: Int

  init(_ role: LinearRole, inputs: Int, outputs: Int) {
    parts = [Part(role: role, rows: 0..<outputs)]
    self.inputs = inputs
  }

  mutating func append(_ role: LinearRole, outputs: Int) {
    parts.append(Part(role: role, rows: self.outputs..<self.outputs + outputs))
  }

  /// The first layer, which stands for the module.
  public var role: LinearRole { parts[0].role }
  /// Outputs of all layers.
  public var outputs: Int { parts[parts.count - 1].rows.upperBound }
  /// The rows of a layer; nil if the module does not hold it.
  public func rows(of role: LinearRole) -> Range<Int>? { parts.first { $0.role == role }?.rows }
}

/// A linear layer's part in the model.
public enum LinearRole: Int, Sendable, CaseIterable {
  /// Query projection, (C) to (H * D).
  case query
  /// Key projection.
  case key
  /// Value projection.
  case value
  /// Projection of the heads' results back to C.
  case attentionOutput
  /// Gate of a gated feed-forward part.
  case gate
  /// First product of the feed-forward part, (C) to (I).
  case up
  /// Last product of the feed-forward part, (I) to (C).
  case down
  /// BERT's pooler.
  case pooler
  /// The transform before BERT's language modelling head.
  case languageHeadTransform

  /// The layers that read the same input.
  public var group: LinearGroup {
    switch self {
    case .query, .key, .value: .attentionInput
    case .attentionOutput: .attentionOutput
    case .gate, .up: .feedForwardInput
    case .down: .feedForwardOutput
    case .pooler: .pooler
    case .languageHeadTransform: .languageHead
    }
  }
}

/// Linear layers that read the same input, in the order in which a forward pass meets them.
public enum LinearGroup: Int, Sendable, CaseIterable, Comparable {
  /// Query, key and value.
  case attentionInput
  /// The attention's output product.
  case attentionOutput
  /// Gate and up, or up alone.
  case feedForwardInput
  /// Down.
  case feedForwardOutput
  /// BERT's pooler (after the last block).
  case pooler
  /// The transform before BERT's language modelling head (after the last block).
  case languageHead

  /// The groups inside a block.
  public static let inBlock: [LinearGroup] = [
    .attentionInput, .attentionOutput, .feedForwardInput, .feedForwardOutput,
  ]

  /// True for the groups inside a block.
  var isInBlock: Bool { self < .pooler }

  /// Forward order.
  public static func < (a: LinearGroup, b: LinearGroup) -> Bool { a.rawValue < b.rawValue }
}
