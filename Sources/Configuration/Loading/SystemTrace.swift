// A trace of clients' devices and links: a row a client, as CSV or JSON.
//
//   client,download,upload,latency,tokens_per_second
//   0,2500000,625000,0.05,1000

package import Federation
internal import Files
internal import Foundation

package enum SystemTrace {
  package static let columns = ["client", "download", "upload", "latency", "tokens_per_second"]

  /// The devices by client number.
  ///
  /// Columns (keys) may stand in any order, rows too; each client from 0 up is there once.
  /// - Throws: `CommandFailure` where the file is missing or says something else.
  package static func read(_ path: String) throws -> [ClientSystem] {
    let text = try readText(path, what: "trace")
    let first = text.first { !$0.isWhitespace }
    let rows = try first == "[" ? objects(text, path) : lines(text, path)
    var systems: [ClientSystem?] = Array(repeating: nil, count: rows.count)
    for (place, row) in rows {
      guard let client = Int(exactly: row[0]), systems.indices.contains(client),
        systems[client] == nil
      else {
        throw damaged(
          path, place,
          "client is \(row[0]); the \(rows.count) clients are 0 to \(rows.count - 1),"
            + " each once")
      }
      let system = ClientSystem(
        download: row[1], upload: row[2], latency: row[3], tokensPerSecond: row[4])
      if let problem = system.problem { throw damaged(path, place, problem) }
      systems[client] = system
    }
    guard !rows.isEmpty else { throw damaged(path, "the file", "no client") }
    return systems.compactMap { $0 }
  }

  private static func damaged(_ path: String, _ place: String, _ what: String) -> CommandFailure {
    CommandFailure(ExitCode.data, "\(path): \(place): \(what)")
  }

  private static func objects(_ text: String, _ path: String) throws
    -> [(place: String, row: [Double])]
  {
    guard let found = try? JSONDecoder().decode([[String: Double]].self, from: Data(text.utf8))
    else {
      throw damaged(
        path, "the file", "not a JSON list of objects of numbers with \(orList(columns))")
    }
    return try found.enumerated().map { index, object in
      let row = columns.compactMap { object[$0] }
      guard row.count == columns.count, object.count == columns.count else {
        throw damaged(
          path, "entry \(index)",
          "has \(object.keys.sorted().joined(separator: ", ")); give "
            + columns.joined(separator: ", "))
      }
      return ("entry \(index)", row)
    }
  }

  private static func lines(_ text: String, _ path: String) throws
    -> [(place: String, row: [Double])]
  {
    let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { line in
      line.split(separator: ",", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let header = lines.first ?? []
    let places = columns.compactMap { header.firstIndex(of: $0) }
    guard places.count == columns.count, header.count == columns.count else {
      throw damaged(path, "line 1", "the columns have to be \(columns.joined(separator: ","))")
    }
    var rows: [(place: String, row: [Double])] = []
    for (index, cells) in lines.enumerated().dropFirst() where cells != [""] {
      let numbers = cells.compactMap(Double.init)
      guard cells.count == columns.count, numbers.count == columns.count else {
        throw damaged(path, "line \(index + 1)", "not \(columns.count) numbers")
      }
      rows.append(("line \(index + 1)", places.map { numbers[$0] }))
    }
    return rows
  }
}
