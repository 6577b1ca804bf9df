// `evaluated.safetensors` of a run directory: which coordinates of the trained vector the last
// evaluation saw. `adapter/` (or `model/`) holds the whole vector; `export --masked` makes the
// evaluated one of both.
//
// Metadata: `rounds`, finished when it was evaluated; `vector`, masked or whole; `weights`, the
// XXH64 of the tensors' bytes in the file of weights that it belongs to. Tensor `support` of a
// masked vector: a bit for each coordinate, U8.

internal import Digests
package import Federation
internal import Files
internal import Foundation
internal import Safetensors

/// The evaluated coordinates of a run's trained vector.
package struct EvaluatedVectorFile {
  /// The rounds finished when it was evaluated.
  package let rounds: Int
  /// True if the masked vector was evaluated, false if the whole one.
  package let isMasked: Bool
  /// For each coordinate, true if the evaluation saw it; nil if it saw all, or if no length was
  /// given.
  package let isSeen: [Bool]?

  /// Its name in the run directory.
  package static let name = "evaluated.safetensors"

  /// Writes the file to the run directory in which `trained` is.
  package static func write(_ evaluated: EvaluatedSupport, beside trained: String) throws {
    var metadata = [
      "rounds": "\(evaluated.rounds)", "vector": evaluated.bits == nil ? "whole" : "masked",
    ]
    if let weights = try weightsPath(in: trained) { metadata["weights"] = try digest(of: weights) }
    let tensors = evaluated.bits.map {
      [TensorToWrite(name: "support", elementType: .u8, shape: [$0.count], bytes: $0)]
    }
    try SafetensorsWriter.write(tensors ?? [], metadata: metadata, to: path(beside: trained))
  }

  /// Reads the file; nil where there is none, as in runs of earlier versions and without
  /// evaluation.
  ///
  /// A run that is killed between two files leaves one that belongs to other weights.
  /// - Parameter length: Of the trained vector; nil to leave the coordinates out, and a file of
  ///   other weights too.
  /// - Throws: `CommandFailure` with 65 where it belongs to other weights or does not fit.
  package init?(beside trained: String, length: Int?) throws {
    let path = Self.path(beside: trained)
    guard try isThere(path) else { return nil }
    let file = try SafetensorsFile(path: path)
    guard let rounds = file.metadata["rounds"].flatMap(Int.init) else {
      throw CommandFailure(ExitCode.data, "\(path): no number of rounds")
    }
    if let weights = try Self.weightsPath(in: trained), let digest = file.metadata["weights"],
      try Self.digest(of: weights) != digest
    {
      if length == nil { return nil }
      throw CommandFailure(
        ExitCode.data,
        "\(path) belongs to other weights than \(weights): the run was ended while it wrote them;"
          + " go on with --resume")
    }
    self.rounds = rounds
    isMasked = file.metadata["vector"] == "masked"
    guard isMasked, let length else {
      isSeen = nil
      return
    }
    let tensor = try file.tensor(named: "support")
    let bits = file.bytes(of: tensor)
    guard tensor.elementType == .u8, bits.count == (length + 7) / 8 else {
      throw CommandFailure(
        ExitCode.data, "\(path): \(bits.count) bytes for a vector of \(length) coordinates")
    }
    isSeen = withExtendedLifetime(file) {
      (0..<length).map { bits[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
    }
  }

  private static func path(beside trained: String) -> String {
    URL(fileURLWithPath: trained).deletingLastPathComponent().path + "/" + name
  }

  private static func digest(of path: String) throws -> String {
    let file = try SafetensorsFile(path: path)
    var hash = XXHash64()
    for tensor in file.tensors { hash.update(file.bytes(of: tensor)) }
    return hash.hexDigits
  }

  /// The file of weights in a directory that a run wrote.
  private static func weightsPath(in trained: String) throws -> String? {
    try ["adapter_model.safetensors", "merged_base.safetensors", "model.safetensors"]
      .map { trained + "/" + $0 }.first { try isThere($0) }
  }
}
