// Tables: CSV for programs (RFC 4180, a header, one row per line) and aligned text for people.

import Foundation
internal import Safetensors

/// A CSV file that grows by rows.
final class Table {
  let columns: [String]
  private let path: String
  /// nil until a run that goes on has cut the table back.
  private var file: OutputFile?
  /// The rounds that stay where a run goes on; nil for a new table.
  private let kept: RoundsKept?
  private var pending = ""

  /// Creates the file with its header, or finds the table of a run that goes on and leaves it as it
  /// is until `cutBack`.
  ///
  /// - Parameter kept: The rounds (in the first column) whose rows stay.
  /// - Throws: `CommandFailure`: 65 where there are rows to stay under another header.
  init(creating path: String, columns: [String], keepingRoundsBelow kept: RoundsKept? = nil) throws
  {
    self.path = path
    self.columns = columns
    self.kept = kept
    if kept == nil { try begin() } else { _ = try isGoingOn() }
  }

  /// Whether there are rows to go on after; a run without a checkpoint (round 0) may begin anew, also
  /// where its start was cut short.
  private func isGoingOn() throws -> Bool {
    if try header(of: path) == header { return true }
    guard kept?.count == 0 else {
      throw CommandFailure(
        ExitCode.data,
        "\(path): is missing or has other columns than this version of the program writes")
    }
    return false
  }

  private var header: String { columns.joined(separator: ",") + "\n" }

  private func begin() throws {
    let file = try OutputFile(creating: path)
    try file.append(header)
    self.file = file
  }

  /// Cuts off the rows of the rounds that are played again, once; to be called when the first of them
  /// was played.
  func cutBack() throws {
    guard file == nil, let kept else { return }
    guard try isGoingOn() else { return try begin() }
    let end = try RoundLines.end(
      in: path, below: kept.next, header: header.utf8.count, number: leadingNumber)
    file = try OutputFile(appendingTo: path, keeping: end.offset)
  }

  /// The number of the last round that stays.
  func lastKeptRound() throws -> Int? {
    guard let kept, kept.count > 0 else { return nil }
    return try RoundLines.end(
      in: path, below: kept.next, header: header.utf8.count, number: leadingNumber
    ).last
  }

  /// The first line of a file with its end, as far as it is no longer than the header should be.
  private func header(of path: String) throws -> String? {
    try Self.beginning(of: path, atMost: header.utf8.count).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// The first bytes of a file; nil if there is none of that name.
  private static func beginning(of path: String, atMost limit: Int) throws -> [UInt8]? {
    let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = bytes.withUnsafeMutableBytes { buffer in
      uninterrupted { pread(descriptor, buffer.baseAddress, buffer.count, 0) }
    }
    guard count >= 0 else { throw CommandFailure.system(path, errno) }
    return Array(bytes[..<count])
  }

  /// The columns of a table; none if there is no such file.
  /// - Throws: `CommandFailure` (74) if it cannot be read.
  static func columns(of path: String) throws -> [String] {
    let line = try beginning(of: path, atMost: 1 << 16)?.prefix { $0 != UInt8(ascii: "\n") }
    return csvCells(String(decoding: line ?? [], as: UTF8.self)[...])
  }

  /// Adds a row; it is in the file after `flush`.
  func append(_ row: [String]) {
    precondition(row.count == columns.count, "a row of \(row.count) for columns \(columns)")
    // One row a line, so that a table can be read backwards.
    pending += csvRow(
      row.map { cell in
        cell.utf8.contains { $0 == 10 || $0 == 13 }
          ? String(cell.map { $0.isNewline ? " " : $0 }) : cell
      })
  }

  /// Writes the rows added since, all or none.
  func flush() throws {
    try cutBack()
    let rows = pending
    pending = ""
    try file?.append(rows)
    try file?.synchronize()
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

/// The cells of a line that `csvRow` wrote, without its end.
func csvCells(_ line: Substring) -> [String] {
  guard line.utf8.contains(UInt8(ascii: "\"")) else {
    return line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
  var cells = [""]
  var isQuoted = false
  var wasQuote = false
  for character in line {
    switch character {
    case "\"":
      // The second of two quotation marks within quotes is one of the cell.
      if wasQuote, !isQuoted { cells[cells.count - 1].append(character) }
      isQuoted.toggle()
      wasQuote = !isQuoted
      continue
    case "," where !isQuoted: cells.append("")
    default: cells[cells.count - 1].append(character)
    }
    wasQuote = false
  }
  return cells
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
