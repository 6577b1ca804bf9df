// The trainable vector: LoRA's A and B of every adapted layer and the head, flattened in one order.
//
// Order: for each block ascending, for each group (query, key, value), (attention output),
// (gate, up), (down): the A's of the group's adapted layers, then their B's; then the same for
// layers after the blocks (pooler, language head transform); then the head: its dense layer if it has
// one, its weight, its bias. All
// matrices row-major: A is (r, inputs), B is (outputs, r). The A's of layers that share an input
// are thus one (sum of r, inputs) matrix: one product.
//
// With full fine-tuning the vector is the weights themselves (TrainableLayout+Full.swift).

public import Transformers

/// A tensor's place in the trainable vector.
public struct TrainableSegment: Sendable, Equatable {
  /// What the tensor is.
  public enum Kind: Sendable, Equatable {
    /// A of one linear module, (r, inputs); the layer stands for the module.
    case loraA(LinearRole)
    /// B of one linear module, (outputs, r).
    case loraB(LinearRole)
    /// A tensor of the model itself, which full fine-tuning trains.
    case base
    /// The weight of the classification head's dense layer, (C, C).
    case headDenseWeight
    /// The bias of the classification head's dense layer, (C).
    case headDenseBias
    /// The classification head's weight, (labels, C).
    case headWeight
    /// The classification head's bias, (labels).
    case headBias

    /// True for the tensors of the classification head.
    package var isOfHead: Bool {
      switch self {
      case .loraA, .loraB, .base: false
      case .headDenseWeight, .headDenseBias, .headWeight, .headBias: true
      }
    }
  }

  /// The name in PEFT's adapter_model.safetensors, or with full fine-tuning in model.safetensors.
  public let name: String
  /// What it is.
  public let kind: Kind
  /// Block, or nil outside the blocks.
  public let layer: Int?
  /// Shape of the tensor.
  public let shape: [Int]
  /// Elements of the trainable vector.
  public let range: Range<Int>

  /// The name in model.safetensors: without PEFT's prefix.
  var modelName: String {
    let prefix = TrainableLayout.adapterPrefix
    return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
  }

  /// The path of the module in the model.
  var module: String { modelName.split(separator: ".").dropLast().joined(separator: ".") }
}

/// The classification head's part of the vector.
package struct HeadSegments: Sendable {
  /// A dense layer with tanh before the product to the labels.
  package struct Dense: Sendable {
    /// (C, C).
    package let weight: TrainableSegment
    /// (C).
    package let bias: TrainableSegment
  }

  /// The dense layer; nil if the family's head has none.
  package let dense: Dense?
  /// (labels, C).
  package let weight: TrainableSegment
  /// (labels); nil if the family's head has none.
  package let bias: TrainableSegment?

  /// The first coordinate.
  package var start: Int { (dense?.weight ?? weight).range.lowerBound }
}

/// One group's part of the vector: its A's as one matrix, then its B's.
struct GroupPlacement: Sendable, Equatable {
  /// The outputs of one layer: its index in the group's roles, and where its rows of B start.
  struct Slice: Sendable, Equatable {
    let role: LinearRole
    let index: Int
    let outputs: Int
    let bOffset: Int
  }

  /// An adapted module: one A, and a B whose rows belong to the layers of the module.
  struct Pair: Sendable, Equatable {
    /// The layer that stands for the module.
    let role: LinearRole
    let slices: [Slice]
  }

  let pairs: [Pair]
  let aOffset: Int
  let inputs: Int
  /// Rows of all A's together.
  let rows: Int
}

/// The order and the names of everything that is trained.
public struct TrainableLayout: Sendable, Equatable {
  /// What PEFT puts before a module's path.
  static let adapterPrefix = "base_model.model."

  /// The tensors in order.
  public let segments: [TrainableSegment]
  /// Length of the trainable vector.
  public let parameterCount: Int
  /// What is trained beside the head.
  public let adaptation: Adaptation
  /// The parts after the blocks.
  package let taskHead: TaskHead
  /// Index: block * 4 + group, then groups after the blocks.
  let placements: [GroupPlacement?]
  let layerCount: Int
  /// Where the model's own weights lie, with full fine-tuning.
  package let base: BaseWeightLayout?

  /// The layout for a model.
  /// - Throws: `ModelError` if a target names no layer.
  package init(model: PretrainedModel, adaptation: Adaptation, head: TaskHead) throws {
    switch adaptation {
    case .lora(let lora):
      try self.init(
        configuration: model.configuration, hasPooler: model.pooler != nil, lora: lora, head: head)
    case .full: self.init(full: model, head: head)
    }
  }

  /// The layout for a configuration; `hasPooler` as the weights have it.
  private init(
    configuration: ModelConfiguration, hasPooler: Bool, lora: LoRAConfiguration, head: TaskHead
  ) throws {
    var builder = LayoutBuilder(configuration: configuration, lora: lora)
    for layer in 0..<configuration.layerCount {
      for group in LinearGroup.inBlock { builder.add(group, layer: layer) }
    }
    builder.addOutsideBlocks(.pooler, if: head.usesPooler(of: configuration) && hasPooler)
    builder.addOutsideBlocks(
      .languageHead,
      if: head.usesLanguageHead && configuration.names.languageHead?.transform != nil)
    if let labels = head.labels { builder.addHead(labels: labels) }
    if case .named(let names) = lora.targets {
      for name in names
      where !builder.seenPaths.contains(where: { $0 == name || $0.hasSuffix("." + name) }) {
        let known = Set(builder.seenPaths.map { $0.split(separator: ".").suffix(1).joined() })
        throw ModelError(
          path: "adapter.targets",
          reason: "no linear layer is named \(name); the model has "
            + known.sorted().joined(separator: ", "))
      }
    }
    segments = builder.segments
    parameterCount = builder.count
    placements = builder.placements
    layerCount = configuration.layerCount
    base = nil
    adaptation = .lora(lora)
    taskHead = head
  }

  /// All weights that the task computes with, and its head.
  private init(full model: PretrainedModel, head: TaskHead) {
    let found = BaseWeightLayout(model: model, head: head)
    var segments = found.segments
    if let labels = head.labels {
      segments += model.configuration.headSegments(
        labels: labels, prefix: "", from: segments.last?.range.upperBound ?? 0)
    }
    self.segments = segments
    parameterCount = segments.last?.range.upperBound ?? 0
    placements = []
    layerCount = model.configuration.layerCount
    base = found
    adaptation = .full
    taskHead = head
  }

  /// LoRA's rank, scale, targets and dropout.
  /// - Precondition: the layout is one of LoRA.
  public var lora: LoRAConfiguration {
    guard case .lora(let lora) = adaptation else {
      preconditionFailure("full fine-tuning has no configuration of LoRA")
    }
    return lora
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

  /// The segments of the classification head; nil if there is none.
  package var head: HeadSegments? {
    func first(_ kind: TrainableSegment.Kind) -> TrainableSegment? {
      segments.first { $0.kind == kind }
    }
    guard let weight = first(.headWeight) else { return nil }
    var dense: HeadSegments.Dense?
    if let weight = first(.headDenseWeight), let bias = first(.headDenseBias) {
      dense = .init(weight: weight, bias: bias)
    }
    return HeadSegments(dense: dense, weight: weight, bias: first(.headBias))
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
        name: TrainableLayout.adapterPrefix + name, kind: kind, layer: layer, shape: shape,
        range: count..<count + length))
    count += length
  }

  mutating func add(_ group: LinearGroup, layer: Int?) {
    let roles = configuration.roles(of: group)
    let modules = configuration.modules(of: group).map {
      (module: $0, path: configuration.moduleName(of: $0.role, layer: layer ?? 0))
    }
    seenPaths += modules.map(\.path)
    let adapted = modules.filter { lora.adapts(modulePath: $0.path, layer: layer) }
    guard !adapted.isEmpty else {
      placements.append(nil)
      return
    }
    let aOffset = count
    let inputs = adapted[0].module.inputs
    for (module, path) in adapted {
      append(
        path + ".lora_A.weight", .loraA(module.role), layer: layer,
        shape: [lora.loraRank, inputs])
    }
    var pairs: [GroupPlacement.Pair] = []
    for (module, path) in adapted {
      let slices = module.parts.map { part in
        GroupPlacement.Slice(
          role: part.role, index: roles.firstIndex(of: part.role)!, outputs: part.rows.count,
          bOffset: count + part.rows.lowerBound * lora.loraRank)
      }
      pairs.append(.init(role: module.role, slices: slices))
      append(
        path + ".lora_B.weight", .loraB(module.role), layer: layer,
        shape: [module.outputs, lora.loraRank])
    }
    placements.append(
      GroupPlacement(
        pairs: pairs, aOffset: aOffset, inputs: inputs, rows: lora.loraRank * pairs.count))
  }

  mutating func addOutsideBlocks(_ group: LinearGroup, if condition: Bool) {
    if condition { add(group, layer: nil) } else { placements.append(nil) }
  }

  mutating func addHead(labels: Int) {
    let head = configuration.headSegments(
      labels: labels, prefix: TrainableLayout.adapterPrefix, from: count)
    segments += head
    count = head.last?.range.upperBound ?? count
  }
}

extension ModelConfiguration {
  /// The tensors of a classification head, from `start` on.
  func headSegments(labels: Int, prefix: String, from start: Int) -> [TrainableSegment] {
    var segments: [TrainableSegment] = []
    func append(_ name: String, _ kind: TrainableSegment.Kind, _ shape: [Int]) {
      let first = segments.last?.range.upperBound ?? start
      segments.append(
        TrainableSegment(
          name: prefix + name, kind: kind, layer: nil, shape: shape,
          range: first..<first + shape.reduce(1, *)))
    }
    let head = names.classificationHead
    if let dense = head.dense {
      append(dense + ".weight", .headDenseWeight, [channels, channels])
      append(dense + ".bias", .headDenseBias, [channels])
    }
    append(head.module + ".weight", .headWeight, [labels, channels])
    if head.hasBias { append(head.module + ".bias", .headBias, [labels]) }
    return segments
  }
}
