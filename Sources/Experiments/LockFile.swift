// A file that one process at a time has, by flock(2). A call that fails is an error and not an answer:
// a claim that only seems taken would leave its point unplayed.

import Foundation

/// A file with a lock that ends with the process or the object.
final class LockFile {
  let path: String
  private let descriptor: Int32

  /// Opens the file, made where it is missing.
  init(_ path: String) throws {
    self.path = path
    // Readable, since a shared lock over NFS wants that.
    descriptor = Self.openFile(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC)
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
  }

  /// Opens a file to look at it; nil where it is missing.
  init?(reading path: String) throws {
    self.path = path
    descriptor = Self.openFile(path, O_RDONLY | O_CLOEXEC)
    guard descriptor < 0 else { return }
    if errno == ENOENT { return nil }
    throw CommandFailure.system(path, errno)
  }

  deinit { close(descriptor) }

  private static func openFile(_ path: String, _ flags: Int32) -> Int32 {
    while true {
      let descriptor = open(path, flags, 0o644)
      if descriptor >= 0 || errno != EINTR { return descriptor }
    }
  }

  /// Takes the file for this process alone.
  /// - Returns: False if another process has it.
  func lock() throws -> Bool { try take(LOCK_EX) }

  /// True if a process has it by `lock`. Two that look at once do not see each other.
  func isLocked() throws -> Bool {
    guard try take(LOCK_SH) else { return true }
    flock(descriptor, LOCK_UN)
    return false
  }

  private func take(_ kind: Int32) throws -> Bool {
    while flock(descriptor, kind | LOCK_NB) != 0 {
      switch errno {
      case EINTR: continue
      case EWOULDBLOCK: return false
      default: throw CommandFailure.system(path, errno)
      }
    }
    return true
  }

  /// Replaces its content, which is short.
  func write(_ text: String) throws {
    guard ftruncate(descriptor, 0) == 0 else { throw CommandFailure.system(path, errno) }
    try writeAll(Array(text.utf8), to: descriptor, path: path)
  }

  /// Its content.
  func content() throws -> String { try readText(path, what: "claim") }
}
