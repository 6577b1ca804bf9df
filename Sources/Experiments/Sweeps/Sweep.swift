// A sweep: one experiment at many points. A file names an experiment, what is set for all points, and
// the points: named ones, the product of lists, random draws, or the product of these.
//
//   experiment: x.yaml                        # relative to this file
//   set: {federation.rounds: 30}
//   points: {dense: {method.upload.select: all}, flasc: {}}
//   grid: {seed: [0, 1, 2]}
//   random: {count: 20, values: {local.learning_rate: {log_uniform: [0.01, 1]}}}
//
// gives dense.seed-0.random-00, dense.seed-0.random-01, ..., flasc.seed-2.random-19. A search over ranks and
// densities (PairwiseSearch.swift) takes the place of all three and plays a few of its points.
//
//   search: {ranks: [1, 4, 16], densities: [0.0625, 0.25, 1], by: accuracy}

internal import Configuration
internal import Files
import Foundation
internal import Yams

/// An experiment at many points.
package struct Sweep: Sendable, Equatable {
  /// One point.
  package struct Point: Sendable, Equatable {
    /// Its name and that of its run directory.
    package let name: String
    /// What is set in the experiment, as `path.to.key=value`.
    package let settings: [String]
  }

  /// The file's name without `.sweep.yaml`.
  package let name: String
  /// The experiment file.
  package let experiment: String
  /// Paths in settings that start with `.` are relative to it.
  let directory: String
  /// The points in the order of the file, the last list of the grid running fastest.
  package let points: [Point]
  /// Which of the points are played; nil for all.
  let search: PairwiseSearch?

  /// What to run at a point.
  func request(_ point: Point) -> ExperimentRequest {
    ExperimentRequest(path: experiment, settings: point.settings, settingsDirectory: directory)
  }

  /// The most points of a sweep.
  static let mostPoints = 10_000

  /// Reads a sweep file.
  /// - Throws: `CommandFailure` with its first problem.
  package init(path: String) throws {
    let url = URL(fileURLWithPath: path)
    directory = url.deletingLastPathComponent().path
    let last = url.lastPathComponent
    name =
      [".sweep.yaml", ".yaml"].first(where: last.hasSuffix).map {
        String(last.dropLast($0.count))
      } ?? last
    let text = try readText(path, what: "sweep file", atMost: ExperimentDocument.largestText)
    let document: ExperimentDocument
    do {
      document = try ExperimentDocument(text: text)
    } catch {
      throw CommandFailure(ExitCode.usage, "\(path):\(error.line): \(error.text)")
    }
    let reader = SweepReader(path: path, document: document)
    guard let root = document.root, let sections = root.mapping else {
      throw reader.failure(nil, "a sweep has the keys \(SweepReader.keys)")
    }
    let parts = try SweepParts(sections, reader, directory: directory)
    guard let base = parts.base else {
      throw reader.failure(nil, "experiment is missing; give a file")
    }
    experiment = base
    search = parts.search
    points = try parts.points(reader)
    let repeated = Dictionary(grouping: points, by: \.name).filter { $1.count > 1 }.keys.sorted()
    guard repeated.isEmpty else {
      throw reader.failure(nil, "two points are named \(repeated[0])")
    }
  }

  /// A table of the points, for people.
  var text: String {
    alignedText(
      [["point", "name", "settings"]]
        + points.enumerated().map { ["\($0)", $1.name, $1.settings.joined(separator: " ")] })
  }
}

/// The sections of a sweep file.
private struct SweepParts {
  var base: String?
  var common: [String] = []
  var named: [(name: String, settings: [String])] = []
  var lists: [(key: String, values: [(name: String, setting: String)])] = []
  var draws: [(name: String, settings: [String])] = []
  var search: PairwiseSearch?

  init(_ sections: Node.Mapping, _ reader: SweepReader, directory: String) throws {
    for (key, value) in sections {
      var word = key.scalar?.string ?? ""
      if reader.document.unmark(&word) {
        throw reader.failure(key, "\(word) is given more than once")
      }
      switch word {
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
        let grid = try reader.mapping(value, "grid")
        let keys = grid.compactMap { $0.0.scalar?.string }
        for (key, values) in grid { lists.append(try reader.list(key, values, among: keys)) }
      case "random": draws = try reader.draws(value)
      case "search": search = try reader.search(value)
      default:
        throw reader.failure(
          key, "unknown key \(clipped(word)); a sweep has the keys \(SweepReader.keys)")
      }
    }
  }

  /// The product of the named points, the lists and the draws, or the points of the search.
  func points(_ reader: SweepReader) throws -> [Sweep.Point] {
    var found = search?.points ?? (named.isEmpty ? [("", [])] : named)
    if search != nil, !(named.isEmpty && lists.isEmpty && draws.isEmpty) {
      throw reader.failure(nil, "search stands alone: without points, grid and random")
    }
    func multiply(_ factors: [(name: String, settings: [String])]) throws {
      guard !factors.isEmpty else { return }
      guard found.count <= Sweep.mostPoints / factors.count else {
        throw reader.failure(
          nil, "has more than \(Sweep.mostPoints) points; give shorter lists, or several sweeps")
      }
      found = found.flatMap { point in
        factors.map {
          (point.0.isEmpty ? $0.name : point.0 + "." + $0.name, point.1 + $0.settings)
        }
      }
    }
    for list in lists { try multiply(list.values.map { ($0.name, [$0.setting]) }) }
    try multiply(draws)
    guard found.count <= Sweep.mostPoints else {
      throw reader.failure(nil, "has more than \(Sweep.mostPoints) points; give several sweeps")
    }
    return try found.map { name, settings in
      // A name is a folder's, and has a suffix in temporary files.
      guard name.utf8.count <= 200 else {
        throw reader.failure(
          nil, "the point's name \(clipped(name)) has more than 200 characters")
      }
      guard ![SweepTable.pointsName, SweepTable.seedsName].contains(name) else {
        throw reader.failure(nil, "a point cannot be named \(name), which is a table of the sweep")
      }
      return Sweep.Point(name: name.isEmpty ? "point" : name, settings: common + settings)
    }
  }
}
