// Adapters as PEFT saves and loads them: adapter_config.json and adapter_model.safetensors, the
// trained head included.

internal import Foundation
internal import Safetensors
public import Transformers

/// Reads and writes PEFT adapter directories.
public enum AdapterDirectory {
  /// File names that PEFT gives.
  static let configurationName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"

  /// LoRA's configuration of a PEFT directory.
  ///
  /// - Throws: `AdapterError` where it is missing, malformed, or of a kind that is not plain LoRA.
  public static func configuration(at path: String) throws -> LoRAConfiguration {
    let file = path + "/" + configurationName
    guard let data = FileManager.default.contents(atPath: file) else {
      throw AdapterError(
        path: file, reason: "no such file; an adapter is a directory as PEFT saves it",
        isMissing: true)
    }
    let raw: RawAdapterConfiguration
    do {
      raw = try JSONDecoder().decode(RawAdapterConfiguration.self, from: data)
    } catch {
      throw AdapterError(path: file, reason: "not an adapter configuration: \(error)")
    }
    if let reason = raw.refusal { throw AdapterError(path: file, reason: reason) }
    guard let rank = raw.r, rank > 0 else {
      throw AdapterError(path: file, reason: "r is missing or not positive")
    }
    return LoRAConfiguration(
      loraRank: rank, alpha: raw.lora_alpha ?? Float(rank),
      isRankStabilized: raw.use_rslora ?? false, targets: raw.target_modules?.targets ?? .allLinear,
      layers: raw.layers_to_transform?.layers, dropout: raw.lora_dropout ?? 0)
  }

  /// The trainable vector of a PEFT directory, in the order of `layout`.
  ///
  /// - Throws: `AdapterError` where rank or scale differ from the layout's, or a tensor is missing,
  ///   unknown, of another shape or not finite.
  public static func read(_ path: String, layout: TrainableLayout) throws -> [Float] {
    let stored = try configuration(at: path)
    guard stored.loraRank == layout.lora.loraRank else {
      throw AdapterError(
        path: path, reason: "r is \(stored.loraRank), lora_rank is \(layout.lora.loraRank)")
    }
    guard stored.scale == layout.lora.scale else {
      throw AdapterError(
        path: path, reason: "alpha / r is \(stored.scale), the experiment's \(layout.lora.scale)")
    }
    let file = path + "/" + weightsName
    let tensors = try SafetensorsFile(path: file)
    let known = Set(layout.segments.map(\.name))
    if let unknown = tensors.tensors.first(where: { !known.contains($0.name) }) {
      throw AdapterError(
        path: file, reason: "tensor \(unknown.name) belongs to no adapted layer of this experiment")
    }
    var vector = [Float](repeating: 0, count: layout.parameterCount)
    for segment in layout.segments {
      guard let tensor = tensors[segment.name] else {
        throw AdapterError(path: file, reason: "tensor \(segment.name) is missing")
      }
      guard tensor.shape == segment.shape else {
        throw AdapterError(
          path: file,
          reason: "tensor \(segment.name) has shape \(tensor.shape), expected \(segment.shape)")
      }
      try vector.withUnsafeMutableBufferPointer { buffer in
        try tensors.readFloats(
          named: segment.name, into: UnsafeMutableBufferPointer(rebasing: buffer[segment.range]))
        guard buffer[segment.range].allSatisfy(\.isFinite) else {
          throw AdapterError(
            path: file, reason: "tensor \(segment.name) holds values that are not finite")
        }
      }
    }
    return vector
  }

  /// Writes a trainable vector as a PEFT directory, which is made where it is missing.
  ///
  /// - Parameter baseModel: what PEFT is told to load the adapter onto.
  public static func write(
    _ vector: [Float], layout: TrainableLayout, configuration: ModelConfiguration,
    baseModel: String, to path: String
  ) throws {
    precondition(
      vector.count == layout.parameterCount,
      "a vector of \(vector.count) for a layout of \(layout.parameterCount)")
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw AdapterError(path: path, reason: "cannot be made: \(error.localizedDescription)")
    }
    try vector.withUnsafeBufferPointer { values in
      try SafetensorsWriter.write(
        layout.segments.map { segment in
          TensorToWrite(
            name: segment.name, shape: segment.shape,
            borrowing: UnsafeBufferPointer(rebasing: values[segment.range]))
        }, metadata: ["format": "pt"], to: path + "/" + weightsName)
    }
    let json = RawAdapterConfiguration(
      layout: layout, configuration: configuration, baseModel: baseModel)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(json)
    try writeAtomically(to: path + "/" + configurationName) { file in
      try data.withUnsafeBytes { try file.append($0) }
    }
  }
}

/// The keys of adapter_config.json, as they are named there.
private struct RawAdapterConfiguration: Codable {
  /// A list of names or one string: a name, a pattern or "all-linear".
  enum Targets: Codable {
    case names([String])
    case pattern(String)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let names = try? container.decode([String].self) {
        self = .names(names)
      } else {
        self = .pattern(try container.decode(String.self))
      }
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .names(let names): try container.encode(names)
      case .pattern(let pattern): try container.encode(pattern)
      }
    }

    var targets: LoRATargets {
      switch self {
      case .names(let names): .named(names)
      case .pattern("all-linear"): .allLinear
      case .pattern(let name): .named([name])
      }
    }
  }

  /// One block or a list of blocks.
  enum Layers: Codable {
    case list([Int])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let one = try? container.decode(Int.self) {
        self = .list([one])
      } else {
        self = .list(try container.decode([Int].self))
      }
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(layers)
    }

    var layers: [Int] {
      switch self {
      case .list(let layers): layers
      }
    }
  }

  var base_model_name_or_path: String?
  var peft_type: String?
  var task_type: String?
  var r: Int?
  var lora_alpha: Float?
  var lora_dropout: Float?
  var target_modules: Targets?
  var modules_to_save: [String]?
  var layers_to_transform: Layers?
  var bias: String?
  var fan_in_fan_out: Bool?
  var use_rslora: Bool?
  var use_dora: Bool?
  var inference_mode: Bool?
  var init_lora_weights: Bool?
  var rank_pattern: [String: Int]?
  var alpha_pattern: [String: Float]?

  /// Why this is not plain LoRA, if it is not.
  var refusal: String? {
    if let peft_type, peft_type != "LORA" { return "peft_type \(peft_type) is not LORA" }
    if let bias, bias != "none" { return "bias \"\(bias)\" is not supported; only \"none\"" }
    if use_dora ?? false { return "use_dora is not supported" }
    if fan_in_fan_out ?? false { return "fan_in_fan_out is not supported" }
    if !(rank_pattern ?? [:]).isEmpty { return "rank_pattern is not supported" }
    if !(alpha_pattern ?? [:]).isEmpty { return "alpha_pattern is not supported" }
    return nil
  }

  init(layout: TrainableLayout, configuration: ModelConfiguration, baseModel: String) {
    base_model_name_or_path = baseModel
    peft_type = "LORA"
    if case .classification = layout.task {
      task_type = "SEQ_CLS"
      modules_to_save = ["classifier", "score"]
    } else {
      task_type = "CAUSAL_LM"
    }
    r = layout.lora.loraRank
    lora_alpha = layout.lora.alpha
    lora_dropout = layout.lora.dropout
    use_rslora = layout.lora.isRankStabilized
    layers_to_transform = layout.lora.layers.map { .list($0) }
    target_modules = .names(layout.adaptedModules(configuration))
    bias = "none"
    fan_in_fan_out = false
    use_dora = false
    inference_mode = true
    init_lora_weights = true
    rank_pattern = [:]
    alpha_pattern = [:]
  }
}

extension TrainableLayout {
  /// Module paths of the adapted layers, in the order of the vector.
  func adaptedModules(_ configuration: ModelConfiguration) -> [String] {
    segments.compactMap { segment in
      guard case .loraA(let role) = segment.kind else { return nil }
      return configuration.moduleName(of: role, layer: segment.layer ?? 0)
    }
  }
}
