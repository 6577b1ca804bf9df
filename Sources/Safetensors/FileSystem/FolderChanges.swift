// Making and removing what is in a folder, with the cause where that fails. Files themselves are
// written by `writeAtomically`.

import Glibc

/// Makes a folder and those above it where they are missing.
/// - Throws: `SafetensorsError` with errno, also where something else than a folder has the name.
public func makeFolders(_ path: String) throws {
  if try makeFolder(path) { return }
  guard let slash = path.dropLast().lastIndex(of: "/"), slash != path.startIndex else {
    throw systemError(path, ENOENT)
  }
  try makeFolders(String(path[..<slash]))
  guard try makeFolder(path) else { throw systemError(path, ENOENT) }
}

/// Makes one folder.
/// - Returns: False if the one above it is missing.
private func makeFolder(_ path: String) throws -> Bool {
  if uninterrupted({ mkdir(path, 0o755) }) == 0 { return true }
  let number = errno
  if number == ENOENT { return false }
  guard number == EEXIST, try fileKind(of: path) == .folder else { throw systemError(path, number) }
  return true
}

/// Removes a file, where it is there.
/// - Throws: `SafetensorsError` with errno.
public func removeIfThere(_ path: String) throws {
  guard uninterrupted({ unlink(path) }) == 0 || errno == ENOENT else { throw systemError(path) }
}

/// Removes what killed processes left of files that they were writing.
/// - Precondition: No other process writes in the folder: the caller has its lock.
/// - Throws: `SafetensorsError` with errno where the folder cannot be listed.
public func removeTemporaries(in folder: String) throws {
  for name in try namesIfThere(in: folder) ?? [] where isTemporaryName(name) {
    // It is in nobody's way: where it cannot be removed now, it stays for the next time.
    unlink(folder + "/" + name)
  }
}
