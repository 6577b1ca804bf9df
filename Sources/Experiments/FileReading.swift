// Reading files and folders of a run so that no failure passes for "there is nothing": a file that
// is missing and a file that cannot be read are two things, and a folder is listed to its end or
// not at all. Reads that a signal interrupts go on.

import Foundation
internal import Safetensors

/// Whether a file or folder is there.
/// - Throws: `CommandFailure` (74) where the file system does not tell.
func isThere(_ path: String) throws -> Bool { try fileKind(of: path) != nil }

/// S_IFDIR, S_IFREG or another kind of file; nil where there is none.
/// - Throws: `CommandFailure` (74) where the file system does not tell.
func fileKind(of path: String) throws -> mode_t? {
  var found = stat()
  if uninterrupted({ stat(path, &found) }) == 0 { return found.st_mode & S_IFMT }
  if errno == ENOENT || errno == ENOTDIR { return nil }
  throw CommandFailure.system(path, errno)
}

/// The content of a file; nil if there is none of that name.
/// - Parameter limit: The most bytes; what comes after them is not read.
/// - Throws: `CommandFailure`: 74 if it cannot be read, 64 if it has more than `limit` bytes.
func contentsIfThere(of path: String, atMost limit: Int = .max) throws -> [UInt8]? {
  let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
  if descriptor < 0, errno == ENOENT || errno == ENOTDIR { return nil }
  guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = uninterrupted { read(descriptor, &piece, piece.count) }
    guard count >= 0 else { throw CommandFailure.system(path, errno) }
    if count == 0 { return bytes }
    bytes += piece[..<count]
    guard bytes.count <= limit else {
      throw CommandFailure(ExitCode.usage, "\(path) has more than \(limit >> 10) KiB")
    }
  }
}

/// Reads a file to its end for nothing but to see that it can be read: a page of a mapping that
/// cannot be read would end the process.
/// - Returns: Its length in bytes.
/// - Throws: `CommandFailure` (74) where it cannot be read.
@discardableResult
func readThrough(_ path: String, each: (UnsafeRawBufferPointer) -> Void = { _ in }) throws -> Int {
  let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
  guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
  defer { close(descriptor) }
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  var total = 0
  while true {
    let count = uninterrupted { read(descriptor, &buffer, buffer.count) }
    guard count >= 0 else { throw CommandFailure.system(path, errno) }
    if count == 0 { return total }
    buffer.withUnsafeBytes { each(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    total += count
  }
}

/// The names of a folder's files and folders, sorted; nil where there is no such folder.
/// - Throws: `CommandFailure` (74) where it cannot be listed to its end.
func namesIfThere(in folder: String) throws -> [String]? {
  var stream = opendir(folder)
  while stream == nil, errno == EINTR { stream = opendir(folder) }
  guard let stream else {
    if errno == ENOENT { return nil }
    throw CommandFailure.system(folder, errno)
  }
  defer { closedir(stream) }
  var names: [String] = []
  while true {
    errno = 0
    guard let entry = readdir(stream) else {
      if errno == EINTR { continue }
      guard errno == 0 else { throw CommandFailure.system(folder, errno) }
      return names.sorted()
    }
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
}

/// Makes a folder and those above it where they are missing.
/// - Throws: `CommandFailure` (74).
func makeFolders(_ path: String) throws {
  if uninterrupted({ mkdir(path, 0o755) }) == 0 || errno == EEXIST { return }
  let number = errno
  guard number == ENOENT, let slash = path.dropLast().lastIndex(of: "/"), slash != path.startIndex
  else { throw CommandFailure.system(path, number) }
  try makeFolders(String(path[..<slash]))
  guard uninterrupted({ mkdir(path, 0o755) }) == 0 || errno == EEXIST else {
    throw CommandFailure.system(path, errno)
  }
}

/// Removes what killed processes left of files that they were writing.
/// - Precondition: No process writes in the folder: the caller has the lock of the run.
func removeTemporaries(in folder: String) throws {
  for name in try namesIfThere(in: folder) ?? [] where isTemporaryName(name) {
    unlink(folder + "/" + name)
  }
}
