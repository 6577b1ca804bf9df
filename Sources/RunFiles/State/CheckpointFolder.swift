// The checkpoints of a run. "None was ever saved" and "there are some that cannot be used" are two
// things: the second ends a start, which would otherwise begin anew and remove them. A newest one that
// a crash damaged is left out where an older one is whole.

internal import Files
import Foundation
internal import Safetensors

/// The folder with the checkpoints of a run.
package struct CheckpointFolder {
  package let path: String

  /// The checkpoints that a start found.
  package struct Found {
    /// The newest whole one; nil where there is no file.
    package var checkpoint: Checkpoint?
    /// The newer ones, which are damaged, with the reasons.
    package var damaged: [(round: Int, reason: String)] = []
  }

  /// The newest whole checkpoint.
  ///
  /// - Parameter advice: Says how to begin anew on purpose.
  /// - Throws: `CommandFailure`: 74 where the folder or a checkpoint cannot be read, 65 where a
  ///   checkpoint is of another version or all are damaged.
  package func newest(advice: String) throws -> Found {
    var found = Found()
    for round in try rounds().reversed() {
      do {
        found.checkpoint = try Checkpoint(path: file(round))
        return found
      } catch CheckpointFault.damaged(let reason) {
        found.damaged.append((round, reason))
      } catch CheckpointFault.otherFormat(let reason) {
        throw CommandFailure(ExitCode.data, "\(reason); go on with its version, or \(advice)")
      } catch {
        throw CommandFailure(
          ExitCode.inputOutput, "\(error); mend that and start again, or \(advice)")
      }
    }
    if let first = found.damaged.first {
      throw CommandFailure(
        ExitCode.data,
        "\(path): holds no whole checkpoint: \(first.reason); to begin anew, \(advice)")
    }
    return found
  }

  /// Saves one more, and removes all but the newest `count` of its past.
  ///
  /// - Parameter damaged: The rounds of those that were found to be damaged; they are removed.
  /// - Returns: The rounds of those that are left, ascending.
  package func add(_ checkpoint: Checkpoint, keeping count: Int, removing damaged: [Int]) throws
    -> [Int]
  {
    let round = checkpoint.state.round
    try makeFolders(path)
    try checkpoint.write(to: file(round))
    for bad in damaged where bad != round { unlink(file(bad)) }
    let past = try rounds().filter { $0 <= round }
    for old in past.dropLast(count) { unlink(file(old)) }
    return try rounds()
  }

  private func file(_ round: Int) -> String {
    let digits = "\(round)"
    return "\(path)/round-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits)"
      + ".safetensors"
  }

  /// The rounds of all checkpoints, damaged ones included, ascending.
  /// - Throws: `SafetensorsError` with errno if the folder cannot be listed.
  package func rounds() throws -> [Int] { savedRounds(try namesIfThere(in: path) ?? []) }

  package init(path: String) {
    self.path = path
  }
}

/// The rounds N of files with the names `round-N.safetensors`, ascending.
package func savedRounds(_ names: [String]) -> [Int] {
  names.compactMap { name in
    guard name.hasPrefix("round-"), name.hasSuffix(".safetensors") else { return nil }
    return Int(name.dropFirst(6).dropLast(12))
  }.sorted()
}
