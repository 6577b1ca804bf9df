// The form of `method.aggregation`: a name, or a mapping of a name and settings, both from the table of
// aggregations.

internal import Federation
internal import Yams

extension ValueForm where Value == AggregationRule {
  /// The name of an aggregation, with settings if it has some.
  static var aggregation: ValueForm {
    let kinds = Aggregators.all
    let examples = kinds.filter { !$0.settings.isEmpty }.map { flowText(of: $0.rule) }
    return ValueForm(
      allowed: orList(kinds.map(\.name))
        + (examples.isEmpty ? "" : ", with settings as in " + examples.joined(separator: " or ")),
      read: { node, context in
        if let name = node.scalar?.string { return AggregationRule(named: name) }
        guard let mapping = node.mapping, let name = mapping["name"]?.scalar?.string,
          let kind = kinds.first(where: { $0.name == name })
        else { return nil }
        var given: [String: AggregationRule.Value] = [:]
        for (key, value) in mapping where key.scalar?.string != "name" {
          guard let key = key.scalar?.string,
            let setting = kind.settings.first(where: { $0.name == key }),
            let value = settingValue(setting, value)
          else { return nil }
          given[key] = value
        }
        return AggregationRule(kind, given)
      },
      write: { $0.settings.isEmpty ? $0.name : flowText(of: $0) })
  }

  private static func settingValue(
    _ setting: AggregationSetting, _ node: Node
  ) -> AggregationRule.Value? {
    switch setting.allowed {
    case .number: numberValue(of: node).map { .number($0) }
    case .words: node.scalar.map { .word($0.string) }
    }
  }

  /// A mapping of the name and all settings.
  private static func flowText(of rule: AggregationRule) -> String {
    let settings = rule.settings.map { setting in
      switch setting.value {
      case .number(let number): "\(setting.name): \(short(number))"
      case .word(let word): "\(setting.name): \(word)"
      }
    }
    return "{" + (["name: \(rule.name)"] + settings).joined(separator: ", ") + "}"
  }
}
