// Memory that all ranks of a node see: written once and then read-only, for the frozen base weights, once per node
// however many ranks run there; or words to which all ranks of a node add, for the sum of its clients' uploads.
//
// This is a POSIX shared mapping and not MPI_Win_allocate_shared, for three reasons. Open MPI 4.1 leaves all
// ranks but one waiting for ever if /dev/shm is too small; here that is noticed before anything is mapped, and
// every rank falls back to its own copy. Freeing a window is collective; a mapping is freed by each rank when
// it likes. And a mapping can be made read-only, so that a stray write traps at once.

import Foundation

/// Memory filled once and read by all ranks of a node; freed on this rank with the object.
public final class NodeSharedMemory: @unchecked Sendable {
  /// The content, read-only, aligned to a page; valid while the object lives.
  public let bytes: UnsafeRawBufferPointer
  /// Whether the node's ranks see the same memory; false if there is one rank, or sharing failed.
  public let isShared: Bool
  /// Why every rank of the node has its own copy although it has several ranks; nil if that is not so.
  public let warning: String?
  private let mapping: Mapping

  fileprivate init(_ mapping: Mapping, isShared: Bool, warning: String?) {
    mapping.makeReadOnly()
    self.mapping = mapping
    self.isShared = isShared
    self.warning = warning
    bytes = UnsafeRawBufferPointer(mapping.bytes)
  }
}

/// Words to which all ranks of a node add (`FixedPointScale.addAtomically`); zeros at first.
///
/// Freed on this rank with the object.
public final class NodeSharedWords: @unchecked Sendable {
  /// The words, valid while the object lives.
  public let words: UnsafeMutableBufferPointer<Int64>
  /// Whether each rank of this node has words of its own: it is alone there, or sharing failed.
  public let isPrivate: Bool
  /// Why the ranks of a node that has several do not share; nil where they do.
  public let warning: String?
  private let mapping: Mapping

  fileprivate init(_ mapping: Mapping, isShared: Bool, warning: String?) {
    self.mapping = mapping
    self.warning = warning
    isPrivate = !isShared
    words = mapping.bytes.bindMemory(to: Int64.self)
  }

  /// Makes all words zero again.
  public func clear() { words.update(repeating: 0) }
}

extension Communicator {
  /// `count` words that the ranks of each node share; their own, each rank, where they cannot.
  ///
  /// - Communication: As `nodeShared`.
  public func nodeSharedWords(count: Int, directory: String = "/dev/shm") throws
    -> NodeSharedWords
  {
    try mapShared(byteCount: 8 * count, directory: directory, fill: { _ in }) {
      NodeSharedWords($0, isShared: $1, warning: $2)
    }
  }

  /// Memory that is filled by one rank of each node and that all ranks of the node then read.
  ///
  /// If the ranks of a node cannot share memory (`directory` is too small, say), each of them has and fills its
  /// own copy, and `warning` says why. If `fill` throws anywhere, every rank throws, as in `together`.
  /// The memory has no name once this returns: nothing stays behind, however the program ends.
  ///
  /// - Parameters:
  ///   - byteCount: The size, the same on all ranks of a node.
  ///   - directory: A memory file system that the node's ranks share.
  ///   - fill: Called with the zeroed memory on the node's leader (or, without sharing, on every rank); it may
  ///     not call collectives.
  /// - Communication: Two all-gathers of a short text a rank and a reduction of 8 bytes.
  public func nodeShared(
    byteCount: Int, directory: String = "/dev/shm",
    fill: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws -> NodeSharedMemory {
    try mapShared(byteCount: byteCount, directory: directory, fill: fill) {
      NodeSharedMemory($0, isShared: $1, warning: $2)
    }
  }

  /// Maps memory on all ranks and has it filled; `make` turns it into what the caller keeps.
  private func mapShared<Memory>(
    byteCount: Int, directory: String, fill: (UnsafeMutableRawBufferPointer) throws -> Void,
    make: (_ mapping: Mapping, _ isShared: Bool, _ warning: String?) -> Memory
  ) throws -> Memory {
    precondition(byteCount >= 0, "\(byteCount) bytes of memory")
    var attempt = SharedAttempt()
    if node.size > 1 && byteCount > 0 && node.rank == 0 {
      attempt = SharedAttempt.create(byteCount: byteCount, directory: directory)
    }
    // Every rank learns its leader's file, then the leader learns whether all could map it.
    let offers = try allGather(attempt)
    let offer = offers[node.leader]
    var mapping = attempt.mapping
    var problem = offer.problem
    if node.rank > 0, let path = offer.path {
      (mapping, problem) = SharedAttempt.open(path: path, byteCount: byteCount)
    }
    let problems = try allGather(NodeProblem(leader: node.leader, text: problem))
    if let path = attempt.path { unlink(path) }
    let warning = problems.first { $0.leader == node.leader && $0.text != nil }?.text

    let isShared = offer.path != nil && warning == nil
    return try together {
      let memory =
        isShared ? mapping! : try Mapping.anonymous(byteCount: byteCount)
      if !isShared || node.rank == 0 { try fill(memory.bytes) }
      return make(memory, isShared, warning)
    }
  }
}

/// What a rank tells the others about its attempt to map the node's memory.
private struct NodeProblem: Codable {
  var leader: Int
  var text: String?
}

/// A leader's attempt to create the memory of its node; `path` is nil if it made none.
private struct SharedAttempt: Codable {
  var path: String?
  var problem: String?
  var mapping: Mapping?

  enum CodingKeys: CodingKey { case path, problem }

  /// A new file in memory, allocated in full: a file that is merely long enough would let a later write fail
  /// with SIGBUS where the file system is full.
  static func create(byteCount: Int, directory: String) -> SharedAttempt {
    let name = "cellm-mpi.\(getpid()).\(UInt64.random(in: .min ... .max))"
    let path = directory + "/" + name
    let file = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else { return failed("cannot create \(path)", errno) }
    defer { close(file) }
    var code = posix_fallocate(file, 0, byteCount)
    while code == EINTR { code = posix_fallocate(file, 0, byteCount) }
    guard code == 0 else {
      unlink(path)
      return failed("cannot allocate \(byteCount) bytes in \(directory)", code)
    }
    guard let mapping = Mapping(byteCount: byteCount, file: file) else {
      let code = errno
      unlink(path)
      return failed("cannot map \(path)", code)
    }
    return SharedAttempt(path: path, problem: nil, mapping: mapping)
  }

  /// The leader's file, mapped; or why it could not be.
  static func open(path: String, byteCount: Int) -> (Mapping?, String?) {
    let file = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { return (nil, text("cannot open \(path)", errno)) }
    defer { close(file) }
    guard let mapping = Mapping(byteCount: byteCount, file: file) else {
      return (nil, text("cannot map \(path)", errno))
    }
    return (mapping, nil)
  }

  private static func failed(_ what: String, _ code: Int32) -> SharedAttempt {
    SharedAttempt(path: nil, problem: text(what, code))
  }

  private static func text(_ what: String, _ code: Int32) -> String {
    what + ": " + String(cString: strerror(code))
  }
}

/// Mapped memory, unmapped with the object.
private final class Mapping {
  let bytes: UnsafeMutableRawBufferPointer

  /// A mapping of a file, or of memory of its own if nil; nil, and `errno`, if there is none to be had.
  init?(byteCount: Int, file: Int32?) {
    guard byteCount > 0 else {
      bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      return
    }
    let flags = file == nil ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED
    let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, file ?? -1, 0)
    guard let address, address != MAP_FAILED else { return nil }
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }

  static func anonymous(byteCount: Int) throws -> Mapping {
    guard let mapping = Mapping(byteCount: byteCount, file: nil) else {
      throw OutOfMemory(byteCount: byteCount, reason: String(cString: strerror(errno)))
    }
    return mapping
  }

  func makeReadOnly() {
    guard let address = bytes.baseAddress else { return }
    mprotect(address, bytes.count, PROT_READ)
  }

  deinit {
    if let address = bytes.baseAddress { munmap(address, bytes.count) }
  }
}

/// The system has no memory for a mapping.
private struct OutOfMemory: ErrorWithExitCode, CustomStringConvertible {
  let byteCount: Int
  let reason: String
  var exitCode: Int32 { 70 }
  var description: String { "cannot allocate \(byteCount) bytes: \(reason)" }
}
