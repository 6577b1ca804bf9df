// A model configuration from Hugging Face's config.json. What this program cannot compute exactly
// as the original does is refused by name, never approximated.

public import Foundation
internal import Kernels

/// A model directory that cannot be used: one line that names the path and the cause.
public struct ModelError: Error, CustomStringConvertible, Sendable {
  /// The file or directory.
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

extension ModelConfiguration {
  /// Reads `config.json` of a Hugging Face model directory.
  /// - Throws: `ModelError` where it is missing, malformed, or of a kind that is not supported.
  public init(directory: String) throws {
    let path = directory + "/config.json"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ModelError(
        path: path, reason: "no such file; a model directory is what Hugging Face saves",
        isMissing: true)
    }
    try self.init(json: data, path: path)
  }

  /// Parses the text of a config.json; `path` is for messages.
  public init(json: Data, path: String) throws {
    let raw: RawConfiguration
    do {
      raw = try JSONDecoder().decode(RawConfiguration.self, from: json)
    } catch let error as DecodingError {
      throw ModelError(path: path, reason: "not a model configuration: \(error.line)")
    } catch {
      throw ModelError(path: path, reason: "not JSON: \(error)")
    }
    do {
      switch raw.model_type ?? "" {
      case "llama", "mistral", "qwen2": self = try raw.llamaFamily()
      case "bert": self = try raw.bertFamily()
      default:
        throw RawConfiguration.Refusal(
          "model_type \"\(raw.model_type ?? "")\" is not supported; supported: bert, llama, "
            + "mistral, qwen2")
      }
      try checkSizes()
    } catch let refusal as RawConfiguration.Refusal {
      throw ModelError(path: path, reason: refusal.reason)
    }
  }

  private func checkSizes() throws {
    let sizes = [
      ("vocab_size", vocabularySize), ("hidden_size", channels),
      ("num_hidden_layers", layerCount), ("num_attention_heads", headCount),
      ("num_key_value_heads", keyValueHeadCount), ("head_dim", headSize),
      ("intermediate_size", intermediateSize), ("max_position_embeddings", maximumPositions),
    ]
    for (name, value) in sizes where value < 1 || value > 1 << 30 {
      throw RawConfiguration.Refusal("\(name) is \(value); a positive number was expected")
    }
    if headCount % keyValueHeadCount != 0 {
      throw RawConfiguration.Refusal(
        "num_attention_heads \(headCount) is no multiple of num_key_value_heads "
          + "\(keyValueHeadCount)")
    }
    if case .rotary = positions, headSize % 2 != 0 {
      throw RawConfiguration.Refusal("head_dim is \(headSize); rotary positions need an even one")
    }
  }
}

extension DecodingError {
  /// The error in one line.
  var line: String {
    switch self {
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      return "\(key): \(context.debugDescription)"
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    case .dataCorrupted(let context): return context.debugDescription
    @unknown default: return "\(self)"
    }
  }
}

/// The keys of config.json that matter here, as they are named there.
private struct RawConfiguration: Decodable {
  struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  struct Rope: Decodable {
    var rope_type: String?
    var type: String?
    var rope_theta: Double?
    var factor: Double?
    var low_freq_factor: Double?
    var high_freq_factor: Double?
    var original_max_position_embeddings: Double?
  }

  var model_type: String?
  var vocab_size: Int?
  var hidden_size: Int?
  var num_hidden_layers: Int?
  var num_attention_heads: Int?
  var num_key_value_heads: Int?
  var head_dim: Int?
  var intermediate_size: Int?
  var max_position_embeddings: Int?
  var rms_norm_eps: Float?
  var layer_norm_eps: Float?
  var hidden_act: String?
  var attention_bias: Bool?
  var mlp_bias: Bool?
  var tie_word_embeddings: Bool?
  var rope_theta: Double?
  var rope_scaling: Rope?
  var rope_parameters: Rope?
  var type_vocab_size: Int?
  var position_embedding_type: String?
  var is_decoder: Bool?
  var add_cross_attention: Bool?
  var sliding_window: Int?
  var use_sliding_window: Bool?
  var pretraining_tp: Int?
  var initializer_range: Float?

  func require(_ value: Int?, _ name: String) throws -> Int {
    guard let value else { throw Refusal("\(name) is missing") }
    return value
  }

  func activation() throws -> Activation {
    switch hidden_act ?? "" {
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh": return .geluTanh
    case "relu": return .relu
    case "silu", "swish": return .silu
    default:
      throw Refusal(
        "hidden_act \"\(hidden_act ?? "")\" is not supported; supported: gelu, gelu_new, "
          + "gelu_pytorch_tanh, relu, silu")
    }
  }

  func rotary() throws -> RotaryConfiguration {
    let rope = rope_parameters ?? rope_scaling
    let theta = rope_parameters?.rope_theta ?? rope_theta ?? 10000
    switch rope?.rope_type ?? rope?.type ?? "default" {
    case "default": return RotaryConfiguration(theta: theta)
    case "linear":
      guard let factor = rope?.factor else { throw Refusal("linear rope scaling without factor") }
      return RotaryConfiguration(theta: theta, scaling: .linear(factor: factor))
    case "llama3":
      guard let factor = rope?.factor, let low = rope?.low_freq_factor,
        let high = rope?.high_freq_factor, let old = rope?.original_max_position_embeddings
      else {
        throw Refusal(
          "llama3 rope scaling needs factor, low_freq_factor, high_freq_factor "
            + "and original_max_position_embeddings")
      }
      return RotaryConfiguration(
        theta: theta,
        scaling: .llama3(factor: factor, lowFactor: low, highFactor: high, originalPositions: old))
    case let other:
      throw Refusal(
        "rope scaling \"\(other)\" is not supported; supported: default, linear, llama3")
    }
  }

  func llamaFamily() throws -> ModelConfiguration {
    let heads = try require(num_attention_heads, "num_attention_heads")
    let channels = try require(hidden_size, "hidden_size")
    let isQwen = model_type == "qwen2"
    let windowed = isQwen ? (use_sliding_window ?? false) : model_type == "mistral"
    if windowed, let sliding_window {
      throw Refusal("sliding_window \(sliding_window) is not supported")
    }
    if let pretraining_tp, pretraining_tp > 1 {
      throw Refusal("pretraining_tp \(pretraining_tp) is not supported; set it to 1")
    }
    return ModelConfiguration(
      family: .llama, vocabularySize: try require(vocab_size, "vocab_size"), channels: channels,
      layerCount: try require(num_hidden_layers, "num_hidden_layers"), headCount: heads,
      keyValueHeadCount: num_key_value_heads ?? heads,
      headSize: head_dim ?? channels / max(heads, 1),
      intermediateSize: try require(intermediate_size, "intermediate_size"),
      maximumPositions: max_position_embeddings ?? 2048, norm: .rootMeanSquare,
      normEpsilon: rms_norm_eps ?? 1e-6, normPlacement: .pre, positions: .rotary(try rotary()),
      tokenTypeCount: 0, activation: try activation(), isGated: true, isCausal: true,
      attentionInputBias: isQwen || (attention_bias ?? false),
      attentionOutputBias: !isQwen && (attention_bias ?? false),
      feedForwardBias: mlp_bias ?? false, tiesWordEmbeddings: tie_word_embeddings ?? false,
      initializerRange: initializer_range ?? 0.02)
  }

  func bertFamily() throws -> ModelConfiguration {
    let heads = try require(num_attention_heads, "num_attention_heads")
    let channels = try require(hidden_size, "hidden_size")
    let kind = position_embedding_type ?? "absolute"
    guard kind == "absolute" else {
      throw Refusal("position_embedding_type \"\(kind)\" is not supported; supported: absolute")
    }
    if add_cross_attention ?? false { throw Refusal("add_cross_attention is not supported") }
    guard channels % max(heads, 1) == 0 else {
      throw Refusal("hidden_size \(channels) is no multiple of num_attention_heads \(heads)")
    }
    return ModelConfiguration(
      family: .bert, vocabularySize: try require(vocab_size, "vocab_size"), channels: channels,
      layerCount: try require(num_hidden_layers, "num_hidden_layers"), headCount: heads,
      keyValueHeadCount: heads, headSize: channels / max(heads, 1),
      intermediateSize: try require(intermediate_size, "intermediate_size"),
      maximumPositions: try require(max_position_embeddings, "max_position_embeddings"),
      norm: .layer, normEpsilon: layer_norm_eps ?? 1e-12, normPlacement: .post,
      positions: .learned, tokenTypeCount: type_vocab_size ?? 2,
      activation: try activation(), isGated: false, isCausal: is_decoder ?? false,
      attentionInputBias: true, attentionOutputBias: true, feedForwardBias: true,
      tiesWordEmbeddings: tie_word_embeddings ?? true,
      initializerRange: initializer_range ?? 0.02)
  }
}
