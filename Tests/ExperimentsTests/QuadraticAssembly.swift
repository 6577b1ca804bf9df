// A closed form in place of a model: example e wants the vector near a point that depends on e.

import Communication
import Configuration
import Corpora
import Experiments
import Federation
import Files
import Foundation
import TestSupport

/// A client trained on the example that is poison.
struct Poisoned: Error, CustomStringConvertible {
  let description = "a poisoned example"
}

/// Whether a column or key is measured: it differs from run to run and from rank to rank.
func isMeasured(_ column: some StringProtocol) -> Bool {
  column.hasSuffix("_seconds") || column.hasSuffix("_mb")
}

/// Assembles a quadratic.
///
/// - Parameters:
///   - failing: A rank on which that throws.
///   - poison: An example whose training throws.
///   - notFinite: The examples and rounds whose training loss is not finite.
func quadratic(
  parameters: Int = 40, failing: Int? = nil, poison: Int? = nil,
  onSave: @escaping @Sendable (_ directory: String) throws -> Void = { _ in },
  notFinite: @escaping @Sendable (_ example: Int, _ round: Int) -> Bool = { _, _ in false }
) -> Assembler {
  { experiment, _, communicator in
    if let failing {
      try communicator.agreed {
        if communicator.rank == failing {
          throw CommandFailure(ExitCode.data, "no such tensor")
        }
      }
    }
    let centers = (0..<24).map { example -> [Float] in
      (0..<parameters).map { coordinate -> Float in
        let place = (example * 31 + coordinate * 7) % 13
        return Float(place) / 13 - 0.5
      }
    }
    let objective = QuadraticObjective(
      scales: [Float](repeating: 1, count: parameters), train: centers, test: centers)
    objective.tokens = { 1 + $0 % 5 }
    objective.beforeBatch = { examples, _ in
      if let poison, examples.contains(poison) { throw Poisoned() }
      return 1
    }
    objective.extraLoss = { examples, key in
      key.map { key in examples.contains { notFinite($0, key.round) } } == true ? .nan : 0
    }
    let clients = experiment.partition.clients
    let owned = (0..<clients).map { client in
      Array(stride(from: client, to: centers.count, by: clients))
    }
    return Assembly(
      partition: Partition(clients: owned),
      objective: objective, initialVector: [Float](repeating: 0.25, count: parameters)
    ) { vector, _, directory in
      try onSave(directory)
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      try "\(vector)".write(toFile: directory + "/vector.txt", atomically: true, encoding: .utf8)
    }
  }
}

/// A directory that goes away with the object.
final class Scratch {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/cellm-experiments-\(UUID().uuidString)"
    for name in ["home/m", "home/d"] {
      try FileManager.default.createDirectory(
        atPath: path + "/" + name, withIntermediateDirectories: true)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var assets: AssetDirectory { AssetDirectory(environment: ["CELLM_HOME": path + "/home"]) }

  func write(_ text: String, to name: String) throws -> String {
    try text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
    return path + "/" + name
  }

  func read(_ name: String) throws -> String {
    try String(contentsOfFile: path + "/" + name, encoding: .utf8)
  }
}
