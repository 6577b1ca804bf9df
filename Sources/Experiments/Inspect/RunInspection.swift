// `cellm-mpi inspect RUN`: a run that is finished or still going on, in a screen: how far it is, its curves, its evaluations.

internal import Configuration
internal import Files
import Foundation
internal import RunFiles
internal import Safetensors

/// Describes a run directory.
func runText(_ path: String, style: TextStyle) throws -> String {
  let manifestPath = path + "/manifest.json"
  let manifestText = try readText(manifestPath, what: "manifest")
  guard let object = try? JSONSerialization.jsonObject(with: Data(manifestText.utf8)),
    let manifest = object as? [String: Any]
  else { throw CommandFailure(ExitCode.data, "\(manifestPath) is not a JSON object") }
  let rounds = try CSVColumns(reading: path + "/rounds.csv")
  var rows = [["property", "value"]]
  for key in [
    "experiment", "status", "failure", "model", "data", "start", "end", "wall_seconds",
    "rank_count", "parameters", "population", "digest",
  ] {
    if let value = manifest[key] { rows.append([key, "\(value)"]) }
  }
  for (key, value) in (manifest["totals"] as? [String: Any] ?? [:]).sorted(by: { $0.key < $1.key })
  {
    rows.append([key, "\(value)"])
  }
  if let standing = try standing(path, manifest["status"] as? String, rounds) {
    rows.append(["standing", standing])
  }
  var text = "run \(path)\n" + alignedText(rows, indent: "  ")
  text += try watchText(path)
  text += try curvesText(path, rounds, style)
  text += try tableText(
    path + "/evaluation.csv",
    columns: [
      "round", "split", "masked", "tier", "examples", "accuracy", "f1_macro", "perplexity",
      "exact_match", "pearson", "acc", "acc_norm", "loss",
      "total_payload_bytes", "total_modelled_time_s",
    ])
  text += try tableText(
    path + "/evaluation_clients.csv",
    columns: [
      "round", "group", "masked", "clients", "accuracy_mean", "accuracy_p10", "accuracy_p50",
      "accuracy_p90", "accuracy_worst_tenth",
    ])
  return text
}

/// How far a run is that has not ended.
private func standing(
  _ path: String, _ status: String?, _ rounds: CSVColumns?
) throws -> String? {
  guard status == "running" || status == "stopped", let rounds else { return nil }
  var parts = ["\(rounds.count) rounds"]
  let text = try readText(path + "/config.yaml", what: "config.yaml")
  // Another version's may be none of this one.
  if let experiment = try? Experiment.read(text: text, name: path, directory: "/").experiment {
    parts = ["\(rounds.count) of \(experiment.federation.rounds) rounds"]
    let last = (rounds["round_seconds"] ?? []).compactMap { $0 }.suffix(5)
    if status == "running", !last.isEmpty {
      let left = Double(experiment.federation.rounds - rounds.count)
      parts.append(
        "about \(durationText(last.reduce(0, +) / Double(last.count) * left)) left")
    }
  }
  guard status == "running" else { return parts.joined(separator: ", ") }
  var found = stat()
  if uninterrupted({ stat(path + "/rounds.csv", &found) }) == 0 {
    let age = Date().timeIntervalSince1970 - Double(found.st_mtim.tv_sec)
    parts.append("the last one \(durationText(max(0, age))) ago")
  }
  if isAbandoned(path) { parts.append("no process runs in it: go on with --resume") }
  return parts.joined(separator: ", ")
}

/// True if it is known that nobody holds the lock of a run directory.
private func isAbandoned(_ path: String) -> Bool {
  (try? LockFile(reading: path + "/" + RunLock.name)?.isLocked()) == false
}

/// What the ranks of a run that goes on say of themselves (Watchdog.swift).
private func watchText(_ path: String) throws -> String {
  let folder = path + "/.watch"
  let pulses = try (namesIfThere(in: folder) ?? []).compactMap { name in
    try contentsIfThere(of: folder + "/" + name)
      .flatMap { try? JSONDecoder().decode(Pulse.self, from: Data($0)) }
  }.sorted { $0.rank < $1.rank }
  guard !pulses.isEmpty else { return "" }
  let shown = 16
  let rows = pulses.prefix(shown).map {
    ["\($0.rank)", $0.host, ($0.waitingIn.map { "waits in \($0) after " } ?? "") + $0.doing]
  }
  return "\n" + alignedText([["rank", "host", "doing"]] + rows, indent: "  ")
    + (pulses.count > shown ? "  ... and \(pulses.count - shown) more ranks\n" : "")
}

/// A line for each curve: first, last, smallest and largest value, and its shape.
private func curvesText(_ path: String, _ rounds: CSVColumns?, _ style: TextStyle) throws -> String
{
  guard let rounds, rounds.count > 0 else { return "" }
  var curves: [(name: String, values: [Double?])] = []
  func add(_ name: String, _ values: [Double?]?) {
    if let values, values.contains(where: { $0 != nil }) { curves.append((name, values)) }
  }
  add("train loss", rounds["train_loss"])
  if let evaluation = try CSVColumns(reading: path + "/evaluation.csv") {
    for split in ["validation", "test"] {
      // The first row of a round and split: the vector as clients receive it, where it is evaluated so.
      var seen: Set<String> = []
      let rows = (0..<evaluation.count).filter {
        evaluation.text("split", $0) == split
          && seen.insert(evaluation.text("round", $0) ?? "").inserted
      }
      for column in ["accuracy", "loss", "perplexity", "exact_match", "pearson", "acc"] {
        add("\(split) \(column)", evaluation[column].map { values in rows.map { values[$0] } })
      }
    }
  }
  add("download MB", rounds["download_payload_bytes"]?.map { $0.map { $0 / 1e6 } })
  add("upload MB", rounds["upload_payload_bytes"]?.map { $0.map { $0 / 1e6 } })
  add("clients refused", rounds["refused_clients"].flatMap { $0.contains { $0 != 0 } ? $0 : nil })
  for phase in ["round", "train", "wait", "transfer", "server", "evaluate"] {
    add("\(phase) seconds", rounds["\(phase)_seconds"])
  }
  add("largest rank MB", rounds["memory_mb"])
  let rows = curves.map { curve in
    let known = curve.values.compactMap { $0 }
    return [curve.name]
      + [known.first, known.last, known.min(), known.max()].map { number($0 ?? .nan) }
  }
  let table = alignedText([["curve", "first", "last", "smallest", "largest"]] + rows, indent: "  ")
  guard !style.isPlain else { return "\n" + table }
  var lines = table.split(separator: "\n").map(String.init)
  let used = (lines.map(\.count).max() ?? 0) + 2
  for (index, curve) in curves.enumerated() {
    let room = style.width - used
    guard room >= 8 else { break }
    let padding = String(repeating: " ", count: used - lines[index + 1].count)
    lines[index + 1] += padding + sparkline(curve.values, width: room)
  }
  return "\n" + lines.joined(separator: "\n") + "\n"
}

/// A value of a curve, in about four digits.
private func number(_ value: Double) -> String {
  switch abs(value) {
  case 0: "0"
  case ..<0.001: String(format: "%.2e", value)
  case ..<100: fixed(value, 4)
  case ..<1e6: fixed(value, 1)
  default: String(format: "%.3e", value)
  }
}

/// A table of a run by its columns; a row that a crash cut short is left out.
struct CSVColumns {
  let header: [String]
  let rows: [[String]]

  init(header: [String], rows: [[String]]) {
    self.header = header
    self.rows = rows
  }

  /// nil where there is no such table.
  /// - Throws: `CommandFailure` where it is there and cannot be read.
  init?(reading path: String) throws {
    let content: String
    do {
      content = try readText(path, what: "table")
    } catch let failure as CommandFailure where failure.exitCode == ExitCode.missingInput {
      return nil
    }
    let table = content.split(separator: "\n").map(csvCells)
    guard let header = table.first else { return nil }
    self.header = header
    rows = table.dropFirst().filter { $0.count == header.count }
  }

  var count: Int { rows.count }

  /// The numbers of a column, nil where a cell is empty; nil where there is no such column.
  subscript(column: String) -> [Double?]? {
    guard let place = header.firstIndex(of: column) else { return nil }
    return rows.map { Double($0[place]) }
  }

  func text(_ column: String, _ row: Int) -> String? {
    header.firstIndex(of: column).map { rows[row][$0] }
  }

  /// Some of the columns, those without any content left out.
  func aligned(_ columns: [String]) -> String {
    guard !rows.isEmpty else { return "" }
    let places = columns.compactMap { header.firstIndex(of: $0) }.filter { place in
      rows.contains { !$0[place].isEmpty }
    }
    func short(_ cell: String) -> String {
      cell.contains(".") ? Double(cell).map { fixed($0, 4) } ?? cell : cell
    }
    let lines = [header] + rows
    return "\n" + alignedText(lines.map { row in places.map { short(row[$0]) } }, indent: "  ")
  }
}

/// Some columns of a run's table, those without any content left out; empty where there are no rows.
private func tableText(_ path: String, columns: [String]) throws -> String {
  try CSVColumns(reading: path)?.aligned(columns) ?? ""
}
