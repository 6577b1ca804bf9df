// metrics.jsonl: the rows of rounds.csv, evaluation.csv and evaluation_clients.csv as they come, a JSON object a line with the
// tables' columns as keys and the table's name as `kind`. For programs that follow a run.

import Foundation

/// A file of JSON objects, one a line, that grows by rounds.
final class MetricsFile {
  private let file: OutputFile
  private var pending = ""

  /// Creates the file; the lines of rounds before `kept` stay where it exists.
  init(creating path: String, keepingRoundsBelow kept: Int) throws {
    if kept > 0, let text = try? readText(path, what: "metrics") {
      // A line that was not finished has no end and is the last.
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      let rows = lines.filter { (Self.round(of: $0) ?? kept) < kept }.map { $0 + "\n" }
      try OutputFile.replace(path, with: rows.joined())
      file = try OutputFile(appendingTo: path)
    } else {
      file = try OutputFile(creating: path)
    }
  }

  private static func round(of line: Substring) -> Int? {
    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    return object?["round"] as? Int
  }

  /// Adds a row of a table; an empty cell is null, and a number that JSON does not have is a text, as "inf".
  func append(_ kind: String, _ columns: [String], _ cells: [String]) {
    let members = zip(columns, cells).map { "\"\($0)\":\(Self.value($1, of: $0))" }
    pending += "{\"kind\":\"\(kind)\"," + members.joined(separator: ",") + "}\n"
  }

  /// Writes the lines added since, all or none.
  func flush() throws {
    let lines = pending
    pending = ""
    try file.append(lines)
  }

  /// Has what was written on the disk.
  func synchronize() throws { try file.synchronize() }

  /// Columns of words; all others hold numbers.
  private static let texts: Set<String> = ["digest", "split", "group"]

  private static func value(_ cell: String, of column: String) -> String {
    if cell == "true" || cell == "false" { return cell }
    if texts.contains(column) { return "\"\(cell)\"" }
    guard let number = Double(cell) else { return "null" }
    return number.isFinite ? cell : "\"\(cell)\""
  }
}
