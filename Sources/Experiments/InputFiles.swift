// What a run reads, as files with their digests: with config.yaml and the version that is all it takes to repeat it, and to
// see elsewhere that the files are the same (`xxhsum -H64 FILE`).

internal import Federation
import Foundation
internal import Synchronization

/// A file that a run reads.
struct InputFile: Codable, Sendable, Equatable {
  /// Its path.
  var path: String
  /// Its length.
  var bytes: Int
  /// The XXH64 of its content.
  var xxh64: String

  /// A file, read to its end.
  /// - Parameter onProgress: Called every 64 MB.
  init(_ path: String, onProgress: () -> Void = {}) throws {
    self.path = path
    let identity = try Self.identity(of: path)
    bytes = identity.size
    if let known = Self.known.withLock({ $0[identity] }) {
      xxh64 = known
      return
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
    defer { close(descriptor) }
    var hash = XXHash64()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    var total = 0
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw CommandFailure.system(path, errno) }
      if count == 0 { break }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      total += count
      if total % (64 << 20) < count { onProgress() }
    }
    xxh64 = hash.hexDigits
    Self.known.withLock { [xxh64] in $0[identity] = xxh64 }
  }

  /// A file as it was at one time; a sweep reads the same ones for every point.
  private struct Identity: Hashable {
    var path: String
    var size: Int
    var changed: [Int]
  }

  private static let known = Mutex<[Identity: String]>([:])

  private static func identity(of path: String) throws -> Identity {
    var found = stat()
    guard stat(path, &found) == 0 else { throw CommandFailure.system(path, errno) }
    return Identity(
      path: path, size: Int(found.st_size),
      changed: [Int(found.st_ino), found.st_mtim.tv_sec, found.st_mtim.tv_nsec])
  }
}

extension Experiment {
  /// The files that its results depend on, as far as they are there.
  func inputFiles(_ assets: AssetDirectory) -> [String] {
    func files(_ directory: String, _ isMeant: (String) -> Bool) -> [String] {
      let path = assets.resolve(directory)
      let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      return names.filter(isMeant).sorted().map { path + "/" + $0 }
    }
    var paths = files(model.path) {
      $0.hasSuffix(".safetensors") || $0 == "config.json" || $0 == "tokenizer.json"
    }
    paths += files(data.path) { $0.hasSuffix(".safetensors") }
    if let initial = adapter.initial {
      paths += files(initial) { $0.hasPrefix("adapter_") }
    }
    let single = [
      partition.kind == .file ? partition.path : nil,
      federation.cohort.kind == .file ? federation.cohort.path : nil,
      system.kind == .trace ? system.path : nil,
    ]
    return paths + single.compactMap { $0.map(assets.resolve) }
  }
}
