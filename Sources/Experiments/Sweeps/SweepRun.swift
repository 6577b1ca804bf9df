// Playing a sweep: groups of ranks side by side, each taking the next point that nobody has. A
// point is claimed by a lock on a file in the sweep's directory, so groups of one job, tasks of a
// job array and jobs on several nodes share the work without talking to each other. A finished
// point is left alone, a begun one goes on where it was saved, a failing one does not end the
// others. A group that cannot go on at all returns like the others, so that they can end together.

package import Communication
package import Configuration
internal import Files
internal import Foundation
package import RunFiles

/// How a sweep ended on this rank's group.
package struct SweepOutcome: Sendable {
  /// The directory of the sweep.
  package let directory: String
  /// Points that this group finished now.
  package var finished: [String] = []
  /// Points that failed, with their exit codes.
  package var failed: [(name: String, exitCode: Int32)] = []
  /// Wall seconds in which this group played points.
  package var playingSeconds = 0.0
  /// Wall seconds in which it looked for the next one, or waited for it, until none was free.
  package var claimingSeconds = 0.0
  /// 0, the largest of the failures, or 75 where the sweep was asked to stop.
  package var exitCode: Int32 = 0
}

/// Plays the points of a sweep on a group of ranks; called by all ranks of the group.
///
/// - Parameters:
///   - output: The sweep's directory; nil for `runs/NAME`.
///   - only: The number of the one point to play; nil for all that are free.
///   - communicator: The group.
///   - world: The groups that begin together, where there are several: the sweep and its directory
///     are checked for all of them before one plays.
/// - Throws: `RunFailure` where a rank fails alone (the job has to be aborted), or where the sweep
///   or its directory is refused.
package func runSweep(
  path: String, output: String? = nil, only: Int? = nil, environment: RunEnvironment,
  assets: AssetDirectory = AssetDirectory(), communicator: any Communicator,
  within world: (any Communicator)? = nil, assemble: Assembler
) throws -> SweepOutcome {
  let all = world ?? communicator
  let checked = try all.agreed { () -> SweepPoints? in
    guard all.rank == 0 else { return nil }
    let points = try SweepPoints(path: path, output: output)
    try points.check(only: only)
    try points.checkDirectories(only: only)
    return points
  }
  let points = try communicator.agreed {
    communicator.rank == 0 ? try checked ?? SweepPoints(path: path, output: output) : nil
  }
  let directory = try communicator.broadcast(points?.directory ?? "", root: 0)
  let claims = try communicator.agreed { try points.map(SweepClaims.init) }
  let group = SweepGroup(
    directory: directory, communicator: communicator, points: points, claims: claims)
  try group.play(only: only) { request, output in
    try runExperiment(
      request, output: output, resume: true, label: URL(fileURLWithPath: output).lastPathComponent,
      environment: environment, assets: assets, communicator: communicator, assemble: assemble)
  }
  return group.outcome
}

/// The points that a group of ranks plays, one after the other.
private final class SweepGroup {
  private(set) var outcome: SweepOutcome
  private let communicator: any Communicator
  /// On rank 0 of the group alone.
  private let points: SweepPoints?
  private let claims: SweepClaims?
  private let table: SweepTable?
  private var mark = ContinuousClock.now

  init(
    directory: String, communicator: any Communicator, points: SweepPoints?, claims: SweepClaims?
  ) {
    outcome = SweepOutcome(directory: directory)
    self.communicator = communicator
    self.points = points
    self.claims = claims
    table = points.map { SweepTable($0) }
  }

  /// Plays free points until none is left, the job is to stop, or the group cannot go on.
  func play(
    only: Int?, run: (ExperimentRequest, _ output: String) throws -> RunOutcome?
  ) throws {
    table?.update()
    do {
      while let index = try next(only: only), try play(index, run) {}
      try communicator.agreed { try table?.write() }
    } catch let failure as RunFailure {
      table?.update()
      if failure.needsAbort { throw failure }
      // Nothing is said to other groups: they go on, and all end together.
      report(failure.lines)
      outcome.exitCode = max(outcome.exitCode, failure.exitCode)
    }
  }

  /// The number of the point that the group claimed; nil where none is left for it.
  private func next(only: Int?) throws -> Int? {
    var next = [
      try communicator.agreed {
        try claims?.next(only: only) { table?.update() }
          ?? (claims?.isStopped == true ? -2 : -1)
      }
    ]
    try communicator.broadcast(&next)
    outcome.claimingSeconds += lap()
    if next[0] == -2 { outcome.exitCode = ExitCode.stopped }
    guard next[0] >= 0 else { return nil }
    // Shows the end of the point before, too.
    table?.update()
    sayTimeLeft()
    return next[0]
  }

  /// Plays a point.
  /// - Returns: False if the group is to stop.
  private func play(
    _ index: Int, _ run: (ExperimentRequest, _ output: String) throws -> RunOutcome?
  ) throws -> Bool {
    let name = try communicator.broadcast(points?.sweep.points[index].name ?? "", root: 0)
    let request = points.map { $0.sweep.request($0.sweep.points[index]) } ?? ExperimentRequest()
    defer { outcome.playingSeconds += lap() }
    do {
      _ = try run(request, "\(outcome.directory)/\(name)")
      outcome.finished.append(name)
      claims?.release(index)
      return true
    } catch let failure as RunFailure {
      outcome.exitCode = max(outcome.exitCode, failure.exitCode)
      // A locked directory has that exit code too, and is no reason to leave the other points.
      let isAsked =
        try !failure.needsAbort && communicator.maximum(Interruption.isPending ? 1 : 0) > 0
      if isAsked, failure.exitCode == ExitCode.stopped {
        report(failure.lines.map { "\(name): \($0)" })
        claims?.release(index)
        return false
      }
      let cause = failure.lines.isEmpty ? "the log has the cause" : failure.description
      claims?.fail(index, exitCode: failure.exitCode, cause: cause)
      outcome.failed.append((name, failure.exitCode))
      if failure.needsAbort { throw failure }
      report(failure.lines.map { "\(name): \($0)" })
      return true
    }
  }

  /// Says how many points are done, and how long the others take if they take as long as those of
  /// this group.
  private func sayTimeLeft() {
    guard let table, let points, !outcome.finished.isEmpty else { return }
    let done = (table.counts[.finished] ?? 0) + (table.counts[.failed] ?? 0)
    let total = points.sweep.points.count
    let groups = max(1, table.counts[.running] ?? 1)
    let mean = outcome.playingSeconds / Double(outcome.finished.count)
    let left = mean * Double((total - done + groups - 1) / groups)
    report([
      "\(done) of \(total) points done; about \(durationText(left)) for the others,"
        + " \(groups) at a time"
    ])
  }

  private func report(_ lines: [String]) {
    for line in lines { writeToStandardError("cellm-mpi: \(line)\n") }
  }

  /// Seconds since the last call.
  private func lap() -> Double {
    let start = mark
    mark = .now
    return (mark - start) / .seconds(1)
  }
}
