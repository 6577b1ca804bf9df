// The points of a sweep with their experiments, read as `run` reads them, and what their run
// directories hold. A directory belongs to a point only if its config.yaml is the experiment that
// the sweep file gives now; else an edited sweep would show the new settings beside old results.

package import Configuration
internal import Files
internal import Foundation
internal import RunFiles

/// A sweep whose experiments were all read.
struct SweepPoints {
  let sweep: Sweep
  /// The sweep's directory.
  let directory: String
  /// The experiment of each point.
  let experiments: [Experiment]
  /// The places of the values of each.
  private let sources: [ExperimentSource]

  /// Reads a sweep and the experiments of its points.
  /// - Parameter output: The sweep's directory; nil for `runs/NAME`.
  /// - Throws: `CommandFailure` with the problems of all points.
  init(path: String, output: String?) throws {
    sweep = try Sweep(path: path)
    directory = output ?? "runs/\(sweep.name)"
    let file = try ExperimentFile(
      path: sweep.experiment, settingsDirectory: sweep.directory, settingPrefix: "\(path): ")
    var problems = PointProblems()
    var readings: [Experiment.Reading] = []
    for point in sweep.points {
      do {
        readings.append(try file.reading(settings: point.settings))
      } catch let error as ExperimentProblems {
        for problem in error.problems {
          problems.add("\(problem)", code: ExitCode.usage, point: point.name)
        }
      }
    }
    try problems.check()
    experiments = readings.map(\.experiment)
    sources = readings.map(\.source)
  }

  /// The number of the one point that is played, checked.
  func check(only: Int?) throws {
    if let only, !sweep.points.indices.contains(only) {
      throw CommandFailure(
        ExitCode.usage, "--point \(only): the sweep has points 0 to \(sweep.points.count - 1)")
    }
  }

  /// The run directory of a point.
  func runDirectory(_ index: Int) -> String { "\(directory)/\(sweep.points[index].name)" }

  /// The values of keys at a point, as config.yaml has them; empty where a key does not count.
  func settings(of index: Int, _ keys: [ExperimentKey]) -> [String] {
    let experiment = experiments[index]
    return keys.map { $0.counts(in: experiment) ? $0.write(experiment) ?? "" : "" }
  }

  /// The lines in which a point differs from the run in its directory, as `--resume` compares them;
  /// empty where both are the same, or where no run was begun.
  /// - Throws: `CommandFailure` where config.yaml is there and cannot be read.
  func differences(_ index: Int) throws -> [String] {
    let path = runDirectory(index) + "/config.yaml"
    // An empty one is of a run that was killed while it began.
    guard let text = try Self.text(path), !text.isEmpty else { return [] }
    do {
      let saved = try Experiment.read(text: text, name: path, directory: "/").experiment
      return experiments[index].differences(from: saved)
    } catch {
      return ["\("\(error)".split(separator: "\n").first ?? "config.yaml is no experiment")"]
    }
  }

  /// The manifest of a point's run; nil where there is none, or none of this version's form.
  /// - Throws: `CommandFailure` where it is there and cannot be read.
  func manifest(_ index: Int) throws -> Manifest? {
    guard let text = try Self.text(runDirectory(index) + "/manifest.json") else { return nil }
    return try? Manifest.read(Data(text.utf8))
  }

  /// The manifest of a point that is finished as the sweep file gives it now; nil for other points.
  func finishedManifest(_ index: Int) throws -> Manifest? {
    guard let manifest = try manifest(index), hasAllRounds(index, manifest),
      try differences(index).isEmpty
    else { return nil }
    return manifest
  }

  /// True if a run has ended with all rounds that the sweep file gives the point.
  func hasAllRounds(_ index: Int, _ manifest: Manifest) -> Bool {
    // A run that is to have more rounds goes on.
    manifest.status == "finished"
      && manifest.totals.rounds >= experiments[index].federation.rounds
  }

  /// The text of a file; nil where it does not exist.
  private static func text(_ path: String) throws -> String? {
    do {
      return try readText(path, what: "file")
    } catch let failure as CommandFailure where failure.exitCode == ExitCode.missingInput {
      return nil
    }
  }

  /// Refuses a sweep whose directory holds runs of other experiments under its points' names.
  /// - Parameter only: The one point that is played; nil for all.
  func checkDirectories(only: Int?) throws {
    var lines: [String] = []
    for index in sweep.points.indices where only == nil || only == index {
      // Without a manifest nothing was played: `run` judges what a start that was killed left there.
      guard try Self.text(runDirectory(index) + "/manifest.json") != nil else { continue }
      let found = try differences(index)
      guard !found.isEmpty else { continue }
      lines.append(
        "point \(sweep.points[index].name): \(runDirectory(index)) is a run of another experiment: "
          + found.prefix(5).joined(separator: "; ")
          + (found.count > 5 ? "; and \(found.count - 5) more keys" : ""))
    }
    guard !lines.isEmpty else { return }
    let shown = 20
    if lines.count > shown {
      lines = lines.prefix(shown) + ["\(lines.count - shown) more points differ likewise"]
    }
    lines.append("give another --output, or remove the directories of these points")
    throw CommandFailure(ExitCode.usage, lines.joined(separator: "\n"))
  }

  /// Checks each point as far as `run` does before it opens the model: files that are missing, and
  /// values that do not go together.
  /// - Returns: Remarks for the user, for a point on `ranks` ranks.
  /// - Throws: `CommandFailure` with the problems of all points.
  func checkInputs(_ assets: AssetDirectory, ranks: Int?) throws -> [String] {
    var problems = PointProblems()
    var notices = PointProblems()
    for ((point, source), experiment) in zip(zip(sweep.points, sources), experiments) {
      do {
        try experiment.checkInputs(assets)
        let plan = try experiment.federationPlan(assets: assets)
        if ExperimentKey.partitionClients?.counts(in: experiment) == true {
          try source.check(plan.problems(population: experiment.partition.clients))
        }
        if let ranks, let notice = plan.idleRanksNotice(ranks: ranks) {
          notices.add(notice, code: 0, point: point.name)
        }
      } catch {
        for line in "\(error)".split(separator: "\n") {
          problems.add(String(line), code: ExitCode.code(of: error), point: point.name)
        }
      }
    }
    try problems.check()
    return notices.lines
  }
}

/// Problems of points, each once with the points that have it.
private struct PointProblems {
  private var found: [(text: String, code: Int32, points: [String])] = []
  private var places: [String: Int] = [:]

  mutating func add(_ text: String, code: Int32, point: String) {
    if let place = places[text] {
      found[place].points.append(point)
    } else {
      places[text] = found.count
      found.append((text, code, [point]))
    }
  }

  /// A line for each of the first problems.
  var lines: [String] {
    let shown = 50
    var lines = found.prefix(shown).map { text, _, points in
      let names = points.prefix(3).joined(separator: ", ")
      let more = points.count > 3 ? " and \(points.count - 3) more" : ""
      return "point\(points.count == 1 ? "" : "s") \(names)\(more): \(text)"
    }
    if found.count > shown { lines.append("\(found.count - shown) more problems") }
    return lines
  }

  /// Throws where there are any, with the exit code of the first.
  func check() throws {
    guard let first = found.first else { return }
    throw CommandFailure(first.code, lines.joined(separator: "\n"))
  }
}

/// The points of a sweep as a table, after each was checked as `run` checks an experiment before it
/// opens the model.
///
/// - Parameters:
///   - output: The sweep's directory, which is compared too; nil where it is not to be looked at.
///   - ranks: The ranks that play a point, for a remark where some have no client; nil for none.
/// - Throws: `CommandFailure` with the problems of all points.
package func sweepListing(
  path: String, output: String? = nil, ranks: Int? = nil, assets: AssetDirectory = AssetDirectory()
) throws -> String {
  let points = try SweepPoints(path: path, output: output)
  let notices = try points.checkInputs(assets, ranks: ranks)
  if output != nil { try points.checkDirectories(only: nil) }
  return notices.map { "note: \($0)\n" }.joined() + points.sweep.text
}
