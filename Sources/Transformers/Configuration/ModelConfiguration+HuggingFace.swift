// A model configuration from Hugging Face's config.json. A field that this program cannot compute
// exactly as transformers does is refused by name, never approximated; missing fields have
// transformers' defaults. ModelConfiguration+Fields.swift lists all fields.

public import Foundation
internal import Kernels
internal import Safetensors

/// A config.json as it was read.
struct ConfigurationFile {
  /// The shape and the kinds of the model's parts.
  let configuration: ModelConfiguration
  /// The value of `model_type`.
  let modelType: String
  /// The names of a classification head's labels, row by row; nil where the file has none of its
  /// own.
  let labelNames: [String]?
  /// Remarks for the user.
  let notices: [String]

  /// Reads `config.json` of a model directory.
  /// - Throws: `ModelError`, or `SafetensorsError` where it is there and cannot be read.
  init(directory: String) throws {
    let path = directory + "/config.json"
    guard let bytes = try contentsIfThere(of: path) else {
      throw ModelError(
        path: path, reason: "no such file; a model directory is what Hugging Face saves",
        isMissing: true)
    }
    try self.init(json: Data(bytes), path: path)
  }

  /// Parses the text of a config.json; `path` is for messages.
  /// - Throws: `ModelError`.
  init(json: Data, path: String) throws {
    let value: JSONValue
    do { value = try JSONValue(parsing: Array(json)) } catch {
      let pointer = GitLFS.isPointer(Array(json.prefix(200))) ? GitLFS.advice : nil
      throw ModelError(path: path, reason: pointer ?? "not JSON: \(error)")
    }
    do {
      let plain = try ConfigurationFields(value)
      let type = try plain.string("model_type") ?? ""
      guard let family = ModelFamily.of(modelType: type) else {
        throw FieldProblem(
          "model_type \"\(type)\" is not supported; supported: "
            + ModelFamily.modelTypes.joined(separator: ", "))
      }
      let fields = plain.spelled(family.spelling)
      let unknown = try fields.check(
        against: ModelFields.all(with: family.fields(type), of: family))
      let rope = family.hasRotaryFields ? try fields.rope() : RotaryFields()
      let unknownOfRope = try rope.all.flatMap { try $0.check(against: ModelFields.rope) }
      configuration = try family.read(fields, type, rope)
      modelType = type
      try configuration.checkSizes(fields)
      labelNames = fields.labelNames()
      notices = Self.notices(path, unknown + unknownOfRope)
    } catch let problem as FieldProblem {
      throw ModelError(path: path, reason: problem.description)
    }
  }

  private static func notices(_ path: String, _ unknown: [String]) -> [String] {
    guard !unknown.isEmpty else { return [] }
    let fields = unknown.count == 1 ? "field \(unknown[0]) is" : "fields \(list(unknown)) are"
    return ["\(path): \(fields) unknown and not used; transformers does not use such fields either"]
  }

  private static func list(_ names: [String]) -> String { names.joined(separator: ", ") }
}

extension ModelConfiguration {
  /// Reads `config.json` of a Hugging Face model directory.
  /// - Throws: `ModelError` where it is missing, malformed, or of a kind that is not supported;
  ///   `SafetensorsError` where it is there and cannot be read.
  public init(directory: String) throws {
    self = try ConfigurationFile(directory: directory).configuration
  }

  /// Parses the text of a config.json; `path` is for messages.
  /// - Throws: `ModelError`.
  public init(json: Data, path: String) throws {
    self = try ConfigurationFile(json: json, path: path).configuration
  }

  fileprivate func checkSizes(_ fields: ConfigurationFields) throws {
    let sizes = [
      ("vocab_size", vocabularySize), ("hidden_size", channels),
      ("num_attention_heads", headCount), ("num_key_value_heads", keyValueHeadCount),
      ("head_dim", headSize), ("intermediate_size", intermediateSize),
      ("max_position_embeddings", maximumPositions),
    ]
    for (name, value) in sizes where value < 1 || value > 1 << 30 {
      if image != nil, ["vocab_size", "max_position_embeddings"].contains(name) { continue }
      throw FieldProblem(
        "\(fields.shown(name)) is \(value); a number from 1 to 2^30 was expected")
    }
    if names.embeddings.tokenTypes != nil, tokenTypeCount < 1 || tokenTypeCount > 1 << 30 {
      throw FieldProblem(
        "type_vocab_size is \(tokenTypeCount); a number from 1 to 2^30 was expected")
    }
    if headCount % keyValueHeadCount != 0 {
      throw FieldProblem(
        "num_attention_heads \(headCount) is no multiple of num_key_value_heads "
          + "\(keyValueHeadCount)")
    }
    for case let rotary? in attention.map(\.rotary) where rotary.channels(headSize) % 2 != 0 {
      throw FieldProblem(
        "head_dim is \(headSize); rotary positions need an even number of channels")
    }
    guard normEpsilon >= 0 else {
      let name = norm.isLayer ? "layer_norm_eps" : "rms_norm_eps"
      throw FieldProblem(
        "\(fields.shown(name)) is \(normEpsilon); a number of at least 0 was expected")
    }
    guard (0...1).contains(initializerRange) else {
      throw FieldProblem(
        "initializer_range is \(initializerRange); a number from 0 to 1 was expected")
    }
  }
}

extension ConfigurationFields {
  func required(_ name: String) throws -> Int {
    guard let value = try integer(name) else { throw FieldProblem("\(shown(name)) is missing") }
    return value
  }

  /// The number of blocks.
  func layerCount() throws -> Int {
    let count = try required("num_hidden_layers")
    guard count >= 1, count <= 1 << 16 else {
      throw FieldProblem(
        "\(shown("num_hidden_layers")) is \(count); a number from 1 to 2^16 was expected")
    }
    return count
  }

  /// Blocks of one kind of attention.
  func sameAttention(_ kind: AttentionKind = AttentionKind()) throws -> [AttentionKind] {
    Array(repeating: kind, count: try layerCount())
  }

  func activation(default name: String) throws -> Activation {
    let name = try string("hidden_act") ?? name
    switch name {
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh": return .geluTanh
    case "relu": return .relu
    case "silu", "swish": return .silu
    default:
      throw FieldProblem(
        "\(shown("hidden_act")) \"\(name)\" is not supported; supported: gelu, gelu_new, gelu_pytorch_tanh, "
          + "relu, silu")
    }
  }

  /// The names of labels that are more than `LABEL_0`, `LABEL_1` and so on, in the order of their
  /// numbers.
  fileprivate func labelNames() -> [String]? {
    guard case .object(let members) = self["id2label"], !members.isEmpty else { return nil }
    var names: [String] = []
    for number in 0..<members.count {
      guard case .string(let name) = members[String(number)] else { return nil }
      names.append(name)
    }
    let isDefault = names.enumerated().allSatisfy { $0.element == "LABEL_\($0.offset)" }
    return isDefault || Set(names).count < names.count ? nil : names
  }

  /// C / H where the file does not say the head size.
  func derivedHeadSize(_ channels: Int, _ heads: Int) throws -> Int {
    guard heads > 0, channels % heads == 0 else {
      throw FieldProblem(
        "\(shown("hidden_size")) \(channels) is no multiple of \(shown("num_attention_heads")) "
          + "\(heads)")
    }
    return channels / heads
  }
}
