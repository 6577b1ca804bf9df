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
  /// Wall seconds in which this group played points.
  public var playingSeconds = 0.0
  /// Wall seconds in which it looked for the next one, or waited for it, until none was free.
  public var claimingSeconds = 0.0
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
  let (sweep, rounds) = try communicator.agreed { () -> (Sweep?, [Int]) in
    guard communicator.rank == 0 else { return (nil, []) }
    let sweep = try Sweep(path: path)
    if let only, !sweep.points.indices.contains(only) {
      throw CommandFailure(
        ExitCode.usage, "--point \(only): the sweep has points 0 to \(sweep.points.count - 1)")
    }
    let rounds = try sweep.points.map { point in
      do {
        return try sweep.request(point).load().experiment.federation.rounds
      } catch let error as ExperimentProblems {
        throw CommandFailure(ExitCode.usage, "point \(point.name): \(error)")
      }
    }
    return (sweep, rounds)
  }
  let name = try communicator.broadcast(sweep?.name ?? "", root: 0)
  let directory = output ?? "runs/\(name)"
  let claims = try communicator.agreed {
    try sweep.map { try SweepClaims(directory: directory, sweep: $0, rounds: rounds) }
  }
  var outcome = SweepOutcome(directory: directory)
  var mark = ContinuousClock.now
  func lap() -> Double {
    let start = mark
    mark = .now
    return (mark - start) / .seconds(1)
  }
  while true {
    var next = [
      try communicator.agreed {
        try claims?.next(only: only) ?? (claims?.isStopped == true ? -2 : -1)
      }
    ]
    try communicator.broadcast(&next)
    outcome.claimingSeconds += lap()
    guard next[0] >= 0 else {
      if next[0] == -2 { outcome.exitCode = ExitCode.stopped }
      break
    }
    let pointName = try communicator.broadcast(sweep?.points[next[0]].name ?? "", root: 0)
    let request = sweep.map { $0.request($0.points[next[0]]) } ?? ExperimentRequest()
    defer { outcome.playingSeconds += lap() }
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
      claims?.fail(next[0])
      outcome.failed.append((pointName, failure.exitCode))
      if outcome.exitCode == 0 { outcome.exitCode = failure.exitCode }
    }
  }
  try communicator.agreed {
    if let sweep { try SweepTable(sweep, directory: directory).write() }
  }
  return outcome
}

/// points.csv: a row for each point with its settings, how far it is and what it came to.
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
    var rows = [
      [
        "point", "name", "status", "digest", "rounds", "wall_seconds", "split", "accuracy", "loss",
        "payload_bytes", "dense_payload_bytes",
      ] + columns
    ]
    for (index, point) in sweep.points.enumerated() {
      let manifest = Manifest.read(in: "\(directory)/\(point.name)")
      var values: [String: String] = [:]
      for setting in point.settings {
        guard let equals = setting.firstIndex(of: "=") else { continue }
        values[String(setting[..<equals])] = String(setting[setting.index(after: equals)...])
      }
      var row = ["\(index)", point.name, manifest?.status ?? "not begun", manifest?.digest ?? ""]
      row.append(manifest.map { "\($0.totals.rounds)" } ?? "")
      row.append(manifest?.wallSeconds.map { fixed($0, 3) } ?? "")
      row.append(manifest?.evaluation?.split ?? "")
      row.append(manifest?.evaluation.map { "\($0.accuracy)" } ?? "")
      row.append(manifest?.evaluation.map { "\($0.loss)" } ?? "")
      row.append(manifest.map { "\($0.totals.payloadBytes)" } ?? "")
      row.append(manifest.map { "\($0.totals.densePayloadBytes)" } ?? "")
      rows.append(row + columns.map { values[$0] ?? "" })
    }
    let text = rows.map(csvRow).joined()
    try OutputFile.replace(directory + "/points.csv", with: text)
  }
}
