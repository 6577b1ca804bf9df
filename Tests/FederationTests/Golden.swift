// Reads the trajectories and schedules of Tests/Goldens/federation-optimizers.
import Foundation
import TestSupport

struct OptimizerGolden: Decodable {
  struct Case: Decodable {
    let kind: String
    let values: [Double]
    let vectors: [[Double]]
  }
  let start: [Float]
  let gradients: [[Float]]
  let cases: [Case]

  static let command = "python Tests/Goldens/federation-optimizers/generate.py"

  static func load() throws -> OptimizerGolden {
    try loadGolden("federation-optimizers/optimizers.json")
  }

  func cases(_ kind: String) -> [Case] { cases.filter { $0.kind == kind } }
}

struct ScheduleGolden: Decodable {
  struct Case: Decodable {
    let kind: String
    let values: [Double]
    let rounds: Int
    let warmup: Int
    let factors: [Double]
  }
  let cases: [Case]

  static func load() throws -> ScheduleGolden {
    try loadGolden("federation-optimizers/schedules.json")
  }
}

/// Reads a file of Tests/Goldens.
func loadGolden<Golden: Decodable>(_ path: String) throws -> Golden {
  try JSONDecoder().decode(
    Golden.self, from: Data(contentsOf: URL(filePath: goldenPath(path))))
}

/// The largest difference, in units of n*eps of the larger of the value and the step made.
func largestError(_ found: [Float], _ expected: [Double], start: [Float]) -> Double {
  var largest = 0.0
  for i in found.indices {
    let scale = max(expected[i].magnitude, Double(start[i]).magnitude)
    largest = max(largest, (Double(found[i]) - expected[i]).magnitude / (scale * 0x1p-24))
  }
  return largest
}
