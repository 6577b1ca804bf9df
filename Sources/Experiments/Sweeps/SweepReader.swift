// The parts of a sweep file.

internal import Configuration
internal import Elementary
internal import Federation
internal import Files
import Foundation
internal import RandomStreams
internal import Yams

/// Reads the parts of a sweep file.
struct SweepReader {
  static let keys = "experiment, set, points, grid, random and search"

  let path: String
  let document: ExperimentDocument

  func failure(_ node: Node?, _ text: String) -> CommandFailure {
    let line = node?.mark.map { ":\($0.line)" } ?? ""
    return CommandFailure(ExitCode.usage, "\(path)\(line): \(text)")
  }

  func mapping(_ node: Node, _ what: String) throws -> Node.Mapping {
    guard let mapping = node.mapping else {
      throw failure(node, "\(what): give keys with values")
    }
    for (key, _) in mapping {
      var word = key.scalar?.string ?? ""
      if document.unmark(&word) {
        throw failure(key, "\(what).\(clipped(word)) is given more than once")
      }
    }
    return mapping
  }

  func settings(_ node: Node, _ what: String) throws -> [String] {
    try mapping(node, what).map { key, value in
      let path = try text(of: key)
      guard !path.isEmpty, !path.contains("=") else {
        throw failure(key, "\(what): \(clipped(path)) is not a key; give path.to.key: value")
      }
      return "\(path)=\(try yaml(value))"
    }
  }

  /// One key of a grid with its values, of which each names points.
  func list(_ key: Node, _ values: Node, among keys: [String]) throws -> (
    key: String, values: [(name: String, setting: String)]
  ) {
    let path = try text(of: key)
    guard let nodes = values.sequence, !nodes.isEmpty else {
      throw failure(values, "grid.\(path): give a list of values")
    }
    let last = Self.shortName(of: path, among: keys)
    return (
      path,
      try nodes.enumerated().map { index, node in
        let word = node.scalar.map { Self.plain($0.string) } ?? "\(index)"
        return ("\(last)-\(word)", "\(path)=\(try yaml(node))")
      }
    )
  }

  /// The last words of a key that no other key of the grid ends with: `learning_rate`, or
  /// `server.learning_rate` and `local.learning_rate`.
  static func shortName(of key: String, among keys: [String]) -> String {
    let words = key.split(separator: ".")
    let others = keys.filter { $0 != key }.map { $0.split(separator: ".") }
    let count = (1...max(words.count, 1)).first { count in
      !others.contains { $0.suffix(count) == words.suffix(count) }
    }
    return words.suffix(count ?? words.count).joined(separator: ".")
  }

  func name(_ node: Node) throws -> String {
    let name = try text(of: node)
    guard !name.isEmpty, Self.plain(name) == name, !name.hasPrefix(".") else {
      throw failure(
        node,
        "a point's name has letters, digits, dots, dashes and underscores: \(clipped(name))")
    }
    return name
  }

  /// The name with every other character as a dash.
  private static func plain(_ text: String) -> String {
    String(
      text.map { character in
        character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
          ? character : "-"
      })
  }

  private func text(of node: Node) throws -> String {
    guard let scalar = node.scalar else { throw failure(node, "a key has to be a word") }
    return scalar.string
  }

  private func inFlowStyle(_ node: Node) -> Node {
    switch node {
    case .mapping(let mapping):
      .mapping(
        Node.Mapping(
          mapping.map { ($0.key, inFlowStyle($0.value)) }, mapping.tag, .flow, mapping.mark))
    case .sequence(let sequence):
      .sequence(
        Node.Sequence(sequence.map(inFlowStyle), sequence.tag, .flow, sequence.mark))
    default: node
    }
  }

  private func yaml(_ node: Node) throws -> String {
    do {
      // On one line, also where the file has it on several.
      return try Yams.serialize(node: inFlowStyle(node), width: -1)
        .trimmingCharacters(in: .newlines)
    } catch {
      throw failure(node, "not a value: \(error)")
    }
  }

  /// Draws of values: `{count: 20, seed: 0, values: {KEY: {uniform: [0, 1]}}}`. A draw is a function of
  /// (seed, its number, the number of the key), written with four digits.
  func draws(_ node: Node) throws -> [(name: String, settings: [String])] {
    var (count, seed) = (0, UInt64(0))
    var rules: [(path: String, draw: (inout RandomStream) throws -> String)] = []
    for (key, value) in try mapping(node, "random") {
      switch key.scalar?.string {
      case "count":
        guard let found = integerValue(of: value), (1...Sweep.mostPoints).contains(found) else {
          throw failure(
            value, "random.count: give an integer of at least 1 and at most \(Sweep.mostPoints)")
        }
        count = found
      case "seed":
        guard let found = value.scalar.flatMap({ UInt64($0.string) }) else {
          throw failure(value, "random.seed: give an integer of at least 0")
        }
        seed = found
      case "values":
        for (key, rule) in try mapping(value, "random.values") {
          rules.append((try text(of: key), try self.rule(rule, of: try text(of: key))))
        }
      default:
        throw failure(key, "random: give count, values and optionally seed")
      }
    }
    guard count > 0, !rules.isEmpty else {
      throw failure(node, "random: give count and values")
    }
    let digits = "\(count - 1)".count
    return try (0..<count).map { number in
      let name = String(repeating: "0", count: digits - "\(number)".count) + "\(number)"
      return (
        "random-\(name)",
        try rules.enumerated().map { index, rule in
          var stream = RandomStream(seed: seed, purpose: .search, round: number, step: index)
          return "\(rule.path)=\(try rule.draw(&stream))"
        }
      )
    }
  }

  private func rule(_ node: Node, of path: String) throws
    -> (inout RandomStream) throws -> String
  {
    let wanted = failure(
      node,
      "random.values.\(path): give {uniform: [low, high]}, {log_uniform: [low, high]} or"
        + " {choice: [value, ...]}")
    guard let mapping = node.mapping, mapping.count == 1, let (key, value) = mapping.first,
      let values = value.sequence, !values.isEmpty
    else { throw wanted }
    if key.scalar?.string == "choice" {
      let texts = try values.map(yaml)
      return { texts[$0.integer(below: texts.count)] }
    }
    let ends = values.compactMap(numberValue)
    guard values.count == 2, ends.count == 2, ends[0] < ends[1] else { throw wanted }
    switch key.scalar?.string {
    case "uniform": return { fourDigits(ends[0] + (ends[1] - ends[0]) * $0.uniform()) }
    case "log_uniform" where ends[0] > 0:
      let (low, high) = (Elementary.log(ends[0]), Elementary.log(ends[1]))
      return { fourDigits(Elementary.exp(low + (high - low) * $0.uniform())) }
    default: throw wanted
    }
  }

  /// A search over ranks and densities.
  func search(_ node: Node) throws -> PairwiseSearch {
    var ranks: [Int] = []
    var densities: [Double] = []
    var (rule, alphaOverRank) = (PairwiseSearch.Rule.accuracy, Double?.none)
    for (key, value) in try mapping(node, "search") {
      switch key.scalar?.string {
      case "ranks":
        ranks = value.sequence?.compactMap(integerValue) ?? []
        guard ranks.count == value.sequence?.count, zip(ranks, ranks.dropFirst()).allSatisfy(<)
        else { throw failure(value, "search.ranks: give ascending integers") }
      case "densities":
        densities = value.sequence?.compactMap(numberValue) ?? []
        guard densities.count == value.sequence?.count,
          zip(densities, densities.dropFirst()).allSatisfy(<)
        else { throw failure(value, "search.densities: give ascending numbers") }
      case "by":
        guard let found = value.scalar.flatMap({ PairwiseSearch.Rule(rawValue: $0.string) }) else {
          throw failure(value, "search.by: give accuracy or loss")
        }
        rule = found
      case "alpha_over_rank":
        guard let found = numberValue(of: value), found > 0 else {
          throw failure(value, "search.alpha_over_rank: give a number above 0")
        }
        alphaOverRank = found
      default:
        throw failure(
          key, "search: give ranks, densities and optionally by and alpha_over_rank")
      }
    }
    guard !ranks.isEmpty, !densities.isEmpty else {
      throw failure(node, "search: give ranks and densities")
    }
    guard ranks.count <= Sweep.mostPoints / densities.count else {
      throw failure(node, "search: has more than \(Sweep.mostPoints) points")
    }
    return PairwiseSearch(
      ranks: ranks, densities: densities, rule: rule, alphaOverRank: alphaOverRank)
  }
}

/// A number with four significant digits: short names of what was drawn, the same on every machine.
private func fourDigits(_ value: Double) -> String { short(Double(String(format: "%.3e", value))!) }
