// A sweep: one experiment at many points. A file names an experiment, what is set for all points, and
// the points: named ones, the product of lists, or both.
//
//   experiment: x.yaml                        # relative to this file
//   set: {federation.rounds: 30}
//   points: {dense: {method.upload.select: all}, flasc: {}}
//   grid: {seed: [0, 1, 2]}
//
// gives dense.seed-0, dense.seed-1, ..., flasc.seed-2.

import Foundation
internal import Yams

/// An experiment at many points.
public struct Sweep: Sendable, Equatable {
  /// One point.
  public struct Point: Sendable, Equatable {
    /// Its name and that of its run directory.
    public let name: String
    /// What is set in the experiment, as `path.to.key=value`.
    public let settings: [String]
  }

  /// The file's name without `.sweep.yaml`.
  public let name: String
  /// The experiment file.
  public let experiment: String
  /// Paths in settings that start with `.` are relative to it.
  let directory: String
  /// The points in the order of the file, the last list of the grid running fastest.
  public let points: [Point]

  /// What to run at a point.
  func request(_ point: Point) -> ExperimentRequest {
    ExperimentRequest(path: experiment, settings: point.settings, settingsDirectory: directory)
  }

  /// Reads a sweep file.
  /// - Throws: `CommandFailure` with its first problem.
  public init(path: String) throws {
    let url = URL(fileURLWithPath: path)
    directory = url.deletingLastPathComponent().path
    let last = url.lastPathComponent
    name =
      [".sweep.yaml", ".yaml"].first(where: last.hasSuffix).map {
        String(last.dropLast($0.count))
      } ?? last
    let text = try readText(path, what: "sweep file")
    let document: ExperimentDocument
    do {
      document = try ExperimentDocument(text: text)
    } catch {
      throw CommandFailure(ExitCode.usage, "\(path):\(error.line): \(error.text)")
    }
    let reader = SweepReader(path: path)
    guard let root = document.root, let sections = root.mapping else {
      throw reader.failure(nil, "a sweep has the keys experiment, set, points and grid")
    }
    var common: [String] = []
    var named: [(name: String, settings: [String])] = []
    var lists: [(key: String, values: [(name: String, setting: String)])] = []
    var base: String?
    for (key, value) in sections {
      switch key.scalar?.string {
      case "experiment":
        guard let text = value.scalar?.string, !text.isEmpty else {
          throw reader.failure(value, "experiment: give a file, relative to this one")
        }
        base = absolutePath(text, from: directory)
      case "set": common = try reader.settings(value, "set")
      case "points":
        for (name, settings) in try reader.mapping(value, "points") {
          let name = try reader.name(name)
          named.append((name, try reader.settings(settings, "points.\(name)")))
        }
      case "grid":
        for (key, values) in try reader.mapping(value, "grid") {
          lists.append(try reader.list(key, values))
        }
      default:
        throw reader.failure(
          key,
          "unknown key \(key.scalar?.string ?? ""); a sweep has experiment, set, points and grid"
        )
      }
    }
    guard let base else { throw reader.failure(nil, "experiment is missing; give a file") }
    experiment = base
    var points = named.isEmpty ? [("", [])] : named
    for list in lists {
      points = points.flatMap { point in
        list.values.map { value in
          (
            point.0.isEmpty ? value.name : point.0 + "." + value.name, point.1 + [value.setting]
          )
        }
      }
    }
    self.points = points.map {
      Point(name: $0.0.isEmpty ? "point" : $0.0, settings: common + $0.1)
    }
    let repeated = Dictionary(grouping: self.points, by: \.name).filter { $1.count > 1 }.keys
      .sorted()
    guard repeated.isEmpty else {
      throw reader.failure(nil, "two points are named \(repeated[0])")
    }
  }

  /// A table of the points, for people.
  public var text: String {
    alignedText(
      [["point", "name", "settings"]]
        + points.enumerated().map { ["\($0)", $1.name, $1.settings.joined(separator: " ")] })
  }
}

/// Reads the parts of a sweep file.
private struct SweepReader {
  let path: String

  func failure(_ node: Node?, _ text: String) -> CommandFailure {
    let line = node?.mark.map { ":\($0.line)" } ?? ""
    return CommandFailure(ExitCode.usage, "\(path)\(line): \(text)")
  }

  func mapping(_ node: Node, _ what: String) throws -> Node.Mapping {
    guard let mapping = node.mapping else {
      throw failure(node, "\(what): give keys with values")
    }
    return mapping
  }

  func settings(_ node: Node, _ what: String) throws -> [String] {
    try mapping(node, what).map { key, value in "\(try text(of: key))=\(try yaml(value))" }
  }

  func list(_ key: Node, _ values: Node) throws -> (
    key: String, values: [(name: String, setting: String)]
  ) {
    let path = try text(of: key)
    guard let nodes = values.sequence, !nodes.isEmpty else {
      throw failure(values, "grid.\(path): give a list of values")
    }
    let last = path.split(separator: ".").last.map(String.init) ?? path
    return (
      path,
      try nodes.enumerated().map { index, node in
        let word = node.scalar.map { Self.plain($0.string) } ?? "\(index)"
        return ("\(last)-\(word)", "\(path)=\(try yaml(node))")
      }
    )
  }

  func name(_ node: Node) throws -> String {
    let name = try text(of: node)
    guard !name.isEmpty, Self.plain(name) == name, !name.hasPrefix(".") else {
      throw failure(
        node, "a point's name has letters, digits, dots, dashes and underscores: \(name)")
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

  private func yaml(_ node: Node) throws -> String {
    do {
      return try Yams.serialize(node: node).trimmingCharacters(in: .newlines)
    } catch {
      throw failure(node, "not a value: \(error)")
    }
  }
}
