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
  /// - Throws: `ModelError` where it is missing, malformed, or of a kind that is not plain LoRA.
  public static func configuration(at path: String) throws -> LoRAConfiguration {
    try AdapterDescription(directory: path).lora
  }

  /// The trainable vector of a PEFT directory, in the order of `layout`.
  ///
  /// - Throws: `ModelError` where rank or scale differ from the layout's, or a tensor is missing,
  ///   unknown, of another shape or not finite.
  public static func read(_ path: String, layout: TrainableLayout) throws -> [Float] {
    let stored = try configuration(at: path)
    guard stored.loraRank == layout.lora.loraRank else {
      throw ModelError(
        path: path, reason: "r is \(stored.loraRank), lora_rank is \(layout.lora.loraRank)")
    }
    guard stored.scale == layout.lora.scale else {
      throw ModelError(
        path: path, reason: "alpha / r is \(stored.scale), the experiment's \(layout.lora.scale)")
    }
    let file = path + "/" + weightsName
    let tensors = try SafetensorsFile(path: file)
    let known = Set(layout.segments.map(\.name))
    if let unknown = tensors.tensors.first(where: { !known.contains($0.name) }) {
      throw ModelError(
        path: file, reason: "tensor \(unknown.name) belongs to no adapted layer of this experiment")
    }
    var vector = [Float](repeating: 0, count: layout.parameterCount)
    for segment in layout.segments {
      guard let tensor = tensors[segment.name] else {
        throw ModelError(path: file, reason: "tensor \(segment.name) is missing")
      }
      guard tensor.shape == segment.shape else {
        throw ModelError(
          path: file,
          reason: "tensor \(segment.name) has shape \(tensor.shape), expected \(segment.shape)")
      }
      try vector.withUnsafeMutableBufferPointer { buffer in
        try tensors.readFloats(
          named: segment.name, into: UnsafeMutableBufferPointer(rebasing: buffer[segment.range]))
        guard buffer[segment.range].allSatisfy(\.isFinite) else {
          throw ModelError(
            path: file, reason: "tensor \(segment.name) holds values that are not finite")
        }
      }
    }
    return vector
  }

  /// Writes a trainable vector as a PEFT directory, which is made where it is missing.
  ///
  /// - Parameter baseModel: what PEFT is told to load the adapter onto.
  /// - Throws: `SafetensorsError` with errno where something cannot be written.
  public static func write(
    _ vector: [Float], layout: TrainableLayout, configuration: ModelConfiguration,
    baseModel: String, to path: String
  ) throws {
    precondition(
      vector.count == layout.parameterCount,
      "a vector of \(vector.count) for a layout of \(layout.parameterCount)")
    try makeFolders(path)
    try vector.withUnsafeBufferPointer { values in
      try SafetensorsWriter.write(
        layout.segments.map { segment in
          TensorToWrite(
            name: segment.name, shape: segment.shape,
            borrowing: UnsafeBufferPointer(rebasing: values[segment.range]))
        }, metadata: ["format": "pt"], to: path + "/" + weightsName)
    }
    let json = WrittenConfiguration(
      layout: layout, configuration: configuration, baseModel: baseModel)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(json)
    try writeAtomically(to: path + "/" + configurationName) { file in
      try data.withUnsafeBytes { try file.append($0) }
    }
  }
}

/// adapter_config.json as it is written, with PEFT's names.
private struct WrittenConfiguration: Encodable {
  var base_model_name_or_path: String
  var peft_type = "LORA"
  var task_type: String
  var r: Int
  var lora_alpha: Float
  var lora_dropout: Float
  var target_modules: [String]
  var modules_to_save: [String]?
  var layers_to_transform: [Int]?
  var bias = "none"
  var fan_in_fan_out: Bool
  var use_rslora: Bool
  var use_dora = false
  var inference_mode = true
  var init_lora_weights = true
  var rank_pattern: [String: Int] = [:]
  var alpha_pattern: [String: Float] = [:]

  init(layout: TrainableLayout, configuration: ModelConfiguration, baseModel: String) {
    base_model_name_or_path = baseModel
    task_type = layout.taskHead.peftTask
    modules_to_save = layout.taskHead.peftModules.map { $0 + layout.modulesBesideHead }
    r = layout.lora.loraRank
    lora_alpha = layout.lora.alpha
    lora_dropout = layout.lora.dropout
    use_rslora = layout.lora.isRankStabilized
    layers_to_transform = layout.lora.layers
    target_modules = layout.adaptedModules(configuration)
    fan_in_fan_out = target_modules.contains { configuration.isStoredTransposed($0) }
  }
}

extension TrainableLayout {
  /// Modules of the trained head that are not within the module of its product.
  fileprivate var modulesBesideHead: [String] {
    guard let head, let dense = head.dense else { return [] }
    let (module, product) = (dense.weight.module, head.weight.module)
    return module.split(separator: ".")[0] == product.split(separator: ".")[0] ? [] : [module]
  }

  /// Module paths of the adapted layers, in the order of the vector.
  func adaptedModules(_ configuration: ModelConfiguration) -> [String] {
    segments.compactMap { segment in
      guard case .loraA(let role) = segment.kind else { return nil }
      return configuration.moduleName(of: role, layer: segment.layer ?? 0)
    }
  }
}
