// A closed form in place of a model: example e wants the vector near a point that depends on e.
//   loss_e(x) = 1/2 |x - t_e|^2, its gradient x - t_e

import Communication
import Corpora
import Experiments
import Federation
import Foundation
import RandomStreams

final class QuadraticObjective: CoordinateObjective {
  let parameterCount: Int
  let examples = 24
  /// Throws in the training of this example.
  var poison: Int?
  /// Is not finite in the training of these examples, where a client has them in such a round.
  var notFinite: (_ example: Int, _ round: Int) -> Bool = { _, _ in false }

  init(parameterCount: Int) { self.parameterCount = parameterCount }

  struct Poisoned: Error, CustomStringConvertible {
    let description = "a poisoned example"
  }

  func exampleCount(_ split: Split) -> Int { split == .validation ? 0 : examples }
  func tokenCount(ofTrainingExample example: Int) -> Int { 1 + example % 5 }

  private func target(_ example: Int, _ coordinate: Int) -> Float {
    Float((example * 31 + coordinate * 7) % 13) / 13 - 0.5
  }

  func gradient(
    ofTrainingExamples examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>, dropout: RandomKey?
  ) throws -> LossSums {
    for i in gradient.indices { gradient[i] = 0 }
    var sums = LossSums()
    for example in examples {
      if example == poison { throw Poisoned() }
      if let dropout, notFinite(example, dropout.round) { sums.loss = .nan }
      for i in gradient.indices {
        let difference = parameters[i] - target(example, i)
        gradient[i] += difference / Float(examples.count)
        sums.loss += Double(difference * difference) / 2
      }
      sums.count += 1
      sums.tokens += tokenCount(ofTrainingExample: example)
    }
    return sums
  }

  func evaluate(
    _ split: Split, examples: [Int], at parameters: UnsafeBufferPointer<Float>,
    each: (Int, ExampleOutcome) throws -> Void
  ) throws {
    for example in examples {
      var loss = 0.0
      for i in parameters.indices {
        let difference = parameters[i] - target(example, i)
        loss += Double(difference * difference) / 2
      }
      try each(
        example, ExampleOutcome(loss: loss, correct: loss < 1 ? 1 : 0, count: 1, predicted: 0))
    }
  }
}

/// Whether a column or key is measured: it differs from run to run and from rank to rank.
func isMeasured(_ column: some StringProtocol) -> Bool {
  column.hasSuffix("_seconds") || column.hasSuffix("_mb")
}

/// Assembles a quadratic; `failing` is a rank on which that throws.
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
    let objective = QuadraticObjective(parameterCount: parameters)
    objective.poison = poison
    objective.notFinite = notFinite
    let clients = experiment.partition.clients
    let owned = (0..<clients).map { client in
      Array(stride(from: client, to: objective.examples, by: clients))
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
