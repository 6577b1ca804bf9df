// Rows as text: CSV for programs (RFC 4180) and aligned columns for people.

import Foundation

/// A line of a CSV file; cells are quoted where they have to be.
package func csvRow(_ cells: [String]) -> String {
  func quoted(_ text: String) -> String {
    guard text.utf8.contains(where: { ",\"\n\r".utf8.contains($0) }) else { return text }
    return "\""
      + text.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"") + "\""
  }
  return cells.map(quoted).joined(separator: ",") + "\n"
}

/// The cells of a line that `csvRow` wrote, without its end.
package func csvCells(_ line: Substring) -> [String] {
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
package func nameCell(_ name: String?) -> String {
  (name ?? "").replacingOccurrences(of: "\n", with: "\\n")
    .replacingOccurrences(of: "\r", with: "\\r")
}

/// Rows as lines of aligned columns: the first row is the header; numbers go to the right.
package func alignedText(_ rows: [[String]], indent: String = "") -> String {
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
