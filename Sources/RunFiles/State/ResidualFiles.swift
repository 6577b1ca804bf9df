// What clients keep back of their deltas (error feedback), as files in the run directory: a client is
// trained on another rank in each round, and all ranks see the directory. Of each client stay the file of its
// last round and of the one before, which a round that is dropped or an upload that does not count goes back
// to, and for each checkpoint the newest file of the rounds before it: at most `checkpoint.keep` + 2 files.

internal import Federation
internal import Files
import Foundation
internal import Safetensors
internal import Synchronization

/// Residuals in a directory of all ranks.
package final class ResidualFiles: ResidualStore {
  private let directory = Mutex<String?>(nil)
  /// The rounds of all checkpoints; nil while they are not known, and then no file goes.
  private let checkpoints = Mutex<[Int]?>(nil)

  /// Residuals without a directory yet.
  package init() {}

  /// Sets the directory, which is made where it is missing; called by each rank before the first round.
  package func place(in path: String) throws {
    try makeFolders(path)
    directory.withLock { $0 = path }
  }

  /// From now on a run goes on from one of these rounds, or begins anew; called by each rank.
  ///
  /// - Parameter rounds: nil where they are not known.
  package func keepOnly(for rounds: [Int]?) { checkpoints.withLock { $0 = rounds } }

  package func residual(of client: Int, before round: Int) throws -> [Float]? {
    let folder = folder
    guard let newest = try rounds(of: client, in: folder).last(where: { $0 < round }) else {
      return nil
    }
    let file = try SafetensorsFile(path: path(folder, client, newest))
    guard let tensor = file["residual"] else {
      throw CommandFailure(
        ExitCode.data, "\(path(folder, client, newest)): holds no tensor residual")
    }
    return Array(file.bytes(of: tensor).bindMemory(to: Float.self))
  }

  package func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) throws {
    let folder = folder
    try SafetensorsWriter.write(
      [TensorToWrite(name: "residual", shape: [residual.count], borrowing: residual)],
      to: path(folder, client, round))
    guard let checkpoints = checkpoints.withLock({ $0 }) else { return }
    let older = try rounds(of: client, in: folder).filter { $0 < round }
    let needed = Set((checkpoints + [round]).compactMap { saved in older.last { $0 < saved } })
    for old in older where !needed.contains(old) { unlink(path(folder, client, old)) }
  }

  package func withdraw(_ client: Int, round: Int) throws {
    // The file of the client's round before is there still: `keep` leaves it.
    try removeIfThere(path(folder, client, round))
  }

  private var folder: String {
    guard let path = directory.withLock({ $0 }) else {
      preconditionFailure("residuals have no place yet")
    }
    return path
  }

  private func path(_ folder: String, _ client: Int, _ round: Int) -> String {
    "\(folder)/client-\(client)/round-\(round).safetensors"
  }

  /// The rounds of which a client's residual is there, ascending.
  private func rounds(of client: Int, in folder: String) throws -> [Int] {
    let own = "\(folder)/client-\(client)"
    try makeFolders(own)
    let names = try namesIfThere(in: own) ?? []
    // One rank at a time works with a client: what is not finished is of a process that was killed.
    for name in names where isTemporaryName(name) { unlink(own + "/" + name) }
    return savedRounds(names)
  }
}
