// A file that is there completely or not at all: written under a temporary name in the same folder,
// forced to disk, renamed, and the folder forced to disk too. A kill at any moment leaves the old
// file or the new one.

import Glibc
import Synchronization

/// The sink of `writeAtomically`; bytes are appended.
public struct AtomicFile: ~Copyable {
  fileprivate let descriptor: Int32
  fileprivate let path: String

  /// Appends `bytes`.
  ///
  /// - Throws: `SafetensorsError` with errno's text, for example when the disk is full.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 28))
      let written = write(descriptor, chunk.baseAddress, chunk.count)
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw systemError("cannot write", path) }
      rest = rest.dropFirst(written)
    }
  }
}

private let temporaryFiles = Atomic<Int>(0)

/// Replaces the file at `path` by what `body` appends, or leaves it as it was and throws.
///
/// - Throws: `SafetensorsError` naming `path` and errno's text, or what `body` throws; the
///   temporary file is removed.
public func writeAtomically(to path: String, _ body: (borrowing AtomicFile) throws -> Void) throws {
  let slash = path.lastIndex(of: "/")
  let folder = slash.map { String(path[...$0]) } ?? "./"
  let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
  let serial = temporaryFiles.add(1, ordering: .relaxed).newValue
  let temporary = "\(folder).\(name.prefix(100)).\(getpid())-\(serial).tmp"

  let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
  guard descriptor >= 0 else { throw systemError("cannot create a file beside it", path) }
  var isOpen = true
  do {
    try body(AtomicFile(descriptor: descriptor, path: path))
    guard fsync(descriptor) == 0 else { throw systemError("cannot force to disk", path) }
    isOpen = false
    guard close(descriptor) == 0 else { throw systemError("cannot close", path) }
    guard rename(temporary, path) == 0 else { throw systemError("cannot replace", path) }
  } catch {
    if isOpen { close(descriptor) }
    unlink(temporary)
    throw error
  }

  let folderDescriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard folderDescriptor >= 0 else { throw systemError("cannot open its folder", path) }
  defer { close(folderDescriptor) }
  // EINVAL: a file system that has no such operation on folders.
  if fsync(folderDescriptor) != 0 && errno != EINVAL {
    throw systemError("cannot force its folder to disk", path)
  }
}
