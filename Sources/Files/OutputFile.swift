// Files that the program writes: appended with plain writes, so that nothing waits in a buffer when
// something fails, and an error names the file.

import Foundation
internal import Safetensors

/// A file that is appended to.
package final class OutputFile {
  package let path: String
  private let descriptor: Int32
  /// The bytes up to which the file is whole.
  private var length = 0

  /// Creates the file, or empties the one that is there.
  package init(creating path: String) throws {
    self.path = path
    let flags = O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_TRUNC
    descriptor = uninterrupted { open(path, flags, 0o644) }
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
  }

  /// Opens a file that exists, to append to it.
  ///
  /// - Parameter kept: The bytes that stay; what follows them is cut off. nil for all.
  package init(appendingTo path: String, keeping kept: Int? = nil) throws {
    self.path = path
    descriptor = uninterrupted { open(path, O_WRONLY | O_APPEND | O_CLOEXEC) }
    if descriptor < 0 { throw CommandFailure.system(path, errno) }
    length = Int(lseek(descriptor, 0, SEEK_END))
    if let kept, kept < length {
      guard uninterrupted({ ftruncate(descriptor, off_t(kept)) }) == 0 else {
        throw CommandFailure.system(path, errno)
      }
      length = kept
    }
  }

  deinit { close(descriptor) }

  /// Appends all of `text`, or nothing: what was written of it before an error is taken back.
  package func append(_ text: String) throws { try append(bytes: Array(text.utf8)) }

  /// Appends all of `bytes`, or nothing.
  package func append(bytes: [UInt8]) throws {
    do {
      try writeAll(bytes, to: descriptor, path: path)
      length += bytes.count
    } catch {
      _ = uninterrupted { ftruncate(descriptor, off_t(length)) }
      throw error
    }
  }

  /// Makes sure that what was appended is on the disk.
  package func synchronize() throws {
    // Pipes and terminals cannot be synchronized, and need not be.
    if uninterrupted({ fsync(descriptor) }) != 0, errno != EINVAL, errno != ENOTSUP, errno != EROFS
    {
      throw CommandFailure.system(path, errno)
    }
  }

  /// Replaces a file as a whole: it has the old content or the new one, never a part.
  ///
  /// - Parameter onlyIfNew: Throws where the file exists.
  /// - Parameter isWanted: Asked right before the replacement; if the answer is no, the old content
  ///   stays.
  /// - Returns: Whether the content is the new one.
  /// - Throws: `CommandFailure` (74).
  @discardableResult
  package static func replace(
    _ path: String, with text: String, onlyIfNew: Bool = false,
    onlyIf isWanted: () -> Bool = { true }
  ) throws -> Bool {
    do {
      return try writeAtomically(to: path, onlyIfNew: onlyIfNew, onlyIf: isWanted) { file in
        try file.append(text)
      }
    } catch let error as SafetensorsError {
      throw CommandFailure(ExitCode.inputOutput, "\(error)")
    }
  }
}

/// Writes all of `bytes` to a file descriptor.
func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
  try bytes.withUnsafeBytes { bytes in
    var start = 0
    while start < bytes.count {
      let count = uninterrupted {
        write(descriptor, bytes.baseAddress! + start, bytes.count - start)
      }
      // A write of nothing says no cause; the next one would.
      guard count > 0 else { throw CommandFailure.system(path, count < 0 ? errno : ENOSPC) }
      start += count
    }
  }
}

/// Prints results.
/// - Throws: `CommandFailure` (74) where standard output is closed or full.
package func writeToStandardOutput(_ text: String) throws {
  try writeAll(Array(text.utf8), to: STDOUT_FILENO, path: "standard output")
}

/// Prints messages; where standard error is closed there is no one left to tell.
package func writeToStandardError(_ text: String) {
  try? writeAll(Array(text.utf8), to: STDERR_FILENO, path: "standard error")
}
