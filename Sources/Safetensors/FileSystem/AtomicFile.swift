// A file that is there completely or not at all: written under a temporary name in the same folder,
// forced to disk, renamed, and the folder forced to disk too. A kill at any moment leaves the old
// file or the new one. Temporary names are random, so that the leftover of a killed process stops
// nobody; `isTemporaryName` tells leftovers from other files.

import Glibc

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
      let written = uninterrupted { write(descriptor, chunk.baseAddress, chunk.count) }
      guard written > 0 else { throw systemError("cannot write", path) }
      rest = rest.dropFirst(written)
    }
  }

  /// Appends `text` in UTF-8.
  ///
  /// - Throws: `SafetensorsError` with errno's text.
  public func append(_ text: String) throws {
    try Array(text.utf8).withUnsafeBytes { try append($0) }
  }
}

/// Replaces the file at `path` by what `body` appends, or leaves it as it was and throws.
///
/// - Parameter onlyIfNew: Throws where the file exists (`errorNumber` is EEXIST), also where another
///   process makes it at the same time.
/// - Parameter isWanted: Asked when the new file is on the disk, right before it takes the place of
///   the old one, which stays if the answer is no.
/// - Returns: Whether the file is the new one.
/// - Throws: `SafetensorsError` naming `path` and errno's text, or what `body` throws; the
///   temporary file is removed.
@discardableResult
public func writeAtomically(
  to path: String, onlyIfNew: Bool = false, onlyIf isWanted: () -> Bool = { true },
  _ body: (borrowing AtomicFile) throws -> Void
) throws -> Bool {
  let slash = path.lastIndex(of: "/")
  let folder = slash.map { String(path[...$0]) } ?? "./"
  let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
  let temporary = "\(folder).\(name.prefix(100)).\(randomMark()).tmp"

  let descriptor = uninterrupted {
    open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
  }
  guard descriptor >= 0 else { throw systemError("cannot create a file beside it", path) }
  var isOpen = true
  do {
    try body(AtomicFile(descriptor: descriptor, path: path))
    guard uninterrupted({ fsync(descriptor) }) == 0 else {
      throw systemError("cannot force to disk", path)
    }
    isOpen = false
    // EINTR: Linux has closed it all the same.
    guard close(descriptor) == 0 || errno == EINTR else { throw systemError("cannot close", path) }
    guard isWanted() else {
      unlink(temporary)
      return false
    }
    try onlyIfNew ? linkAsNew(temporary, path) : replace(path, by: temporary)
  } catch {
    if isOpen { close(descriptor) }
    unlink(temporary)
    throw error
  }
  try synchronize(folder: folder, of: path)
  return true
}

private func replace(_ path: String, by temporary: String) throws {
  guard uninterrupted({ rename(temporary, path) }) == 0 else {
    throw systemError("cannot replace", path)
  }
}

/// Gives a finished file its name, which nothing may have.
private func linkAsNew(_ temporary: String, _ path: String) throws {
  if uninterrupted({ link(temporary, path) }) == 0 {
    unlink(temporary)
    return
  }
  switch errno {
  case EEXIST:
    // NFS may answer so to a request that it repeats: then the link is there, and the file has two.
    var found = stat()
    guard stat(temporary, &found) == 0, found.st_nlink == 2 else {
      throw systemError("cannot create", path, EEXIST)
    }
    unlink(temporary)
  case EPERM, ENOTSUP, ENOSYS, EMLINK:  // a file system without links
    guard try !isThere(path) else { throw systemError("cannot create", path, EEXIST) }
    try replace(path, by: temporary)
  default: throw systemError("cannot create", path)
  }
}

private func synchronize(folder: String, of path: String) throws {
  let descriptor = uninterrupted { open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
  guard descriptor >= 0 else { throw systemError("cannot open its folder", path) }
  defer { close(descriptor) }
  // EINVAL: a file system that has no such operation on folders.
  if uninterrupted({ fsync(descriptor) }) != 0 && errno != EINVAL {
    throw systemError("cannot force its folder to disk", path)
  }
}

/// 32 random hexadecimal digits as a UUID has them: another host may have the same process number.
private func randomMark() -> String {
  var digits = (0..<2).map { _ in
    let half = String(UInt64.random(in: .min ... .max), radix: 16, uppercase: true)
    return String(repeating: "0", count: 16 - half.count) + half
  }.joined()[...]
  return [8, 4, 4, 4, 12].map { count in
    defer { digits = digits.dropFirst(count) }
    return String(digits.prefix(count))
  }.joined(separator: "-")
}

/// Whether a file has a name that `writeAtomically` of this version or of an earlier one gives to a
/// file that is not finished.
public func isTemporaryName(_ name: String) -> Bool {
  let parts = name.split(separator: ".", omittingEmptySubsequences: false)
  guard parts.count >= 3, parts.last == "tmp" else { return false }
  let words = parts[parts.count - 2].split(separator: "-", omittingEmptySubsequences: false)
  switch words.map(\.utf8.count) {
  case [8, 4, 4, 4, 12]: return words.allSatisfy { $0.utf8.allSatisfy(isHexadecimalDigit) }
  case let lengths where lengths.count == 2:
    // A process number and a serial number.
    return parts[0].isEmpty && !lengths.contains(0)
      && words.allSatisfy { $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
  default: return false
  }
}

private func isHexadecimalDigit(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
}
