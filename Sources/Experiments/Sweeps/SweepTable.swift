// points.csv and seeds.csv of a sweep: a row for each point, and the means over points that differ in
// the seed alone. All rows are made anew from the run directories each time, so that groups, array
// tasks and jobs that write one after the other lose none of each other's.

internal import Configuration
internal import Files
import Foundation
internal import RunFiles
internal import Safetensors

/// The state of a sweep's point.
enum PointStatus: String {
  case waiting, running, finished, failed
  /// It was begun, and its process is gone.
  case killed
  /// It saved itself and goes on.
  case stopped
}

/// The tables of a sweep.
final class SweepTable {
  private let points: SweepPoints
  private let differing: [ExperimentKey]
  /// The runs that were read, each with its manifest's stamp at that time.
  private var known: [Int: (stamp: FileStamp, run: PointRun)] = [:]

  init(_ points: SweepPoints) {
    self.points = points
    differing = ExperimentKey.all.filter { key in
      Set(points.experiments.indices.flatMap { points.settings(of: $0, [key]) }).count > 1
    }
  }

  /// How many points have each status, as `write` found them last.
  private(set) var counts: [PointStatus: Int] = [:]

  static let pointsName = "points.csv"
  static let seedsName = "seeds.csv"

  private static let columns = [
    "point", "name", "status", "digest", "rounds", "wall_seconds", "split", "accuracy", "loss",
    "payload_bytes", "dense_payload_bytes", "evaluated_round", "best_accuracy", "best_loss",
    "best_round", "starts", "begin", "end", "failure",
  ]

  /// Writes the tables as things stand, if that is possible: the next event writes them again, and the
  /// last one has to.
  func update() { try? write() }

  /// Writes the tables as things stand.
  func write() throws {
    let folder = SweepClaims.folder(of: points.directory)
    // Before a gate is taken: reading the runs of a long sweep takes seconds, the first time.
    for index in points.sweep.points.indices { _ = try run(index) }
    try SweepClaims.alone(in: folder, behind: .tables) { isAlone in
      // What killed groups were writing.
      if isAlone { try removeTemporaries(in: points.directory) }
      let states = try SweepClaims.alone(in: folder) { _ in
        try points.sweep.points.indices.map { try state($0, folder) }
      }
      counts = Dictionary(states.map { ($0.status, 1) }, uniquingKeysWith: +)
      let rows = states.indices.map { row($0, states[$0]) }
      try OutputFile.replace(
        "\(points.directory)/\(Self.pointsName)",
        with: ([Self.columns + differing.map(\.path)] + rows).map(csvRow).joined())
      let seeds = SeedTable(points, differing: differing, runs: states.map(\.finishedRun))
      let path = "\(points.directory)/\(Self.seedsName)"
      if let text = seeds.text {
        try OutputFile.replace(path, with: text)
      } else {
        try removeIfThere(path)
      }
    }
  }

  private struct State {
    let status: PointStatus
    let run: PointRun?
    let failure: String?

    var finishedRun: PointRun? { status == .finished ? run : nil }
  }

  private func state(_ index: Int, _ folder: String) throws -> State {
    let run = try run(index)
    if let run, run.isForeign {
      return State(
        status: .waiting, run: nil, failure: "its directory has a run of another experiment")
    }
    if let run, run.isFinished {
      return State(status: .finished, run: run, failure: nil)
    }
    let claim = try SweepClaims.Claim("\(folder)/\(points.sweep.points[index].name)")
    if let failure = claim?.failure {
      return State(status: .failed, run: run, failure: failure)
    }
    if claim?.isHeld == true { return State(status: .running, run: run, failure: nil) }
    let status: PointStatus =
      switch run?.manifest.status {
      case "running": .killed
      case "stopped": .stopped
      case "failed": .failed
      // A shorter run that is to have more rounds.
      case "finished": .waiting
      default:
        try isThere(points.runDirectory(index) + "/config.yaml")
          ? .killed : .waiting
      }
    return State(
      status: status, run: run, failure: status == .failed ? run?.manifest.failure : nil)
  }

  /// The run of a point; read again only where its manifest was replaced.
  private func run(_ index: Int) throws -> PointRun? {
    let directory = points.runDirectory(index)
    guard let stamp = try FileStamp(directory + "/manifest.json") else {
      known[index] = nil
      return nil
    }
    if let known = known[index], known.stamp == stamp { return known.run }
    guard let manifest = try points.manifest(index) else { return nil }
    let run = try PointRun(
      manifest, directory: directory, isForeign: !points.differences(index).isEmpty,
      isFinished: points.hasAllRounds(index, manifest))
    known[index] = (stamp, run)
    return run
  }

  private func row(_ index: Int, _ state: State) -> [String] {
    let manifest = state.run?.manifest
    let evaluation = manifest?.evaluation
    var cells = ["\(index)", points.sweep.points[index].name, state.status.rawValue]
    func add<Value>(_ value: Value?) { cells.append(value.map { "\($0)" } ?? "") }
    add(manifest?.digest)
    add(manifest?.totals.rounds)
    add(state.run.map { fixed($0.wallSeconds, 3) })
    add(evaluation?.split)
    add(evaluation?.accuracy)
    add(evaluation?.loss)
    add(manifest?.totals.payloadBytes)
    add(manifest?.totals.densePayloadBytes)
    // Runs that earlier versions began count from 0.
    let shift = 1 - (manifest?.firstRoundNumber ?? 0)
    add((evaluation?.round).map { $0 + shift })
    add(state.run?.bestAccuracy?.value)
    add(state.run?.bestLoss)
    add((state.run?.bestAccuracy?.round).map { $0 + shift })
    add(state.run?.startCount)
    add(state.run?.begin)
    add(manifest?.end)
    add(state.failure.map { $0.split(separator: "\n").joined(separator: "; ") })
    return cells + points.settings(of: index, differing)
  }
}

/// The identity of a file's content.
private struct FileStamp: Equatable {
  private let inode: ino_t
  private let size: off_t
  private let seconds: Int
  private let nanoseconds: Int

  /// The stamp of a file; nil where it does not exist.
  init?(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw CommandFailure.system(path, errno)
    }
    inode = status.st_ino
    size = status.st_size
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }
}

/// The run of a point, as its directory has it.
struct PointRun {
  let manifest: Manifest
  /// True if it is a run of another experiment than the sweep file gives the point now.
  let isForeign: Bool
  /// True if it has ended with all rounds that the sweep file gives it.
  let isFinished: Bool
  /// Seconds of all starts together. Of a start that was killed the rounds count that the run kept.
  let wallSeconds: Double
  /// The largest accuracy of the split that the manifest tells of, with its round.
  private(set) var bestAccuracy: (value: Double, round: Int)?
  /// The smallest loss of that split.
  private(set) var bestLoss: Double?

  var startCount: Int { manifest.starts.count + 1 }
  /// The time of the first start.
  var begin: String { manifest.starts.first?.start ?? manifest.start }

  init(_ manifest: Manifest, directory: String, isForeign: Bool, isFinished: Bool) throws {
    self.manifest = manifest
    self.isForeign = isForeign
    self.isFinished = isFinished
    wallSeconds = try Self.wallSeconds(manifest, directory)
    guard let shown = manifest.evaluation,
      let table = try CSVColumns(reading: directory + "/evaluation.csv"),
      let accuracies = table["accuracy"], let losses = table["loss"]
    else { return }
    for row in 0..<table.count {
      guard table.text("split", row) == shown.split,
        table.text("masked", row) == "\(shown.masked)",
        (table.text("tier", row) ?? "").isEmpty
      else { continue }
      if let accuracy = accuracies[row], accuracy > bestAccuracy?.value ?? -.infinity {
        bestAccuracy = (accuracy, table.text("round", row).flatMap { Int($0) } ?? 0)
      }
      if let loss = losses[row], loss < bestLoss ?? .infinity { bestLoss = loss }
    }
  }

  private static func wallSeconds(_ manifest: Manifest, _ directory: String) throws -> Double {
    let starts = manifest.starts + [manifest.lastStart]
    var rounds: CSVColumns?
    var total = 0.0
    for (index, start) in starts.enumerated() {
      let isLast = index == starts.count - 1
      if isLast, let seconds = manifest.wallSeconds {
        total += seconds
      } else if let end = start.end.flatMap(secondsSince1970),
        let begin = secondsSince1970(start.start)
      {
        total += max(0, end - begin)
      } else {
        rounds = try rounds ?? CSVColumns(reading: directory + "/rounds.csv")
        let next = isLast ? Int.max : starts[index + 1].firstRound
        total += seconds(of: rounds, from: start.firstRound, below: next)
      }
    }
    return total
  }

  /// Seconds of the rounds in a table whose numbers are in a range.
  private static func seconds(of rounds: CSVColumns?, from first: Int, below end: Int) -> Double {
    guard let rounds, let numbers = rounds["round"], let seconds = rounds["round_seconds"] else {
      return 0
    }
    return zip(numbers, seconds).reduce(0) { sum, row in
      guard let number = row.0.flatMap({ Int(exactly: $0) }), number >= first, number < end else {
        return sum
      }
      return sum + (row.1 ?? 0)
    }
  }
}

/// Points that differ in the seed alone, with means and deviations over the seeds.
private struct SeedTable {
  /// The table; nil where no two points differ in the seed alone.
  let text: String?

  init(_ points: SweepPoints, differing: [ExperimentKey], runs: [PointRun?]) {
    let keys = differing.filter { $0.path != "seed" }
    guard keys.count < differing.count else {
      text = nil
      return
    }
    let settings = points.experiments.indices.map { points.settings(of: $0, keys) }
    var groups: [[Int]] = []
    var places: [[String]: Int] = [:]
    for (index, values) in settings.enumerated() {
      if let place = places[values] {
        groups[place].append(index)
      } else {
        places[values] = groups.count
        groups.append([index])
      }
    }
    guard groups.contains(where: { $0.count > 1 }) else {
      text = nil
      return
    }
    let measures: [(name: String, value: (PointRun) -> Double?)] = [
      ("accuracy", { $0.manifest.evaluation?.accuracy }),
      ("best_accuracy", { $0.bestAccuracy?.value }),
      ("loss", { $0.manifest.evaluation?.loss }),
      ("payload_bytes", { Double($0.manifest.totals.payloadBytes) }),
    ]
    let header =
      ["points", "finished"] + measures.flatMap { ["\($0.name)_mean", "\($0.name)_std"] }
      + keys.map(\.path)
    let rows = groups.map { group in
      let finished = group.compactMap { runs[$0] }
      return ["\(group.count)", "\(finished.count)"]
        + measures.flatMap { Self.moments(finished.compactMap($0.value)) } + settings[group[0]]
    }
    text = ([header] + rows).map(csvRow).joined()
  }

  /// Mean and sample standard deviation (n - 1) as texts; empty where there are too few values.
  private static func moments(_ values: [Double]) -> [String] {
    guard let first = values.first else { return ["", ""] }
    // From the first one, so that the mean of equal values is that value.
    let mean = first + values.reduce(0) { $0 + ($1 - first) } / Double(values.count)
    guard values.count > 1 else { return ["\(mean)", ""] }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return ["\(mean)", "\((squares / Double(values.count - 1)).squareRoot())"]
  }
}

/// The seconds since 1970 of a time as `timeText` writes it.
private func secondsSince1970(_ text: String) -> Double? {
  try? Date(text, strategy: .iso8601).timeIntervalSince1970
}
