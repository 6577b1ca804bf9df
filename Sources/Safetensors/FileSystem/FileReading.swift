// Looking at files and folders so that no failure passes for "there is nothing": a file that is
// missing and a file that cannot be read are two things, and a folder is listed to its end or not at
// all. Foundation's functions throw the cause away, and end a listing at an error. Reads that a
// signal interrupts go on.

import Glibc

/// The kind of something that has a path; symbolic links are followed.
public enum FileKind: Sendable {
  case file, folder, other
}

/// The kind of what is at a path; nil where nothing is.
/// - Throws: `SafetensorsError` with errno where the file system does not tell.
public func fileKind(of path: String) throws -> FileKind? {
  var found = stat()
  if uninterrupted({ stat(path, &found) }) != 0 {
    if errno == ENOENT || errno == ENOTDIR { return nil }
    throw systemError(path)
  }
  switch found.st_mode & S_IFMT {
  case S_IFREG: return .file
  case S_IFDIR: return .folder
  default: return .other
  }
}

/// True if a file or folder is there.
/// - Throws: `SafetensorsError` with errno where the file system does not tell.
public func isThere(_ path: String) throws -> Bool { try fileKind(of: path) != nil }

/// The content of a file; nil where there is none of that name.
/// - Parameter limit: The most bytes.
/// - Throws: `SafetensorsError`: with errno where it cannot be read, without where it has more than
///   `limit` bytes, of which the rest is not read.
public func contentsIfThere(of path: String, atMost limit: Int = .max) throws -> [UInt8]? {
  let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
  if descriptor < 0, errno == ENOENT || errno == ENOTDIR { return nil }
  guard descriptor >= 0 else { throw systemError(path) }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = uninterrupted { read(descriptor, &piece, piece.count) }
    guard count >= 0 else { throw systemError(path) }
    if count == 0 { return bytes }
    bytes += piece[..<count]
    guard bytes.count <= limit else {
      throw SafetensorsError(path: path, reason: "has more than \(limit >> 10) KiB")
    }
  }
}

/// Reads a file to its end for nothing but to see that it can be read: a page of a mapping that
/// cannot be read would end the process.
/// - Parameter each: Gets the bytes, piece by piece.
/// - Returns: Its length in bytes.
/// - Throws: `SafetensorsError` with errno where it cannot be read.
@discardableResult
public func readThrough(
  _ path: String, each: (UnsafeRawBufferPointer) -> Void = { _ in }
) throws -> Int {
  let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
  guard descriptor >= 0 else { throw systemError(path) }
  defer { close(descriptor) }
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  var total = 0
  while true {
    let count = uninterrupted { read(descriptor, &buffer, buffer.count) }
    guard count >= 0 else { throw systemError(path) }
    if count == 0 { return total }
    buffer.withUnsafeBytes { each(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    total += count
  }
}

/// The names of a folder's files and folders, sorted; nil where there is no such folder.
/// - Throws: `SafetensorsError` with errno where it cannot be listed to its end.
public func namesIfThere(in folder: String) throws -> [String]? {
  var stream = opendir(folder)
  while stream == nil, errno == EINTR { stream = opendir(folder) }
  guard let stream else {
    if errno == ENOENT || errno == ENOTDIR { return nil }
    throw systemError(folder)
  }
  defer { closedir(stream) }
  var names: [String] = []
  while true {
    errno = 0
    guard let entry = readdir(stream) else {
      if errno == EINTR { continue }
      guard errno == 0 else { throw systemError(folder) }
      return names.sorted()
    }
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
}
