// A run between two rounds, as a file: `checkpoints/round-000010.safetensors` is the state after ten
// rounds. It holds the server's state, whose digest is its checksum, and in its metadata what the
// tables at the end of the run need. Written under another name, forced to disk and renamed.

internal import Federation
import Foundation
internal import Safetensors
internal import Sparsity

/// What a run has counted so far.
struct RunProgress: Codable, Equatable {
  /// The manifest's totals.
  var totals = Manifest.Totals()
  /// Rows of the table at the end.
  var summary = RunSummary()
}

/// A saved run.
struct Checkpoint {
  var state: ServerState
  var progress: RunProgress
  var knowledge: ClientKnowledge

  /// A state with what was counted up to it.
  init(_ state: ServerState, _ progress: RunProgress, _ knowledge: ClientKnowledge) {
    self.state = state
    self.progress = progress
    self.knowledge = knowledge
  }

  private static let format = "cellm-mpi checkpoint 1"

  /// Writes it to a file, completely or not at all.
  func write(to path: String) throws {
    let encoder = JSONEncoder.ofAnyNumber
    encoder.outputFormatting = [.sortedKeys]
    let text = String(decoding: try encoder.encode(progress), as: UTF8.self)
    var tensors = [
      TensorToWrite(name: "vector", shape: [state.vector.count], floats: state.vector),
      TensorToWrite(
        name: "first_moment", shape: [state.firstMoment.count], floats: state.firstMoment),
      TensorToWrite(
        name: "second_moment", shape: [state.secondMoment.count], floats: state.secondMoment),
    ]
    if let support = state.support {
      tensors.append(
        TensorToWrite(
          name: "support", shape: [support.count], int64s: support.indices.map(Int64.init)))
    }
    tensors += knowledge.tensors + state.furtherTensors
    var metadata = [
      "format": Self.format, "round": "\(state.round)", "digest": state.digest,
      "progress": text, "progress_sha256": SHA256.hexDigits(of: Array(text.utf8)),
    ]
    if state.emptyRounds > 0 { metadata["empty_rounds"] = "\(state.emptyRounds)" }
    if state.refusedRounds > 0 { metadata["refused_rounds"] = "\(state.refusedRounds)" }
    // The shortest text that reads back as the same number.
    metadata["clip"] = state.clip.map { "\($0)" }
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
  }

  /// Reads and checks a file.
  /// - Throws: `CommandFailure` or `SafetensorsError` where it is not whole.
  init(path: String) throws {
    let file = try SafetensorsFile(path: path)
    func damaged(_ what: String) -> CommandFailure {
      CommandFailure(ExitCode.data, "\(path): not a whole checkpoint: \(what)")
    }
    guard file.metadata["format"] == Self.format else { throw damaged("its format") }
    guard let round = file.metadata["round"].flatMap(Int.init),
      let text = file.metadata["progress"],
      file.metadata["progress_sha256"] == SHA256.hexDigits(of: Array(text.utf8))
    else { throw damaged("its counts") }
    func floats(_ name: String) throws -> [Float] {
      guard let tensor = file[name] else { throw damaged("no \(name)") }
      var values = [Float](repeating: 0, count: tensor.elementCount)
      try values.withUnsafeMutableBufferPointer { try file.readFloats(named: name, into: $0) }
      return values
    }
    func integers(_ name: String) throws -> [Int]? {
      file[name] == nil ? nil : try file.readIntegers(named: name).map { Int($0) }
    }
    let vector = try floats("vector")
    var support: SupportMask?
    if file["support"] != nil {
      let indices = try file.readIntegers(named: "support")
      guard zip(indices, indices.dropFirst()).allSatisfy(<),
        indices.allSatisfy({ (0..<vector.count).contains(Int($0)) })
      else { throw damaged("its support") }
      support = SupportMask(length: vector.count, indices: indices.map { UInt32($0) })
    }
    state = try ServerState(
      round: round, vector: vector, firstMoment: try floats("first_moment"),
      secondMoment: try floats("second_moment"), support: support,
      clip: file.metadata["clip"].flatMap(Double.init),
      emptyRounds: file.metadata["empty_rounds"].flatMap(Int.init) ?? 0,
      refusedRounds: file.metadata["refused_rounds"].flatMap(Int.init) ?? 0,
      mergedBase: file["merged_base"] == nil ? [] : try floats("merged_base"),
      lastStack: try integers("last_stack").flatMap(StackSize.init),
      clientRanks: Dictionary(
        pairs: try integers("client_ranks") ?? [], uniquingKeysWith: { first, _ in first }))
    guard state.digest == file.metadata["digest"] else { throw damaged("its digest") }
    knowledge = try ClientKnowledge(file, length: vector.count)
    progress = try JSONDecoder.ofAnyNumber.decode(RunProgress.self, from: Data(text.utf8))
  }
}

extension ServerState {
  /// What only some methods have: merged weights, the size of the last stack, clients' ranks.
  fileprivate var furtherTensors: [TensorToWrite] {
    var tensors: [TensorToWrite] = []
    if !mergedBase.isEmpty {
      tensors.append(
        TensorToWrite(name: "merged_base", shape: [mergedBase.count], floats: mergedBase))
    }
    if let lastStack {
      let numbers = lastStack.numbers.map { Int64($0) }
      tensors.append(TensorToWrite(name: "last_stack", shape: [numbers.count], int64s: numbers))
    }
    if !clientRanks.isEmpty {
      let rows = clientRanks.sorted { $0.key < $1.key }.flatMap {
        [Int64($0.key), Int64($0.value)]
      }
      tensors.append(
        TensorToWrite(name: "client_ranks", shape: [rows.count / 2, 2], int64s: rows))
    }
    return tensors
  }
}

extension [Int: Int] {
  /// Keys and values by turns.
  fileprivate init(pairs: [Int], uniquingKeysWith choose: (Int, Int) -> Int) {
    self.init(
      stride(from: 0, to: pairs.count - 1, by: 2).map { (pairs[$0], pairs[$0 + 1]) },
      uniquingKeysWith: choose)
  }
}

/// The checkpoints of a run.
struct CheckpointFolder {
  let path: String

  /// The newest whole one, and a line for each newer one that is not.
  func newest() -> (checkpoint: Checkpoint?, damaged: [String]) {
    var damaged: [String] = []
    for round in rounds.reversed() {
      do {
        return (try Checkpoint(path: file(round)), damaged)
      } catch {
        damaged.append("\(error)")
      }
    }
    return (nil, damaged)
  }

  /// Saves one more, and removes all but the newest `count`.
  /// - Returns: The round of the oldest that is left.
  func add(_ checkpoint: Checkpoint, keeping count: Int) throws -> Int {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw CommandFailure.system(path, errno)
    }
    try checkpoint.write(to: file(checkpoint.state.round))
    // Those of rounds that are still to be played belong to a past that was given up.
    let all = rounds
    for stale in all where stale > checkpoint.state.round { unlink(file(stale)) }
    let valid = all.filter { $0 <= checkpoint.state.round }
    for old in valid.dropLast(count) { unlink(file(old)) }
    return valid.suffix(count).first ?? checkpoint.state.round
  }

  private func file(_ round: Int) -> String {
    let digits = "\(round)"
    return "\(path)/round-\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits)"
      + ".safetensors"
  }

  /// Rounds with a file, ascending.
  private var rounds: [Int] { roundsWithFiles(in: path) }
}

/// The rounds of which a folder has a file `round-N.safetensors`, ascending.
func roundsWithFiles(in folder: String) -> [Int] {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  return names.compactMap { name in
    guard name.hasPrefix("round-"), name.hasSuffix(".safetensors") else { return nil }
    return Int(name.dropFirst(6).dropLast(12))
  }.sorted()
}
