// The trainable vector: LoRA's A and B of every adapted layer and the head, flattened in one order.
//
// Order: for each block ascending, for each group (query, key, value), (attention output),
// (gate, up), (down): the A's of the group's adapted layers, then their B's; then the same for
// layers after the blocks (pooler, language head transform); then the head's weight and bias. All
// matrices row-major: A is (r, inputs), B is (outputs, r). The A's of layers that share an input
// are thus one (sum of r, inputs) matrix: one product.

public import Transformers

/// A tensor's place in the trainable vector.
public struct TrainableSegment: Sendable, Equatable {
  /// What the tensor is.
  public enum Kind: Sendable, Equatable {
    /// A of one linear layer, (r, inputs).
    case loraA(LinearRole)
    /// B of one linear layer, (outputs, r).
    case loraB(LinearRole)
    /// The classification head's weight, (labels, C).
    case headWeight
    /// The classification head's bias, (labels).
    case headBias
  }

  /// The name in PEFT's adapter_model.safetensors.
  public let name: String
  /// What it is.
  public let kind: Kind
  /// Block, or nil outside the blocks.
  public let layer: Int?
  /// Shape of the tensor.
  public let shape: [Int]
  /// Elements of the trainable vector.
  public let range: Range<Int>
}

/// One group's part of the vector: its A's as one matrix, then its B's.
struct GroupPlacement: Sendable, Equatable {
  /// The adapted layers: index in the group's roles, and where its B starts.
  struct Layer: Sendable, Equatable {
    let role: LinearRole
    let index: Int
    let outputs: Int
    let bOffset: Int
  }

  let layers: [Layer]
  let aOffset: Int
  let inputs: Int
  /// Rows of all A's together.
  let rows: Int
}

/// The order and the names of everything that is trained.
public struct TrainableLayout: Sendable, Equatable {
  /// The tensors in order.
  public let segments: [TrainableSegment]
  /// Length of the trainable vector.
  public let parameterCount: Int
  /// Rank, scale, targets, dropout.
  public let lora: LoRAConfiguration
  /// Task that decides the head.
  public let task: TrainingTask
  /// Index: block * 4 + group, then groups after the blocks.
  let placements: [GroupPlacement?]
  let layerCount: Int

  /// The layout for a model.
  /// - Throws: `AdapterError` where a target names no layer, or the task needs a part that is missing.
  public init(model: PretrainedModel, lora: LoRAConfiguration, task: TrainingTask) throws {
    try self.init(
      configuration: model.configuration, hasPooler: model.pooler != nil, lora: lora, task: task)
    if case .languageModelling = task {
      guard model.configuration.isCausal else {
        throw AdapterError(
          path: model.directory,
          reason:
            "language modelling needs a causal model; this one sees the tokens that it predicts"
            + " (is_decoder is false)")
      }
      guard model.languageHead != nil else {
        throw AdapterError(
          path: model.directory, reason: "the model holds no language modelling head")
      }
    }
  }

  /// The layout for a configuration; `hasPooler` as the weights have it.
  public init(
    configuration: ModelConfiguration, hasPooler: Bool, lora: LoRAConfiguration, task: TrainingTask
  ) throws {
    var builder = LayoutBuilder(configuration: configuration, lora: lora)
    for layer in 0..<configuration.layerCount {
      for group in LinearGroup.inBlock { builder.add(group, layer: layer) }
    }
    switch task {
    case .classification(let labels, let pooling):
      builder.addOutsideBlocks(.pooler, if: pooling == .first && hasPooler)
      builder.addOutsideBlocks(.languageHead, if: false)
      builder.addHead(labels: labels)
    case .languageModelling:
      builder.addOutsideBlocks(.pooler, if: false)
      builder.addOutsideBlocks(.languageHead, if: configuration.family == .bert)
    }
    if case .named(let names) = lora.targets {
      for name in names
      where !builder.seenPaths.contains(where: { $0 == name || $0.hasSuffix("." + name) }) {
        let known = Set(builder.seenPaths.map { $0.split(separator: ".").suffix(1).joined() })
        throw AdapterError(
          path: "adapter.targets",
          reason: "no linear layer is named \(name); the model has "
            + known.sorted().joined(separator: ", "))
      }
    }
    segments = builder.segments
    parameterCount = builder.count
    placements = builder.placements
    layerCount = configuration.layerCount
    self.lora = lora
    self.task = task
  }

  /// The coordinates of segments of some kinds, ascending.
  public func coordinates(where isWanted: (TrainableSegment.Kind) -> Bool) -> [UInt32] {
    segments.filter { isWanted($0.kind) }.flatMap { $0.range.map { UInt32($0) } }
  }

  /// The adapted layers, in the order of their A's.
  public var adaptedPlaces: [LinearPlace] {
    segments.compactMap { segment in
      guard case .loraA(let role) = segment.kind else { return nil }
      return LinearPlace(role: role, layer: segment.layer ?? 0)
    }
  }

  /// The place of one group, nil where nothing of it is adapted.
  func placement(_ group: LinearGroup, layer: Int) -> GroupPlacement? {
    placements[placementIndex(group, layer: layer)]
  }

  /// Where a group stands in `placements`; `layer` is ignored for groups after the blocks.
  func placementIndex(_ group: LinearGroup, layer: Int) -> Int {
    let inBlock = LinearGroup.inBlock.count
    return (group.rawValue < inBlock ? layer : layerCount - 1) * inBlock + group.rawValue
  }

  /// The segment of the head's weight and bias.
  var head: (weight: TrainableSegment, bias: TrainableSegment?)? {
    guard let weight = segments.first(where: { $0.kind == .headWeight }) else { return nil }
    return (weight, segments.first { $0.kind == .headBias })
  }
}

/// Collects segments while the offset advances.
private struct LayoutBuilder {
  let configuration: ModelConfiguration
  let lora: LoRAConfiguration
  var segments: [TrainableSegment] = []
  var placements: [GroupPlacement?] = []
  var seenPaths: [String] = []
  var count = 0

  mutating func append(
    _ name: String, _ kind: TrainableSegment.Kind, layer: Int?, shape: [Int]
  ) {
    let length = shape.reduce(1, *)
    segments.append(
      TrainableSegment(
        name: "base_model.model." + name, kind: kind, layer: layer, shape: shape,
        range: count..<count + length))
    count += length
  }

  mutating func add(_ group: LinearGroup, layer: Int?) {
    let roles = configuration.roles(of: group)
    let paths = roles.map { configuration.moduleName(of: $0, layer: layer ?? 0) }
    seenPaths += paths
    let adapted = roles.indices.filter { lora.adapts(modulePath: paths[$0], layer: layer) }
    guard !adapted.isEmpty else {
      placements.append(nil)
      return
    }
    let aOffset = count
    let inputs = configuration.size(of: roles[adapted[0]]).inputs
    for index in adapted {
      append(
        paths[index] + ".lora_A.weight", .loraA(roles[index]), layer: layer,
        shape: [lora.loraRank, inputs])
    }
    var layers: [GroupPlacement.Layer] = []
    for index in adapted {
      let outputs = configuration.size(of: roles[index]).outputs
      layers.append(
        .init(role: roles[index], index: index, outputs: outputs, bOffset: count))
      append(
        paths[index] + ".lora_B.weight", .loraB(roles[index]), layer: layer,
        shape: [outputs, lora.loraRank])
    }
    placements.append(
      GroupPlacement(
        layers: layers, aOffset: aOffset, inputs: inputs, rows: lora.loraRank * layers.count))
  }

  mutating func addOutsideBlocks(_ group: LinearGroup, if condition: Bool) {
    if condition { add(group, layer: nil) } else { placements.append(nil) }
  }

  mutating func addHead(labels: Int) {
    let name = configuration.classificationHeadName
    append(name + ".weight", .headWeight, layer: nil, shape: [labels, configuration.channels])
    if configuration.classificationHeadHasBias {
      append(name + ".bias", .headBias, layer: nil, shape: [labels])
    }
  }
}

/// An adapter that cannot be used: one line that names the path and the cause.
public struct AdapterError: Error, CustomStringConvertible, Sendable {
  /// The file, directory or key.
  public let path: String
  /// What is wrong, and what would be right.
  public let reason: String
  /// Whether something is missing rather than malformed.
  public let isMissing: Bool

  /// An error at `path`.
  public init(path: String, reason: String, isMissing: Bool = false) {
    self.path = path
    self.reason = reason
    self.isMissing = isMissing
  }

  /// `path: reason`.
  public var description: String { "\(path): \(reason)" }
}
