// Tables: CSV for programs (RFC 4180, a header, one row per line) and aligned text for people.

internal import Files
import Foundation
internal import Safetensors

/// A CSV file that grows by rows.
package final class Table {
  package let columns: [String]
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
  package init(creating path: String, columns: [String], keepingRoundsBelow kept: RoundsKept? = nil)
    throws
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
  package static func columns(of path: String) throws -> [String] {
    let line = try beginning(of: path, atMost: 1 << 16)?.prefix { $0 != UInt8(ascii: "\n") }
    return csvCells(String(decoding: line ?? [], as: UTF8.self)[...])
  }

  /// Adds a row; it is in the file after `flush`.
  package func append(_ row: [String]) {
    precondition(row.count == columns.count, "a row of \(row.count) for columns \(columns)")
    // One row a line, so that a table can be read backwards.
    pending += csvRow(
      row.map { cell in
        cell.utf8.contains { $0 == 10 || $0 == 13 }
          ? String(cell.map { $0.isNewline ? " " : $0 }) : cell
      })
  }

  /// Writes the rows added since, all or none.
  package func flush() throws {
    try cutBack()
    let rows = pending
    pending = ""
    try file?.append(rows)
    try file?.synchronize()
  }
}
