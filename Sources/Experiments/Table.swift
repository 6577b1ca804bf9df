// Tables: CSV for programs (RFC 4180, a header, one row per line) and aligned text for people.

import Foundation

/// A CSV file that grows by rows.
final class Table {
  private let file: OutputFile
  let columns: [String]
  private var pending = ""

  /// Creates the file with its header.
  ///
  /// - Parameter kept: Where the file exists, its rows of rounds (in the first column) before this one
  ///   stay: those of a run that goes on.
  init(creating path: String, columns: [String], keepingRoundsBelow kept: Int = 0) throws {
    let header = columns.joined(separator: ",")
    var rows = ""
    if kept > 0 {
      let lines = try readText(path, what: "table").split(
        separator: "\n", omittingEmptySubsequences: false)
      guard let first = lines.first, first == header else {
        throw CommandFailure(
          ExitCode.data, "\(path): has other columns than this version of the program writes")
      }
      // A line that was not finished has no end and is the last.
      for line in lines.dropFirst().dropLast() {
        if let round = Int(line.prefix { $0 != "," }), round < kept { rows += line + "\n" }
      }
      try OutputFile.replace(path, with: header + "\n" + rows)
      file = try OutputFile(appendingTo: path)
    } else {
      file = try OutputFile(creating: path)
      try file.append(header + "\n")
    }
    self.columns = columns
  }

  /// The columns of a file; none where it cannot be read.
  static func header(of path: String) -> [String] {
    guard let file = FileHandle(forReadingAtPath: path),
      let bytes = try? file.read(upToCount: 1 << 16)
    else { return [] }
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
      .split(separator: ",").map(String.init)
  }

  /// Adds a row; it is in the file after `flush`.
  func append(_ row: [String]) {
    precondition(row.count == columns.count, "a row of \(row.count) for columns \(columns)")
    pending += csvRow(row)
  }

  /// Writes the rows added since, all or none.
  func flush() throws {
    let rows = pending
    pending = ""
    try file.append(rows)
    try file.synchronize()
  }
}

/// A line of a CSV file; cells are quoted where they have to be.
func csvRow(_ cells: [String]) -> String {
  func quoted(_ text: String) -> String {
    guard text.utf8.contains(where: { ",\"\n\r".utf8.contains($0) }) else { return text }
    return "\""
      + text.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"") + "\""
  }
  return cells.map(quoted).joined(separator: ",") + "\n"
}

/// A client's name as a cell: on one line, since rounds are cut line by line.
func nameCell(_ name: String?) -> String {
  (name ?? "").replacingOccurrences(of: "\n", with: "\\n")
    .replacingOccurrences(of: "\r", with: "\\r")
}

/// Rows as lines of aligned columns: the first row is the header; numbers go to the right.
func alignedText(_ rows: [[String]], indent: String = "") -> String {
  guard let header = rows.first else { return "" }
  let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  let isNumber = header.indices.map { column in
    rows.dropFirst().allSatisfy { row in
      row[column].first.map { $0.isNumber || $0 == "-" || row[column] == "inf" } ?? true
    }
  }
  var text = ""
  for row in rows {
    let cells = row.enumerated().map { column, cell in
      let space = String(repeating: " ", count: widths[column] - cell.count)
      return isNumber[column] ? space + cell : cell + space
    }
    var line = indent + cells.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    text += line + "\n"
  }
  return text
}
