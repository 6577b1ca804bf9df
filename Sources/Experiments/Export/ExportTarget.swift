// The directory or the file that an export writes. A directory is new or empty but for what killed
// exports were writing. While it is written it has a lock, so that two exports do not mix their
// files, and what they find of each other is known to be left over. A file is new.

internal import Files
import Foundation
internal import Safetensors

/// The target of an export: a directory or a file.
enum ExportTarget {
  private static let lockName = ".lock"

  /// Throws where a directory is not new or empty.
  /// - Throws: `CommandFailure` (64), `SafetensorsError` where the file system does not tell.
  static func check(_ path: String) throws {
    guard let kind = try fileKind(of: path) else { return }
    let content = kind == .folder ? try namesIfThere(in: path) ?? [] : [path]
    guard content.allSatisfy({ $0 == lockName || isTemporaryName($0) }) else {
      throw CommandFailure(ExitCode.usage, "--to \(path): is not a new or empty directory")
    }
  }

  /// Throws where a file is not new, or its directory is missing.
  /// - Throws: `CommandFailure` (64), `SafetensorsError` where the file system does not tell.
  static func checkFile(_ path: String) throws {
    if try isThere(path) {
      throw CommandFailure(ExitCode.usage, "--gguf \(path): is there already; give a new file")
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard try fileKind(of: folder) == .folder, path.last != "/" else {
      throw CommandFailure(
        ExitCode.usage, "--gguf \(path): give a new file in a directory that is there")
    }
  }

  /// Makes the directory, and runs `body` while no other export writes there.
  /// - Throws: `CommandFailure`: 64 where another one does or did, 74 where the lock fails;
  ///   `SafetensorsError`; what `body` throws.
  static func take(_ path: String, _ body: () throws -> Void) throws {
    try makeFolders(path)
    let lock = try LockFile(path + "/" + lockName)
    guard try lock.lock(), try lock.isInPlace() else {
      throw CommandFailure(ExitCode.usage, "--to \(path): another process writes there")
    }
    // Whoever opened it meanwhile sees that it is not in place any more.
    defer { unlink(lock.path) }
    // The other export may be through.
    try check(path)
    try removeTemporaries(in: path)
    try body()
  }
}
