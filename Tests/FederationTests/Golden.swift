// Reads the trajectories of Tests/Goldens/federation-optimizers.
import Foundation

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
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Goldens/federation-optimizers/optimizers.json")
    return try JSONDecoder().decode(OptimizerGolden.self, from: Data(contentsOf: path))
  }

  func cases(_ kind: String) -> [Case] { cases.filter { $0.kind == kind } }
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
