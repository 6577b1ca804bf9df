// A whole file mapped read-only. Ranks on one node that map the same file share its pages.

import Glibc

/// Owns the mapping; `bytes` is valid while the object lives.
///
/// A file that another process cuts short while it is mapped ends this process with SIGBUS, as with
/// any mapping; files written by `SafetensorsWriter` are replaced by renaming and never change in
/// place.
final class MappedFile: Sendable {
  nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

  init(path: String) throws {
    // O_NONBLOCK: a named pipe must not block before it can be refused.
    let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw systemError("cannot open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw systemError("cannot examine", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw SafetensorsError(path: path, reason: "not a regular file")
    }
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    #if SANITIZED
      // Tests/Sanitizers: a copy on the heap, because the address sanitizer does not see the end of
      // a mapping.
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: status.st_size, alignment: 16)
      guard read(descriptor, copy.baseAddress, copy.count) == copy.count else {
        throw systemError("cannot read", path)
      }
      bytes = UnsafeRawBufferPointer(copy)
    #else
      let size = Int(status.st_size)
      var base = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
      while base == MAP_FAILED, errno == EINTR {
        base = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
      }
      guard let base, base != MAP_FAILED else { throw systemError("cannot map", path) }
      bytes = UnsafeRawBufferPointer(start: base, count: status.st_size)
    #endif
  }

  deinit {
    #if SANITIZED
      bytes.deallocate()
    #else
      if let base = bytes.baseAddress {
        munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
      }
    #endif
  }
}

/// The error of the system call that has just failed, with errno's text.
func systemError(_ action: String, _ path: String, _ number: Int32 = errno) -> SafetensorsError {
  SafetensorsError(
    path: path, reason: "\(action): \(String(cString: strerror(number)))", errorNumber: number)
}

/// The error of a system call on a path, with errno's text alone.
func systemError(_ path: String, _ number: Int32 = errno) -> SafetensorsError {
  SafetensorsError(path: path, reason: String(cString: strerror(number)), errorNumber: number)
}
