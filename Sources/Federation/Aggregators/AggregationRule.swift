// An aggregation as a plain value of the plan: a name and settings, which print alike on all ranks.
// Aggregators.swift has the table of names, and each variant has a file of its own.

/// How the server makes a pseudo-gradient of the uploads: the name of a variant and its settings.
public struct AggregationRule: Sendable, Equatable {
  /// The value of one setting.
  package enum Value: Sendable, Equatable {
    /// A number.
    case number(Double)
    /// One of the words that the setting allows.
    case word(String)
  }

  /// A setting with its value.
  package struct Setting: Sendable, Equatable {
    /// The name in the experiment file.
    package let name: String
    /// The value.
    package let value: Value
  }

  /// The name in the experiment file.
  public let name: String
  /// All settings of the variant, in the variant's order.
  package let settings: [Setting]

  /// The rule of a variant, with its defaults for settings that are not given.
  ///
  /// - Parameter given: Values by the setting's name.
  /// - Returns: nil if the variant has no such setting, or a value is not allowed.
  package init?(_ kind: AggregationKind, _ given: [String: Value] = [:]) {
    let names = Set(kind.settings.map(\.name))
    guard given.keys.allSatisfy(names.contains) else { return nil }
    settings = kind.settings.map { Setting(name: $0.name, value: given[$0.name] ?? $0.standard) }
    guard zip(kind.settings, settings).allSatisfy({ $0.allows($1.value) }) else { return nil }
    name = kind.name
  }

  /// The rule of a name with its default settings; nil if there is no aggregation of this name.
  package init?(named name: String) {
    guard let kind = Aggregators.all.first(where: { $0.name == name }) else { return nil }
    self = kind.rule
  }

  /// The number of a setting.
  ///
  /// - Precondition: The variant has this setting, and it is a number.
  func number(_ name: String) -> Double {
    guard case .number(let number)? = settings.first(where: { $0.name == name })?.value else {
      preconditionFailure("\(self.name) has no number \(name)")
    }
    return number
  }

  /// The word of a setting.
  ///
  /// - Precondition: The variant has this setting, and it is a word.
  func word(_ name: String) -> String {
    guard case .word(let word)? = settings.first(where: { $0.name == name })?.value else {
      preconditionFailure("\(self.name) has no word \(name)")
    }
    return word
  }

  /// The variant.
  package var kind: AggregationKind {
    guard let kind = Aggregators.all.first(where: { $0.name == name }) else {
      preconditionFailure("no aggregation \(name)")
    }
    return kind
  }

  /// The variant's aggregator with these settings.
  var aggregator: any Aggregator { kind.make(self) }
}

/// A setting of an aggregation: its name and the values that it allows.
package struct AggregationSetting: Sendable {
  /// The values that a setting allows.
  package enum Allowed: Sendable {
    /// Numbers of at least the first and below the second.
    case number(atLeast: Double, below: Double)
    /// These words.
    case words([String])
  }

  /// The name in the experiment file.
  package let name: String
  /// The allowed values.
  package let allowed: Allowed
  /// The value if none is given.
  package let standard: AggregationRule.Value

  /// Whether a value is allowed.
  package func allows(_ value: AggregationRule.Value) -> Bool {
    switch (allowed, value) {
    case (.number(let low, let high), .number(let number)): number >= low && number < high
    case (.words(let words), .word(let word)): words.contains(word)
    case (.number, .word), (.words, .number): false
    }
  }
}

/// One variant of aggregation: a row of `Aggregators.all`, written in the variant's own file.
package struct AggregationKind: Sendable {
  /// The uploads that the server has to see.
  package enum Uploads: Sendable {
    /// Their exact weighted sum.
    case sum
    /// Each of them.
    case each
  }

  /// How LoRA's factors come to the clients.
  package enum FactorTransport: Sendable {
    /// They are coordinates of the download, as all others are.
    case inDownload
    /// The cohort's factors of the last round come side by side, beside a download without factors.
    /// All clients add their product to the base weights and start from new factors.
    case asStack
  }

  /// The name in the experiment file.
  package let name: String
  /// What it computes, in one phrase for the documentation of the key.
  package let help: String
  /// Its settings; most have none.
  package let settings: [AggregationSetting]
  /// The uploads that it needs.
  package let needs: Uploads
  /// Whether the trained vector must have both of LoRA's factors.
  package let needsFactors: Bool
  /// Whether the result is a mean of clients that count alike, for which privacy's noise is made.
  package let allowsNoise: Bool
  /// How factors come to the clients.
  package let factors: FactorTransport
  /// Makes the aggregator of a rule of this kind.
  let make: @Sendable (AggregationRule) -> any Aggregator

  /// A variant; what is not said is the most common value.
  init(
    name: String, help: String, settings: [AggregationSetting] = [], needs: Uploads = .sum,
    needsFactors: Bool = false, allowsNoise: Bool = false,
    factors: FactorTransport = .inDownload,
    make: @escaping @Sendable (AggregationRule) -> any Aggregator
  ) {
    self.name = name
    self.help = help
    self.settings = settings
    self.needs = needs
    self.needsFactors = needsFactors
    self.allowsNoise = allowsNoise
    self.factors = factors
    self.make = make
  }

  /// The rule of this kind with its default settings.
  package var rule: AggregationRule {
    guard let rule = AggregationRule(self) else {
      preconditionFailure("the default settings of aggregation \(name) are not allowed")
    }
    return rule
  }
}
