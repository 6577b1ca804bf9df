// A run between two rounds, as a file: `checkpoints/round-000010.safetensors` is the state after ten
// rounds. It holds the server's state and what clients know, and in its metadata what the tables at
// the end of the run need. A checksum (`content_xxh64`) covers all tensors and all metadata; files of
// earlier versions have only the state's digest. Written under another name, forced to disk, renamed.

internal import Digests
package import Federation
internal import Files
internal import Foundation
internal import Safetensors
internal import Sparsity

/// What a run has counted so far.
package struct RunProgress: Codable, Equatable {
  /// The manifest's totals.
  package var totals = Manifest.Totals()
  /// Rows of the table at the end.
  package var summary = RunSummary()

  /// Totals and rows; by default those of a run that has played no round.
  package init(totals: Manifest.Totals = Manifest.Totals(), summary: RunSummary = RunSummary()) {
    self.totals = totals
    self.summary = summary
  }
}

/// A saved run.
package struct Checkpoint {
  package var state: ServerState
  package var progress: RunProgress
  package var knowledge: ClientKnowledge

  /// A state with what was counted up to it.
  package init(_ state: ServerState, _ progress: RunProgress, _ knowledge: ClientKnowledge) {
    self.state = state
    self.progress = progress
    self.knowledge = knowledge
  }

  private static let format = "cellm-mpi checkpoint 1"

  /// Writes it to a file, completely or not at all.
  package func write(to path: String) throws {
    let encoder = JSONEncoder.ofAnyNumber
    encoder.outputFormatting = [.sortedKeys]
    let text = String(decoding: try encoder.encode(progress), as: UTF8.self)
    let entries = StateName.all.map { $0.tensor(state[$0]) }
    // What clients know stands after the support, as the order of a file's tensors was from the first.
    let place = (StateName.all.firstIndex(of: .support) ?? 0) + 1
    let tensors =
      entries[..<place].compactMap { $0 } + knowledge.tensors + entries[place...].compactMap { $0 }
    var metadata = [
      "format": Self.format, "round": "\(state.round)", "digest": state.digest,
      "progress": text, "progress_sha256": SHA256.hexDigits(of: Array(text.utf8)),
    ]
    if state.emptyRounds > 0 { metadata["empty_rounds"] = "\(state.emptyRounds)" }
    if state.refusedRounds > 0 { metadata["refused_rounds"] = "\(state.refusedRounds)" }
    for name in StateName.all {
      // The shortest text that reads back as the same number.
      if case .number(let number)? = state[name] { metadata[name.name] = "\(number)" }
    }
    metadata[Self.checksumKey] = Self.checksum(metadata, tensors)
    do {
      try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
    } catch let error as SafetensorsError {
      throw CommandFailure(ExitCode.inputOutput, "\(error)")
    }
  }

  /// Reads and checks a file.
  /// - Throws: `CheckpointFault`.
  package init(path: String) throws {
    let file: SafetensorsFile
    do {
      try readThrough(path)
      file = try SafetensorsFile(path: path)
    } catch let error as SafetensorsError where error.errorNumber != nil {
      throw CheckpointFault.unreadable("\(error)")
    } catch {
      throw CheckpointFault.damaged("\(error)")
    }
    guard file.metadata["format"] == Self.format else {
      let found = file.metadata["format"].map { "'\($0.prefix(60))'" } ?? "none"
      throw CheckpointFault.otherFormat(
        "\(path): is no checkpoint of this version: its format is \(found), not '\(Self.format)'")
    }
    do {
      try self.init(file)
    } catch {
      let reason = "\(error)"
      throw CheckpointFault.damaged(reason.hasPrefix(path) ? reason : "\(path): \(reason)")
    }
  }

  /// Reads a file of the known format.
  /// - Throws: Whatever shows that it is not whole.
  private init(_ file: SafetensorsFile) throws {
    func damaged(_ what: String) -> CommandFailure {
      CommandFailure(ExitCode.data, "\(file.path): not a whole checkpoint: \(what)")
    }
    if let expected = file.metadata[Self.checksumKey] {
      guard expected == Self.checksum(file) else { throw damaged("its checksum") }
    }
    guard let round = file.metadata["round"].flatMap(Int.init),
      let text = file.metadata["progress"],
      file.metadata["progress_sha256"] == SHA256.hexDigits(of: Array(text.utf8))
    else { throw damaged("its counts") }
    var entries: [StateName: StateEntry] = [:]
    for name in StateName.all { entries[name] = try StateEntry(name, file) }
    for name in [StateName.vector, .firstMoment, .secondMoment] where entries[name] == nil {
      throw damaged("no \(name.name)")
    }
    state = try ServerState(
      round: round, emptyRounds: file.metadata["empty_rounds"].flatMap(Int.init) ?? 0,
      refusedRounds: file.metadata["refused_rounds"].flatMap(Int.init) ?? 0, entries: entries)
    guard state.digest == file.metadata["digest"] else { throw damaged("its digest") }
    knowledge = try ClientKnowledge(file, length: state.vector.count)
    progress = try JSONDecoder.ofAnyNumber.decode(RunProgress.self, from: Data(text.utf8))
  }
}

/// Why a checkpoint cannot be gone on from.
package enum CheckpointFault: Error, CustomStringConvertible {
  /// The file system does not give it.
  case unreadable(String)
  /// Another version of the program wrote it, or another program.
  case otherFormat(String)
  /// It was cut short or changed.
  case damaged(String)

  /// The file and the cause.
  package var description: String {
    switch self {
    case .unreadable(let text), .otherFormat(let text), .damaged(let text): text
    }
  }
}

extension Checkpoint {
  private static let checksumKey = "content_xxh64"

  /// The XXH64 over all metadata and all tensors, each in the order of its name.
  private static func checksum(
    _ metadata: [String: String], _ tensors: [TensorToWrite]
  ) -> String {
    var hash = ContentHash(metadata.filter { $0.key != checksumKey })
    for tensor in tensors.sorted(by: { $0.name < $1.name }) {
      tensor.withBytes { hash.add(tensor.name, tensor.elementType, tensor.shape, $0) }
    }
    return hash.digits
  }

  /// The same over a file.
  private static func checksum(_ file: SafetensorsFile) -> String {
    var hash = ContentHash(file.metadata.filter { $0.key != checksumKey })
    for tensor in file.tensors.sorted(by: { $0.name < $1.name }) {
      hash.add(tensor.name, tensor.elementType, tensor.shape, file.bytes(of: tensor))
    }
    return hash.digits
  }
}

/// A hash over texts and tensors, each with its length.
private struct ContentHash {
  private var hash = XXHash64()

  package init(_ metadata: [String: String]) {
    hash.update([metadata.count])
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      add(key)
      add(value)
    }
  }

  package var digits: String { hash.hexDigits }

  private mutating func add(_ text: String) {
    let bytes = Array(text.utf8)
    hash.update([bytes.count])
    hash.update(bytes)
  }

  package mutating func add(
    _ name: String, _ type: ElementType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
  ) {
    add("\(name) \(type.rawValue) \(shape)")
    hash.update([bytes.count])
    hash.update(bytes)
  }
}
