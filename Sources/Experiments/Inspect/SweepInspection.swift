// `cellm-mpi inspect SWEEP`: the points of a sweep, finished or going on, from its tables.

internal import Files
import Foundation

/// Describes the directory of a sweep by points.csv and seeds.csv.
func sweepText(_ path: String) throws -> String {
  let file = "\(path)/\(SweepTable.pointsName)"
  guard let table = try CSVColumns(reading: file),
    let status = table.header.firstIndex(of: "status"),
    let name = table.header.firstIndex(of: "name")
  else {
    throw CommandFailure(ExitCode.data, "\(file) is not the table of a sweep: no name and status")
  }
  let rows = currentRows(of: table.rows, in: path, name: name, status: status)
  var counts: [String: Int] = [:]
  for row in rows { counts[row[status], default: 0] += 1 }
  let order = ["finished", "running", "stopped", "killed", "failed", "waiting"]
  let summary =
    order.compactMap { word in counts[word].map { "\($0) \(word)" } }.joined(separator: ", ")
  let known = [
    "name", "status", "rounds", "wall_seconds", "split", "accuracy", "best_accuracy", "loss",
    "payload_bytes", "starts",
  ]
  let settings = table.header.drop { $0 != "failure" }.dropFirst()
  var text = "sweep \(path)\n  \(rows.count) points: \(summary)\n"
  text += CSVColumns(header: table.header, rows: rows).aligned(known + settings)
  if let failure = table.header.firstIndex(of: "failure") {
    for row in rows where row[status] == "failed" && !row[failure].isEmpty {
      text += "  \(row[name]) failed: \(row[failure])\n"
    }
  }
  if let seeds = try CSVColumns(reading: "\(path)/\(SweepTable.seedsName)"), seeds.count > 0 {
    text += "\n  means and standard deviations over seeds\(seeds.aligned(seeds.header))"
  }
  return text
}

/// The rows with the status of points corrected whose process is gone: nobody was left to write it.
private func currentRows(
  of rows: [[String]], in path: String, name: Int, status: Int
) -> [[String]] {
  let folder = SweepClaims.folder(of: path)
  var rows = rows
  func correct() throws {
    for index in rows.indices where rows[index][status] == PointStatus.running.rawValue {
      let claim = try SweepClaims.Claim("\(folder)/\(rows[index][name])")
      if claim?.isHeld != true { rows[index][status] = PointStatus.killed.rawValue }
    }
  }
  // In a folder of another user the table stays as it is.
  try? SweepClaims.alone(in: folder) { _ in try correct() }
  return rows
}
