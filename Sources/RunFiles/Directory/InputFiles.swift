// What a run reads, as files with their digests: with config.yaml and the version that is all it takes to repeat it, and to
// see elsewhere that the files are the same (`xxhsum -H64 FILE`).

package import Configuration
internal import Digests
internal import Federation
internal import Files
internal import Foundation
internal import Safetensors
internal import Synchronization

/// A part that an input file plays in a run.
package enum InputRole: String, Codable, Sendable {
  case model, data
  /// The adapter from which training starts.
  case initial
  case partition, cohort, trace

  /// True if a run reads several files of this role, told apart by their names.
  var isFolder: Bool { self == .model || self == .data || self == .initial }
}

/// A file that a run reads.
package struct InputFile: Codable, Sendable, Equatable {
  /// Its part in the run; nil where it has none, and in manifests of earlier versions.
  package var role: InputRole?
  /// Its path.
  package var path: String
  /// Its length.
  package var bytes: Int
  /// The XXH64 of its content.
  package var xxh64: String

  /// A file, read to its end.
  /// - Parameter onProgress: Called every 64 MB.
  package init(_ path: String, role: InputRole? = nil, onProgress: () -> Void = {}) throws {
    self.path = path
    self.role = role
    let identity = try Self.identity(of: path)
    bytes = identity.size
    if let known = Self.known.withLock({ $0[identity] }) {
      xxh64 = known
      return
    }
    var hash = XXHash64()
    var total = 0
    try readThrough(path) { piece in
      hash.update(piece)
      total += piece.count
      if total % (64 << 20) < piece.count { onProgress() }
    }
    xxh64 = hash.hexDigits
    Self.known.withLock { [xxh64] in $0[identity] = xxh64 }
  }

  /// A file as it was at one time; a sweep reads the same ones for every point.
  private struct Identity: Hashable {
    package var path: String
    package var size: Int
    package var changed: [Int]
  }

  private static let known = Mutex<[Identity: String]>([:])

  private static func identity(of path: String) throws -> Identity {
    var found = stat()
    guard uninterrupted({ stat(path, &found) }) == 0 else {
      throw CommandFailure.system(path, errno)
    }
    return Identity(
      path: path, size: Int(found.st_size),
      changed: [Int(found.st_ino), found.st_mtim.tv_sec, found.st_mtim.tv_nsec])
  }
}

extension Experiment {
  /// The files that its results depend on, as far as they are there, with their digests.
  ///
  /// - Parameters:
  ///   - roles: Only those; nil for all.
  ///   - onProgress: Called every 64 MB.
  /// - Throws: `CommandFailure` or `SafetensorsError` with errno where one cannot be read.
  package func inputFiles(
    _ assets: AssetDirectory, roles: Set<InputRole>? = nil, onProgress: () -> Void = {}
  ) throws -> [InputFile] {
    try inputPaths(assets).filter { roles?.contains($0.role) ?? true }.map {
      try InputFile($0.path, role: $0.role, onProgress: onProgress)
    }
  }

  /// The paths of these files, in an order that depends on their names alone.
  /// - Throws: `SafetensorsError` with errno if a folder cannot be listed.
  package func inputPaths(_ assets: AssetDirectory) throws -> [(role: InputRole, path: String)] {
    var files: [(role: InputRole, path: String)] = []
    func add(_ role: InputRole, in directory: String, _ isMeant: (String) -> Bool) throws {
      let path = assets.resolve(directory)
      for name in try namesIfThere(in: path) ?? [] where isMeant(name) {
        files.append((role, path + "/" + name))
      }
    }
    try add(.model, in: model.path) {
      $0.hasSuffix(".safetensors") || $0 == "config.json" || $0 == "tokenizer.json"
    }
    try add(.data, in: data.path) { $0.hasSuffix(".safetensors") }
    if let initial = adapter.initial { try add(.initial, in: initial) { $0.hasPrefix("adapter_") } }
    let single: [(InputRole, String?)] = [
      (.partition, partition.kind == .file ? partition.path : nil),
      (.cohort, federation.cohort.kind == .file ? federation.cohort.path : nil),
      (.trace, system.kind == .trace ? system.path : nil),
    ]
    return files + single.compactMap { role, path in path.map { (role, assets.resolve($0)) } }
  }
}

extension Manifest {
  /// A line for each input file of an experiment that is not what the run read: its content changed, it is new, or
  /// it is gone. The same content under another path is the same.
  ///
  /// - Parameters:
  ///   - experiment: The run's, with the paths of now.
  ///   - roles: Only those; nil for all.
  /// - Returns: No line also where the manifest lists no inputs.
  /// - Throws: `CommandFailure` or `SafetensorsError` with errno where a file cannot be read.
  package func changedInputs(
    of experiment: Experiment, _ assets: AssetDirectory, roles: Set<InputRole>? = nil
  ) throws -> [String] {
    changedInputs(now: try experiment.inputFiles(assets, roles: roles), roles: roles)
  }

  /// The same for files that were read already.
  package func changedInputs(now: [InputFile], roles: Set<InputRole>? = nil) -> [String] {
    guard let inputs else { return [] }
    var rest = inputs.filter { input in
      guard let roles, let role = input.role else { return true }
      return roles.contains(role)
    }
    var lines: [String] = []
    for file in now {
      guard let index = Self.counterpart(of: file, in: rest) else {
        lines.append("\(file.path): was not there when the run began")
        continue
      }
      let then = rest.remove(at: index)
      guard (then.bytes, then.xxh64) != (file.bytes, file.xxh64) else { continue }
      lines.append(
        "\(file.path): is not the file with which the run began: \(file.bytes) bytes with XXH64 "
          + "\(file.xxh64), then \(then.bytes) bytes with \(then.xxh64)")
    }
    // Of files without a role, as earlier versions listed them, it is not known who asked for them.
    for gone in rest where roles == nil || gone.role != nil {
      lines.append("\(gone.path): was there when the run began, and is gone")
    }
    return lines
  }

  private static func counterpart(of file: InputFile, in files: [InputFile]) -> Int? {
    func name(_ file: InputFile) -> String { URL(fileURLWithPath: file.path).lastPathComponent }
    let isFolder = file.role?.isFolder ?? true
    return files.firstIndex {
      $0.role != nil && $0.role == file.role && (!isFolder || name($0) == name(file))
    }
      ?? files.firstIndex { $0.role == nil && $0.path == file.path }
      ?? files.firstIndex { $0.role == nil && name($0) == name(file) }
      ?? files.firstIndex { $0.role == nil && !isFolder && $0.xxh64 == file.xxh64 }
  }
}
