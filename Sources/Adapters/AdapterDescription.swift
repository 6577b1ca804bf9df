// adapter_config.json as PEFT writes it. Fields that describe another computation than plain LoRA
// are refused by name (AdapterDescription+Fields.swift has the list).

internal import Foundation
internal import Safetensors
internal import Transformers

/// The configuration of a PEFT directory.
public struct AdapterDescription: Sendable {
  /// Rank, scale, targets and dropout.
  public let lora: LoRAConfiguration
  /// The model that the adapter was trained for, as its author named it.
  public let baseModel: String?
  /// PEFT's name of the task, such as `SEQ_CLS`.
  public let task: String?
  /// The modules that were trained as a whole.
  public let savedModules: [String]
  /// The way in which the factors began, where it has a name.
  public let initialization: String?
  /// Remarks for the user.
  public let notices: [String]

  /// Reads adapter_config.json of the directory `path`.
  /// - Throws: `ModelError` where it is missing, malformed, or of a kind that is not plain LoRA;
  ///   `SafetensorsError` where it is there and cannot be read.
  public init(directory path: String) throws {
    let file = path + "/" + AdapterDirectory.configurationName
    guard let bytes = try contentsIfThere(of: file) else {
      throw ModelError(
        path: file, reason: "no such file; an adapter is a directory as PEFT saves it",
        isMissing: true)
    }
    do {
      let fields = try ConfigurationFields(try JSONValue(parsing: bytes))
      let unknown = try fields.check(against: AdapterFields.meanings)
      notices =
        unknown.isEmpty
        ? [] : ["\(file): not used, for the fields are unknown: " + unknown.joined(separator: ", ")]
      baseModel = try fields.string("base_model_name_or_path").flatMap { $0.isEmpty ? nil : $0 }
      task = try fields.string("task_type")
      savedModules = try fields.names(in: "modules_to_save")
      initialization = try fields.initialization()
      lora = try fields.lora()
    } catch let problem as FieldProblem {
      throw ModelError(path: file, reason: problem.description)
    } catch let error as JSONError {
      throw ModelError(path: file, reason: "not JSON: \(error)")
    }
  }
}

extension ConfigurationFields {
  fileprivate func lora() throws -> LoRAConfiguration {
    guard let rank = try integer("r"), rank > 0 else {
      throw FieldProblem("r is \(self["r"]?.excerpt ?? "missing"); a positive integer was expected")
    }
    guard let alpha = try float("lora_alpha") else { throw FieldProblem("lora_alpha is missing") }
    let dropout = try double("lora_dropout") ?? 0
    guard dropout >= 0, Float(dropout) < 1, let nearest = Float(holding: dropout) else {
      throw FieldProblem(
        "lora_dropout is \(dropout); a number from 0 to below 1 (in single precision) was expected")
    }
    let layers: [Int]? =
      switch self["layers_to_transform"] {
      case nil: nil
      case .array(let values)?: try values.map { try layer($0) }
      case .some(let value): [try layer(value)]
      }
    let targets: LoRATargets =
      switch self["target_modules"] {
      case nil, .string("all-linear")?: .allLinear
      default: .named(try names(in: "target_modules"))
      }
    return LoRAConfiguration(
      loraRank: rank, alpha: alpha, isRankStabilized: try bool("use_rslora") ?? false,
      targets: targets, layers: layers, dropout: nearest)
  }

  private func layer(_ value: JSONValue) throws -> Int {
    guard let layer = value.integer, layer >= 0 else {
      throw FieldProblem(
        "layers_to_transform has \(value.excerpt); numbers of blocks were expected")
    }
    return layer
  }

  /// The strings of a field that is a list or one string.
  fileprivate func names(in name: String) throws -> [String] {
    switch self[name] {
    case nil: return []
    case .string(let text)?: return [text]
    case .array(let values)?:
      return try values.map { value in
        guard case .string(let text) = value else {
          throw FieldProblem("\(name) has \(value.excerpt); strings were expected")
        }
        return text
      }
    case .some(let value):
      throw FieldProblem("\(name) is \(value.excerpt); a list of strings was expected")
    }
  }

  /// The name of the way in which the factors began; nil for the standard one.
  fileprivate func initialization() throws -> String? {
    let field = "init_lora_weights"
    let name: String
    switch self[field] {
    case nil, .bool?: return nil
    case .string(let text)?: name = text
    case .some(let value):
      throw FieldProblem("\(field) is \(value.excerpt); true, false or a name was expected")
    }
    if AdapterFields.plainInitializations.contains(name) { return name }
    let changing = AdapterFields.changingInitializations
    if changing.contains(name) || name.hasPrefix("pissa_niter_") {
      throw FieldProblem(
        "\(field) \"\(name)\" changed the base weights; convert the adapter with PEFT first"
          + " (save_pretrained with path_initial_model_for_weight_conversion)")
    }
    throw FieldProblem(
      "\(field) \"\(name)\" is not supported; supported: true, false, "
        + AdapterFields.plainInitializations.joined(separator: ", "))
  }
}
