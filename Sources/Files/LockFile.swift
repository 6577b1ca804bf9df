// A file that one process at a time has, by flock(2). A call that fails is an error and not an answer:
// a claim that only seems taken would leave its point unplayed.

import Foundation
internal import Safetensors

/// A file with a lock that ends with the process or the object.
package final class LockFile {
  package let path: String
  private let descriptor: Int32

  /// Opens the file, made where it is missing.
  package init(_ path: String) throws {
    self.path = path
    // Readable, since a shared lock over NFS wants that.
    descriptor = uninterrupted { open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0o644) }
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
  }

  /// Opens a file to look at it; nil where it is missing.
  package init?(reading path: String) throws {
    self.path = path
    descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
    guard descriptor < 0 else { return }
    if errno == ENOENT { return nil }
    throw CommandFailure.system(path, errno)
  }

  deinit { close(descriptor) }

  /// Takes the file for this process alone.
  /// - Returns: False if another process has it.
  package func lock() throws -> Bool { try take(LOCK_EX) }

  /// True if a process has it by `lock`. Two that look at once do not see each other.
  package func isLocked() throws -> Bool {
    guard try take(LOCK_SH) else { return true }
    flock(descriptor, LOCK_UN)
    return false
  }

  private func take(_ kind: Int32) throws -> Bool {
    if uninterrupted({ flock(descriptor, kind | LOCK_NB) }) == 0 { return true }
    if errno == EWOULDBLOCK { return false }
    throw CommandFailure.system(path, errno)
  }

  /// True if the path still names this file: nobody removed it since it was opened.
  package func isInPlace() throws -> Bool {
    var (own, found) = (stat(), stat())
    guard fstat(descriptor, &own) == 0 else { throw CommandFailure.system(path, errno) }
    if uninterrupted({ stat(path, &found) }) != 0 {
      if errno == ENOENT { return false }
      throw CommandFailure.system(path, errno)
    }
    return own.st_ino == found.st_ino && own.st_dev == found.st_dev
  }

  /// Replaces its content, which is short.
  package func write(_ text: String) throws {
    guard uninterrupted({ ftruncate(descriptor, 0) }) == 0 else {
      throw CommandFailure.system(path, errno)
    }
    try writeAll(Array(text.utf8), to: descriptor, path: path)
  }

  /// Its content.
  package func content() throws -> String {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = uninterrupted { pread(descriptor, &piece, piece.count, off_t(bytes.count)) }
      guard count >= 0 else { throw CommandFailure.system(path, errno) }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
