// Rotary positions from config.json: `rope_parameters`, the older `rope_scaling` and the fields
// beside them, in transformers' order of precedence.

internal import Safetensors

extension ConfigurationFields {
  /// The object that describes the rotary positions, in the new or the old spelling; nil for none.
  /// - Throws: `FieldProblem` where both are there and differ, or layers have their own.
  func rope() throws -> ConfigurationFields? {
    let old = try object("rope_scaling")
    let new = try object("rope_parameters")
    if old != nil, new != nil, let a = self["rope_scaling"], let b = self["rope_parameters"],
      !a.isSame(as: b)
    {
      throw FieldProblem(
        "rope_scaling \(a.excerpt) and rope_parameters \(b.excerpt) differ; leave one of them out")
    }
    let found = old ?? new
    for name in found?.names ?? [] {
      guard case .object = found?[name] else { continue }
      throw FieldProblem("rotary positions for each kind of layer (\(name)) are not supported")
    }
    return found
  }

  /// The rotary positions of a model whose `rope` describes them.
  func rotary(_ rope: ConfigurationFields?, maximumPositions: Int) throws -> RotaryConfiguration {
    let theta = try rope?.double("rope_theta") ?? double("rope_theta") ?? 10000
    guard theta >= 1 else {
      throw FieldProblem("rope_theta is \(theta); a number of at least 1 was expected")
    }
    let kind = try rope?.string("rope_type") ?? rope?.string("type") ?? "default"
    guard let rope, kind != "default" else { return RotaryConfiguration(theta: theta) }
    func positive(_ name: String) throws -> Double {
      guard let value = try rope.double(name) else {
        throw FieldProblem("rope scaling \"\(kind)\" needs \(name)")
      }
      // Frequencies are at most 1 before they are divided by the factor.
      guard value > 0, Float(1 / value).isFinite else {
        throw FieldProblem("rope scaling: \(name) is \(value); a number above 0 was expected")
      }
      return value
    }
    switch kind {
    case "linear":
      return RotaryConfiguration(theta: theta, scaling: .linear(factor: try positive("factor")))
    case "llama3":
      let (low, high) = (try positive("low_freq_factor"), try positive("high_freq_factor"))
      guard low < high else {
        throw FieldProblem(
          "rope scaling: low_freq_factor \(low) is not below high_freq_factor \(high)")
      }
      let name = "original_max_position_embeddings"
      let original =
        try double(name) ?? (rope[name] == nil ? Double(maximumPositions) : positive(name))
      guard original > 0 else {
        throw FieldProblem("\(name) is \(original); a number above 0 was expected")
      }
      return RotaryConfiguration(
        theta: theta,
        scaling: .llama3(
          factor: try positive("factor"), lowFactor: low, highFactor: high,
          originalPositions: original))
    default:
      throw FieldProblem(
        "rope scaling \"\(kind)\" is not supported; supported: default, linear, llama3")
    }
  }
}
