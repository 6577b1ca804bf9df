// Rotary positions from config.json: `rope_parameters`, the older `rope_scaling` and the fields
// beside them, in transformers' order of precedence.

internal import Elementary
internal import Safetensors

/// The objects of config.json that describe rotary positions.
struct RotaryFields {
  /// The one for all layers; nil if there is none.
  var common: ConfigurationFields?
  /// Those of kinds of layers, such as `full_attention`.
  var byLayerType: [String: ConfigurationFields] = [:]

  /// All objects.
  var all: [ConfigurationFields] {
    byLayerType.isEmpty
      ? [common].compactMap { $0 } : byLayerType.sorted { $0.key < $1.key }.map(\.value)
  }

  /// The object for all layers.
  /// - Throws: `FieldProblem` if kinds of layers have their own.
  func forAllLayers() throws -> ConfigurationFields? {
    if let name = byLayerType.keys.sorted().first {
      throw FieldProblem("rotary positions for each kind of layer (\(name)) are not supported")
    }
    return common
  }
}

extension ConfigurationFields {
  /// The objects that describe the rotary positions, in the new or the old spelling.
  /// - Throws: `FieldProblem` where both are there and differ.
  func rope() throws -> RotaryFields {
    let old = try object("rope_scaling")
    let new = try object("rope_parameters")
    if old != nil, new != nil, let a = self["rope_scaling"], let b = self["rope_parameters"],
      !a.isSame(as: b)
    {
      throw FieldProblem(
        "rope_scaling \(a.excerpt) and rope_parameters \(b.excerpt) differ; leave one of them out")
    }
    var found = RotaryFields(common: old ?? new)
    for name in found.common?.names ?? [] {
      guard case .object = found.common?[name] else { continue }
      found.byLayerType[name] = try found.common?.object(name)
    }
    return found
  }

  /// The rotary positions of a model whose `rope` describes them.
  ///
  /// - Parameters:
  ///   - theta: the base where neither `rope` nor this object has one.
  ///   - thetaField: the field of this object that may hold the base.
  ///   - isPartial: true if the family can rotate a part of the channels.
  func rotary(
    _ rope: ConfigurationFields?, headSize: Int, maximumPositions: Int, theta: Double = 10000,
    thetaField: String = "rope_theta", isPartial: Bool = false
  ) throws -> RotaryConfiguration {
    guard headSize >= 1, headSize <= 1 << 30 else {
      throw FieldProblem("head_dim is \(headSize); a number from 1 to 2^30 was expected")
    }
    let theta = try rope?.double("rope_theta") ?? double(thetaField) ?? theta
    guard theta >= 1 else {
      throw FieldProblem("rope_theta is \(theta); a number of at least 1 was expected")
    }
    let share =
      try rope?.double("partial_rotary_factor") ?? double("partial_rotary_factor") ?? 1
    guard share == 1 || isPartial && share > 0 && share < 1 else {
      throw FieldProblem("partial_rotary_factor \(share) is not supported; supported: null, 1")
    }
    let kind = try rope?.string("rope_type") ?? rope?.string("type") ?? "default"
    var found = RotaryConfiguration(theta: theta, share: share)
    guard let rope, kind != "default" else { return found }
    let scaling = RotaryScalingFields(
      model: self, rope: rope, kind: kind, maximumPositions: maximumPositions)
    found.scaling = try scaling.read(pairs: found.channels(headSize) / 2)
    return found
  }
}

/// Reads how the frequencies are scaled.
private struct RotaryScalingFields {
  let model: ConfigurationFields
  let rope: ConfigurationFields
  let kind: String
  let maximumPositions: Int

  func read(pairs: Int) throws -> RotaryConfiguration.Scaling {
    switch kind {
    case "linear": return .linear(factor: try positive("factor"))
    case "dynamic":
      // Frequencies change for sequences beyond max_position_embeddings, which are refused.
      _ = try positive("factor")
      return .none
    case "llama3":
      let (low, high) = (try positive("low_freq_factor"), try positive("high_freq_factor"))
      guard low < high else {
        throw FieldProblem(
          "rope scaling: low_freq_factor \(low) is not below high_freq_factor \(high)")
      }
      return .llama3(
        factor: try positive("factor"), lowFactor: low, highFactor: high,
        originalPositions: try originalPositions())
    case "yarn": return .yarn(try yarn())
    case "longrope", "su":
      let original = try originalPositions()
      return .longRope(
        short: try factors("short_factor", pairs), long: try factors("long_factor", pairs),
        originalPositions: Int(original),
        attentionFactor: try longAttentionFactor(original))
    default:
      throw FieldProblem(
        "rope scaling \"\(kind)\" is not supported; supported: default, linear, dynamic, llama3, "
          + "yarn, longrope")
    }
  }

  private func positive(_ name: String) throws -> Double {
    guard let value = try rope.double(name) else {
      throw FieldProblem("rope scaling \"\(kind)\" needs \(name)")
    }
    // Frequencies are at most 1 before they are divided by the factor.
    guard value > 0, Float(1 / value).isFinite else {
      throw FieldProblem("rope scaling: \(name) is \(value); a number above 0 was expected")
    }
    return value
  }

  private func originalPositions() throws -> Double {
    let name = "original_max_position_embeddings"
    let original =
      try model.double(name) ?? (rope[name] == nil ? Double(maximumPositions) : positive(name))
    guard original > 0, original <= 0x1p30 else {
      throw FieldProblem("\(name) is \(original); a number above 0 and up to 2^30 was expected")
    }
    return original
  }

  private func yarn() throws -> RotaryConfiguration.Yarn {
    let original = try originalPositions()
    let factor =
      rope["factor"] == nil ? Double(maximumPositions) / original : try positive("factor")
    func scale(_ multiplier: Double) -> Double {
      factor <= 1 ? 1 : 0.1 * multiplier * Elementary.log(factor) + 1
    }
    let (numerator, denominator) = (try rope.double("mscale"), try rope.double("mscale_all_dim"))
    let inferred: Double
    if let numerator, let denominator, numerator != 0, denominator != 0 {
      inferred = scale(numerator) / scale(denominator)
    } else {
      inferred = scale(1)
    }
    return RotaryConfiguration.Yarn(
      factor: factor,
      attentionFactor: rope["attention_factor"] == nil
        ? inferred : try positive("attention_factor"),
      fastRotations: rope["beta_fast"] == nil ? 32 : try positive("beta_fast"),
      slowRotations: rope["beta_slow"] == nil ? 1 : try positive("beta_slow"),
      originalPositions: original, isTruncated: try rope.bool("truncate") ?? true)
  }

  private func longAttentionFactor(_ original: Double) throws -> Double {
    if rope["attention_factor"] != nil { return try positive("attention_factor") }
    let factor =
      rope["factor"] == nil ? Double(maximumPositions) / original : try positive("factor")
    guard factor > 1 else { return 1 }
    return (1 + Elementary.log(factor) / Elementary.log(original)).squareRoot()
  }

  /// A factor for each pair of channels.
  private func factors(_ name: String, _ pairs: Int) throws -> [Double] {
    guard case .array(let values)? = rope[name], values.count == pairs else {
      throw FieldProblem("rope scaling: \(name) needs \(pairs) numbers, one for each frequency")
    }
    return try values.map { value in
      guard let number = value.double, number > 0, Float(1 / number).isFinite else {
        throw FieldProblem(
          "rope scaling: \(name) has \(value.excerpt); numbers above 0 were expected")
      }
      return number
    }
  }
}
