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
  /// Which of the points are played; nil for all.
  let search: PairwiseSearch?

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
      throw reader.failure(nil, "a sweep has the keys \(SweepReader.keys)")
    }
    var common: [String] = []
    var named: [(name: String, settings: [String])] = []
    var lists: [(key: String, values: [(name: String, setting: String)])] = []
    var draws: [(name: String, settings: [String])] = []
    var search: PairwiseSearch?
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
      case "random": draws = try reader.draws(value)
      case "search": search = try reader.search(value)
      default:
        throw reader.failure(
          key,
          "unknown key \(key.scalar?.string ?? ""); a sweep has the keys \(SweepReader.keys)")
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
    if !draws.isEmpty {
      points = points.flatMap { point in
        draws.map { draw in
          (point.0.isEmpty ? draw.name : point.0 + "." + draw.name, point.1 + draw.settings)
        }
      }
    }
    if let search {
      guard named.isEmpty, lists.isEmpty, draws.isEmpty else {
        throw reader.failure(nil, "search stands alone: without points, grid and random")
      }
      points = search.points
    }
    self.search = search
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
