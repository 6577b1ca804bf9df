// Which points of a sweep are free, by locks on files. A claim ends with the process that has it.

import Foundation

/// The points of a sweep that this group has, and how it gets the next.
final class SweepClaims {
  private let directory: String
  private let points: [String]
  /// How many rounds each point is to have.
  private let rounds: [Int]
  private let search: PairwiseSearch?
  /// Points that failed here, also where their files could not say so.
  private var failedHere: Set<Int> = []
  /// Whether waiting was given up because the job is to stop.
  private(set) var isStopped = false
  private var held: [Int: OutputFile] = [:]
  /// Finished points with what they came to; they stay so.
  private var finished: [Int: PairwiseSearch.Outcome] = [:]
  /// Stands in the claim of a point that failed, as long as its group lives.
  private static let failed = "failed\n"

  init(directory: String, sweep: Sweep, rounds: [Int]) throws {
    self.directory = directory
    points = sweep.points.map(\.name)
    self.rounds = rounds
    search = sweep.search
    do {
      try FileManager.default.createDirectory(
        atPath: directory + "/.claims", withIntermediateDirectories: true)
    } catch {
      throw CommandFailure(ExitCode.inputOutput, "\(directory): cannot be made")
    }
  }

  /// Claims the first point that is neither finished nor claimed; nil where none is left. A search waits
  /// here for the points of other groups that decide how it goes on.
  func next(only: Int?) throws -> Int? {
    guard only == nil, let search else {
      for index in points.indices where only == nil || only == index {
        if let claimed = try claim(index) { return claimed }
      }
      return nil
    }
    while true {
      let wanted = search.next(outcome)
      for index in wanted {
        if let claimed = try claim(index) { return claimed }
      }
      guard let busy = wanted.first(where: { outcome($0) == .open }) else {
        if wanted.isEmpty { return nil }
        continue
      }
      // Until the group that has it is through with it, failed at it, or gone.
      let claim = try OutputFile(opening: file(busy))
      while outcome(busy) == .open, claim.isLocked {
        if Interruption.isPending {
          isStopped = true
          return nil
        }
        usleep(200_000)
      }
    }
  }

  private func claim(_ index: Int) throws -> Int? {
    if held[index] != nil || isFinished(index) { return nil }
    let file = try OutputFile(opening: file(index))
    // Another group may have finished it since.
    guard file.lock(), !isFinished(index) else { return nil }
    try file.empty()
    held[index] = file
    return index
  }

  /// Lets a finished point go.
  func release(_ index: Int) { held[index] = nil }

  /// Says that a point failed; it stays claimed, so that no group of this job repeats it.
  func fail(_ index: Int) {
    failedHere.insert(index)
    try? held[index]?.append(Self.failed)
  }

  private func outcome(_ index: Int) -> PairwiseSearch.Outcome {
    if isFinished(index) { return finished[index] ?? .failed }
    if failedHere.contains(index) { return .failed }
    guard FileManager.default.contents(atPath: file(index)) == Data(Self.failed.utf8) else {
      return .open
    }
    // What is left of a group that is gone says nothing: its failed points begin anew.
    return (try? OutputFile(opening: file(index)))?.isLocked != false ? .failed : .open
  }

  private func isFinished(_ index: Int) -> Bool {
    if finished[index] != nil { return true }
    guard let manifest = Manifest.read(in: "\(directory)/\(points[index])"),
      // One that is to have more rounds goes on.
      manifest.status == "finished", manifest.totals.rounds >= rounds[index]
    else { return false }
    finished[index] =
      manifest.evaluation.map { .finished(accuracy: $0.accuracy, loss: $0.loss) } ?? .failed
    return true
  }

  private func file(_ index: Int) -> String { "\(directory)/.claims/\(points[index])" }
}
