// Messages to the user: a swift-log handler that writes time-stamped lines to standard error and
// knows of the progress line that may be there.

internal import Federation
internal import Files
import Foundation
internal import Logging

/// Time-stamped lines to a sink.
struct LineLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info
  let sink: @Sendable (String) -> Void

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let label = event.level >= Logger.Level.warning ? "\(event.level): " : ""
    sink("\(strftimeText("%Y-%m-%d %H:%M:%S", Date())) \(label)\(event.message)\n")
  }
}

/// What the user sees while a run goes on: on a terminal a line that is redrawn, otherwise one
/// line per round, and one every ten minutes of a long round.
final class ProgressReporter {
  private let isTerminal: Bool
  private let width: Int
  private let prefix: String
  private let sink: @Sendable (String) -> Void
  private let logger: Logger
  private let start = ContinuousClock.now
  private var lastDrawn: ContinuousClock.Instant?
  private var lastSaid = ContinuousClock.now
  private var lastLoss: Double?
  private var roundsPlayed = 0
  private var isLineOpen = false
  private var saidOnce: Set<String> = []

  /// - Parameters:
  ///   - isQuiet: Says nothing; for all ranks but the first.
  ///   - label: Stands before every message; there is no line to be redrawn then.
  ///   - width: The characters of the terminal's line, which a longer text would break.
  init(
    isTerminal: Bool, isQuiet: Bool, label: String? = nil,
    width: Int = terminalWidth(STDERR_FILENO) ?? 80,
    sink: @escaping @Sendable (String) -> Void = { writeToStandardError($0) }
  ) {
    self.isTerminal = isTerminal && !isQuiet && label == nil
    self.width = width
    prefix = label.map { $0 + ": " } ?? ""
    let silent: @Sendable (String) -> Void = { _ in }
    self.sink = isQuiet ? silent : sink
    let handler = LineLogHandler(sink: self.sink)
    logger = Logger(label: "cellm-mpi") { (_: String) -> any LogHandler in handler }
  }

  func say(_ text: String) {
    clear()
    lastSaid = ContinuousClock.now
    logger.info("\(prefix)\(text)")
  }

  /// Says something that may be noticed again and again.
  func sayOnce(_ text: String) {
    if saidOnce.insert(text).inserted { say(text) }
  }

  func warn(_ text: String) {
    clear()
    logger.warning("\(prefix)\(text)")
  }

  /// Something was done within a round.
  func update(_ progress: RoundProgress) {
    let now = ContinuousClock.now
    guard isTerminal else {
      if now - lastSaid >= .seconds(600) { say(text(of: progress, now)) }
      return
    }
    if let lastDrawn, now - lastDrawn < .milliseconds(200) { return }
    lastDrawn = now
    sink("\r\u{1b}[2K" + text(of: progress, now).prefix(max(20, width - 1)))
    isLineOpen = true
  }

  /// Where a round is, and how long the run will take.
  private func text(of progress: RoundProgress, _ now: ContinuousClock.Instant) -> String {
    let stage =
      switch progress.stage {
      case .training: "client \(progress.clientsFinished)/\(progress.clientCount)"
      case .evaluation(let split):
        "\(split.rawValue) \(progress.workFinished)/\(progress.workCount)"
      case .clientEvaluation(let group):
        "\(group.rawValue) clients \(progress.workFinished)/\(progress.workCount)"
      }
    var parts = ["round \(progress.round + 1)/\(progress.rounds)", stage]
    if let lastLoss { parts.append("loss \(fixed(lastLoss, 4))") }
    let fraction =
      progress.workCount > 0 ? Double(progress.workFinished) / Double(progress.workCount) : 0
    let done = Double(roundsPlayed) + (progress.stage == .training ? fraction : 0.95)
    if done > 0 {
      let elapsed = Self.seconds(now - start)
      let left = Double(progress.rounds - (progress.round - roundsPlayed)) - done
      parts.append("about \(durationText(elapsed / done * max(0, left))) left")
    }
    return parts.joined(separator: "  ")
  }

  /// A round is finished.
  func finished(_ record: RoundRecord, of rounds: Int) {
    roundsPlayed += 1
    let counting = record.count(.used)
    lastLoss = record.trainLoss ?? lastLoss
    let left =
      Self.seconds(ContinuousClock.now - start) / Double(roundsPlayed)
      * Double(rounds - record.round - 1)
    var parts = [
      "round \(record.round + 1)/\(rounds)",
      counting == 0
        ? "no upload counts, the vector stays as it is"
        : record.trainLoss.map { "loss \(fixed($0, 4))" } ?? "no item to predict",
    ]
    if let seconds = record.modelledSeconds {
      parts.append("\(counting) of \(record.clients.count) clients count")
      parts.append("modelled \(durationText(seconds))")
    }
    if !record.refused.isEmpty { parts.append("\(record.refused.count) left out") }
    // The first vector's: a line is for a glance, the tables have them all.
    for entry in record.evaluation
    where entry.vector == record.evaluation.first?.vector && entry.tier == nil {
      let accuracy = entry.accuracy.map { fixed($0, 4) } ?? "-"
      parts.append("\(entry.split.rawValue) accuracy \(accuracy)")
    }
    parts.append("down \(byteText(record.downloadPayload.total))")
    parts.append("up \(byteText(record.uploadPayload.total))")
    parts.append("digest \(record.digest)")
    parts.append(fixed(record.seconds.total, 1) + " s")
    if rounds > record.round + 1 { parts.append("about \(durationText(left)) left") }
    if !isTerminal || !record.evaluation.isEmpty || !record.clientEvaluation.isEmpty {
      say(parts.joined(separator: "  "))
    }
  }

  /// Takes the redrawn line off the terminal.
  func clear() {
    if isLineOpen { sink("\r\u{1b}[2K") }
    isLineOpen = false
  }

  private static func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }
}
