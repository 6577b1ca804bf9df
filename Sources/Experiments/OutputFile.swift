// Files that the program writes: appended with plain writes, so that nothing waits in a buffer when
// something fails, and an error names the file.

import Foundation

/// A file that is appended to.
final class OutputFile {
  let path: String
  private let descriptor: Int32
  /// The bytes up to which the file is whole.
  private var length = 0

  /// Creates the file; where `exclusive`, it must not exist.
  init(creating path: String, exclusive: Bool = false) throws {
    self.path = path
    let flags = O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | (exclusive ? O_EXCL : O_TRUNC)
    descriptor = open(path, flags, 0o644)
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
  }

  /// Opens a file to append to it, made where it is missing.
  init(opening path: String) throws {
    self.path = path
    // Readable, since a shared lock over NFS wants that.
    descriptor = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
    length = Int(lseek(descriptor, 0, SEEK_END))
  }

  /// Opens a file that exists, to append to it.
  init(appendingTo path: String) throws {
    self.path = path
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
    length = Int(lseek(descriptor, 0, SEEK_END))
  }

  deinit { close(descriptor) }

  /// Takes the file for this process alone, until it ends.
  /// - Returns: Whether no other process has it.
  func lock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

  /// Whether a process has it by `lock`. Two that look at once do not see each other.
  var isLocked: Bool {
    if flock(descriptor, LOCK_SH | LOCK_NB) != 0 { return true }
    flock(descriptor, LOCK_UN)
    return false
  }

  /// Removes its content.
  func empty() throws {
    guard ftruncate(descriptor, 0) == 0 else { throw CommandFailure.system(path, errno) }
    length = 0
  }

  /// Appends all of `text`, or nothing: what was written of it before an error is taken back.
  func append(_ text: String) throws { try append(bytes: Array(text.utf8)) }

  /// Appends all of `bytes`, or nothing.
  func append(bytes: [UInt8]) throws {
    do {
      try writeAll(bytes, to: descriptor, path: path)
      length += bytes.count
    } catch {
      _ = ftruncate(descriptor, off_t(length))
      throw error
    }
  }

  /// Makes sure that what was appended is on the disk.
  func synchronize() throws {
    // Pipes and terminals cannot be synchronized, and need not be.
    if fsync(descriptor) != 0, errno != EINVAL, errno != ENOTSUP, errno != EROFS {
      throw CommandFailure.system(path, errno)
    }
  }

  /// Replaces a file as a whole: it has the old content or the new one, never a part.
  static func replace(_ path: String, with text: String) throws {
    // Another host may have the same process number, another thread the same process.
    let temporary = "\(path).\(UUID().uuidString).tmp"
    do {
      let file = try OutputFile(creating: temporary)
      try file.append(text)
      try file.synchronize()
      guard rename(temporary, path) == 0 else { throw CommandFailure.system(path, errno) }
    } catch {
      unlink(temporary)
      throw error
    }
  }
}

/// Writes all of `bytes` to a file descriptor.
func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
  try bytes.withUnsafeBytes { bytes in
    var start = 0
    while start < bytes.count {
      let count = write(descriptor, bytes.baseAddress! + start, bytes.count - start)
      if count > 0 {
        start += count
      } else if count < 0, errno != EINTR {
        throw CommandFailure.system(path, errno)
      }
    }
  }
}

/// Prints results.
/// - Throws: `CommandFailure` (74) where standard output is closed or full.
public func writeToStandardOutput(_ text: String) throws {
  try writeAll(Array(text.utf8), to: STDOUT_FILENO, path: "standard output")
}

/// Prints messages; where standard error is closed there is no one left to tell.
public func writeToStandardError(_ text: String) {
  try? writeAll(Array(text.utf8), to: STDERR_FILENO, path: "standard error")
}
