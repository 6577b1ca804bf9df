// metrics.jsonl: the rows of rounds.csv, evaluation.csv and evaluation_clients.csv as they come, a JSON object a line with the
// tables' columns as keys and the table's name as `kind`. For programs that follow a run.

internal import Files
import Foundation
internal import Safetensors

/// A file of JSON objects, one a line, that grows by rounds.
package final class MetricsFile {
  private let path: String
  /// nil until a run that goes on has cut the file back.
  private var file: OutputFile?
  /// The rounds that stay where a run goes on; nil for a new file.
  private let kept: RoundsKept?
  private var pending = ""

  /// Creates the file, or finds that of a run that goes on and leaves it as it is until `cutBack`.
  ///
  /// - Parameter kept: The rounds whose lines stay.
  package init(creating path: String, keepingRoundsBelow kept: RoundsKept? = nil) throws {
    self.path = path
    self.kept = kept
    if kept == nil { file = try OutputFile(creating: path) }
  }

  /// Cuts off the lines of the rounds that are played again, once.
  func cutBack() throws {
    guard file == nil, let kept else { return }
    guard try isThere(path) else {
      file = try OutputFile(creating: path)
      return
    }
    let end = try RoundLines.end(in: path, below: kept.next, number: Self.round)
    file = try OutputFile(appendingTo: path, keeping: end.offset)
  }

  private static func round(of line: ArraySlice<UInt8>) -> Int? {
    let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
    return object?["round"] as? Int
  }

  /// Adds a row of a table; an empty cell is null, and a number that JSON does not have is a text, as "inf".
  package func append(_ kind: String, _ columns: [String], _ cells: [String]) {
    let members = zip(columns, cells).map { "\"\($0)\":\(Self.value($1, of: $0))" }
    pending += "{\"kind\":\"\(kind)\"," + members.joined(separator: ",") + "}\n"
  }

  /// Writes the lines added since, all or none.
  package func flush() throws {
    try cutBack()
    let lines = pending
    pending = ""
    try file?.append(lines)
  }

  /// Has what was written on the disk.
  package func synchronize() throws { try file?.synchronize() }

  /// Columns of words; all others hold numbers.
  private static let texts: Set<String> = ["digest", "split", "group"]

  private static func value(_ cell: String, of column: String) -> String {
    if cell == "true" || cell == "false" { return cell }
    if texts.contains(column) { return "\"\(cell)\"" }
    guard let number = Double(cell) else { return "null" }
    return number.isFinite ? cell : "\"\(cell)\""
  }
}
