// The claims on the points of a sweep: a lock on a file for each point, which ends with the process
// that holds it. Claims are taken, looked at and shown in points.csv under one more lock, the gate,
// so that a look never gets in the way of a claim.

internal import Files
import Foundation
internal import Safetensors

/// The points of a sweep that this group has, and how it gets the next.
final class SweepClaims {
  private let points: SweepPoints
  private let folder: String
  /// Points that failed here, also where their files could not say so.
  private var failedHere: Set<Int> = []
  /// Whether waiting was given up because the job is to stop.
  private(set) var isStopped = false
  private var held: [Int: LockFile] = [:]
  private var isSurveyed = false
  /// Finished points with their results; they stay so.
  private var finished: [Int: PairwiseSearch.Outcome] = [:]
  /// Begins the claim of a point that failed; its exit code and cause follow.
  private static let failed = "failed "

  init(_ points: SweepPoints) throws {
    self.points = points
    folder = Self.folder(of: points.directory)
    try makeFolders(folder)
  }

  /// The folder of the claims in a sweep's directory.
  static func folder(of directory: String) -> String { directory + "/.claims" }

  /// A lock of a sweep that is held for a moment.
  enum Gate: String {
    // No point has these names.
    /// For taking claims and for looking at them.
    case claims = ".gate"
    /// For writing the tables.
    case tables = ".table"
  }

  /// Runs `body` while no other process is behind the gate.
  ///
  /// It goes on without the gate after 10 s, where a process that has it is stopped: claims are locks
  /// of their own, and tables are replaced as a whole.
  /// - Parameter body: Gets true if this process has the gate.
  static func alone<Result>(
    in folder: String, behind gate: Gate = .claims, _ body: (_ isAlone: Bool) throws -> Result
  ) throws -> Result {
    let file = try LockFile("\(folder)/\(gate.rawValue)")
    var isAlone = try file.lock()
    for _ in 0..<5000 where !isAlone {
      usleep(2000)
      isAlone = try file.lock()
    }
    return try withExtendedLifetime(file) { try body(isAlone) }
  }

  private enum Attempt { case claimed(Int), nothingLeft, busy }

  /// Claims the first point that is neither finished nor claimed; nil where none is left. A search waits
  /// here for the points of other groups that decide how it goes on.
  /// - Parameter onWait: Called once, before it waits.
  func next(only: Int?, onWait: () -> Void) throws -> Int? {
    var hasWaited = false
    if !isSurveyed, only == nil, points.sweep.search == nil {
      // Before the gate is taken: reading the runs of a long sweep takes seconds.
      for index in points.sweep.points.indices { _ = try isFinished(index) }
      isSurveyed = true
    }
    while true {
      // A point that begins now would be saved at once, after its model was loaded.
      if Interruption.isPending {
        isStopped = try Self.alone(in: folder) { _ in try isLeft(only: only) }
        return nil
      }
      switch try Self.alone(in: folder, { _ in try attempt(only: only) }) {
      case .claimed(let index): return index
      case .nothingLeft: return nil
      case .busy:
        // Until the group that has the point is through with it, failed at it, or gone.
        if !hasWaited { onWait() }
        hasWaited = true
        usleep(200_000)
      }
    }
  }

  /// Whether a point is neither finished nor failed.
  private func isLeft(only: Int?) throws -> Bool {
    guard only == nil, let search = points.sweep.search else {
      return try points.sweep.points.indices.contains {
        try (only == nil || only == $0) && outcome($0) == .open
      }
    }
    return try !search.next(outcome).isEmpty
  }

  private func attempt(only: Int?) throws -> Attempt {
    guard only == nil, let search = points.sweep.search else {
      for index in points.sweep.points.indices where only == nil || only == index {
        if try claim(index) { return .claimed(index) }
      }
      return .nothingLeft
    }
    while true {
      let wanted = try search.next(outcome)
      for index in wanted where try claim(index) { return .claimed(index) }
      if wanted.isEmpty { return .nothingLeft }
      if try wanted.contains(where: { try outcome($0) == .open }) { return .busy }
    }
  }

  /// Claims a point; false if it is finished or another group has it.
  private func claim(_ index: Int) throws -> Bool {
    if try held[index] != nil || isFinished(index) { return false }
    let file = try LockFile(file(index))
    // Another group may have finished it since.
    guard try file.lock(), try !isFinished(index) else { return false }
    try file.write("")
    held[index] = file
    return true
  }

  /// Lets a point go that is finished or saved.
  func release(_ index: Int) { held[index] = nil }

  /// Says that a point failed; it stays claimed, so that no group of this job repeats it.
  func fail(_ index: Int, exitCode: Int32, cause: String) {
    failedHere.insert(index)
    let line = cause.split(separator: "\n").joined(separator: "; ")
    try? held[index]?.write("\(Self.failed)\(exitCode): \(line)\n")
  }

  private func outcome(_ index: Int) throws -> PairwiseSearch.Outcome {
    if try isFinished(index) { return finished[index] ?? .failed }
    if failedHere.contains(index) { return .failed }
    // What is left of a group that is gone says nothing: its failed points begin anew.
    guard let claim = try Claim(file(index)), claim.failure != nil, claim.isHeld else {
      return .open
    }
    return .failed
  }

  private func isFinished(_ index: Int) throws -> Bool {
    if finished[index] != nil { return true }
    guard let manifest = try points.finishedManifest(index) else { return false }
    finished[index] =
      manifest.evaluation.map { .finished(accuracy: $0.accuracy, loss: $0.loss) } ?? .failed
    return true
  }

  private func file(_ index: Int) -> String { "\(folder)/\(points.sweep.points[index].name)" }

  /// The claim on a point, seen from outside. To be looked at `alone`.
  struct Claim {
    /// True if a process has it.
    let isHeld: Bool
    /// Exit code and cause, where the point failed and was not begun again since.
    let failure: String?

    /// The claim in a file; nil where the point was never claimed.
    init?(_ path: String) throws {
      guard let file = try LockFile(reading: path) else { return nil }
      isHeld = try file.isLocked()
      let text = try file.content()
      failure =
        text.hasPrefix(failed)
        ? text.dropFirst(failed.count).trimmingCharacters(in: .newlines) : nil
    }
  }
}
