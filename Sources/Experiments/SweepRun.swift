// Playing a sweep: groups of ranks side by side, each taking the next point that nobody has. A point is
// claimed by a lock on a file in the sweep's directory, so groups of one job, tasks of a job array and jobs
// on several nodes share the work without talking to each other. A finished point is left alone, a
// begun one goes on where it was saved, a failing one does not end the others.

public import Communication
import Foundation

/// How a sweep ended on this rank's group.
public struct SweepOutcome: Sendable {
  /// The directory of the sweep.
  public let directory: String
  /// Points that this group finished now.
  public var finished: [String] = []
  /// Points that failed, with their exit codes.
  public var failed: [(name: String, exitCode: Int32)] = []
  /// 0, that of the first point that failed, or 75 where the sweep was asked to stop.
  public var exitCode: Int32 = 0
}

/// Plays the points of a sweep on a group of ranks; called by all ranks of the group.
///
/// - Parameters:
///   - output: The sweep's directory; nil for `runs/NAME`.
///   - only: The number of the one point to play; nil for all that are free.
///   - communicator: The group.
/// - Throws: `RunFailure` where a rank fails alone (the job has to be aborted) or the sweep is malformed.
public func runSweep(
  path: String, output: String? = nil, only: Int? = nil, environment: RunEnvironment,
  assets: AssetDirectory = AssetDirectory(), communicator: any Communicator,
  assemble: Assembler
) throws -> SweepOutcome {
  let sweep = try communicator.agreed { () -> Sweep? in
    guard communicator.rank == 0 else { return nil }
    let sweep = try Sweep(path: path)
    if let only, !sweep.points.indices.contains(only) {
      throw CommandFailure(
        ExitCode.usage, "--point \(only): the sweep has points 0 to \(sweep.points.count - 1)")
    }
    for point in sweep.points {
      do {
        _ = try sweep.request(point).load()
      } catch let error as ExperimentProblems {
        throw CommandFailure(ExitCode.usage, "point \(point.name): \(error)")
      }
    }
    return sweep
  }
  let name = try communicator.broadcast(sweep?.name ?? "", root: 0)
  let directory = output ?? "runs/\(name)"
  let claims = try communicator.agreed {
    try sweep.map { try Claims(directory: directory, points: $0.points.map(\.name)) }
  }
  var outcome = SweepOutcome(directory: directory)
  while true {
    var next = [try communicator.agreed { try claims?.next(only: only) ?? -1 }]
    try communicator.broadcast(&next)
    guard next[0] >= 0 else { break }
    let pointName = try communicator.broadcast(sweep?.points[next[0]].name ?? "", root: 0)
    let request = sweep.map { $0.request($0.points[next[0]]) } ?? ExperimentRequest()
    do {
      _ = try runExperiment(
        request, output: "\(directory)/\(pointName)", resume: true, label: pointName,
        environment: environment, assets: assets, communicator: communicator, assemble: assemble)
      outcome.finished.append(pointName)
      claims?.release(next[0])
    } catch let failure as RunFailure where !failure.needsAbort {
      for line in failure.lines { writeToStandardError("cellm-mpi: \(pointName): \(line)\n") }
      if failure.exitCode == ExitCode.stopped {
        outcome.exitCode = ExitCode.stopped
        break
      }
      outcome.failed.append((pointName, failure.exitCode))
      if outcome.exitCode == 0 { outcome.exitCode = failure.exitCode }
    }
  }
  try communicator.agreed {
    if let sweep { try SweepTable(sweep, directory: directory).write() }
  }
  return outcome
}

/// Which points are free, by locks on files.
private final class Claims {
  private let directory: String
  private let points: [String]
  private var held: [Int: OutputFile] = [:]
  /// Points that were found finished; they stay so.
  private var finished: Set<Int> = []

  init(directory: String, points: [String]) throws {
    self.directory = directory
    self.points = points
    do {
      try FileManager.default.createDirectory(
        atPath: directory + "/.claims", withIntermediateDirectories: true)
    } catch {
      throw CommandFailure(ExitCode.inputOutput, "\(directory): cannot be made")
    }
  }

  /// Claims the first point that is neither finished nor claimed; nil where none is left.
  func next(only: Int?) throws -> Int? {
    for (index, point) in points.enumerated() where only == nil || only == index {
      if held[index] != nil || isFinished(index) { continue }
      let file = try OutputFile(creating: "\(directory)/.claims/\(point)")
      // Another group may have finished it since.
      if file.lock(), !isFinished(index) {
        held[index] = file
        return index
      }
    }
    return nil
  }

  /// Lets a finished point go; a failed one stays claimed, so that no group of this job repeats it.
  func release(_ index: Int) { held[index] = nil }

  private func isFinished(_ index: Int) -> Bool {
    if finished.contains(index) { return true }
    guard Manifest.read(in: "\(directory)/\(points[index])")?.status == "finished" else {
      return false
    }
    finished.insert(index)
    return true
  }
}

/// points.csv: a row for each point with its settings and how far it is.
private struct SweepTable {
  let sweep: Sweep
  let directory: String

  init(_ sweep: Sweep, directory: String) {
    self.sweep = sweep
    self.directory = directory
  }

  func write() throws {
    let keys = sweep.points.flatMap(\.settings).map { String($0.prefix { $0 != "=" }) }
    var columns: [String] = []
    for key in keys where !columns.contains(key) { columns.append(key) }
    var rows = [["point", "name", "status", "digest", "rounds", "wall_seconds"] + columns]
    for (index, point) in sweep.points.enumerated() {
      let manifest = Manifest.read(in: "\(directory)/\(point.name)")
      var values: [String: String] = [:]
      for setting in point.settings {
        guard let equals = setting.firstIndex(of: "=") else { continue }
        values[String(setting[..<equals])] = String(setting[setting.index(after: equals)...])
      }
      rows.append(
        [
          "\(index)", point.name, manifest?.status ?? "not begun", manifest?.digest ?? "",
          manifest.map { "\($0.totals.rounds)" } ?? "",
          manifest?.wallSeconds.map { fixed($0, 3) } ?? "",
        ] + columns.map { values[$0] ?? "" })
    }
    let text = rows.map(csvRow).joined()
    try OutputFile.replace(directory + "/points.csv", with: text)
  }
}
