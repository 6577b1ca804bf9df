// The lock of a run directory: one process at a time reads its checkpoints, decides by them and
// writes. The file .lock says who has it. A start waits for a holder that is ending: after a kill of
// mpirun its ranks live on for a second.

import Foundation
internal import Safetensors

/// The process that has a lock, as the file says it.
struct LockHolder: Codable, Equatable {
  var host: String
  var process: Int32
  /// When it took the lock.
  var start: String

  /// Whether it is a process that lives on `host`, which is this one.
  func isAlive(on host: String) -> Bool {
    self.host == host && (kill(process, 0) == 0 || errno == EPERM)
  }
}

/// The lock of a run directory, held until the object or the process ends.
final class RunLock {
  /// The file in the directory.
  static let name = ".lock"
  private let descriptor: Int32

  private init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Takes the lock of a directory, which is waited for where another process has it.
  ///
  /// - Parameters:
  ///   - patience: Seconds.
  ///   - say: Called once where it has to be waited for.
  ///   - onWait: Called every 0.1 s meanwhile.
  /// - Throws: `CommandFailure`: 64 where a living process of this host has it, 75 where that may be a
  ///   process that is gone or about to end, 74 where the file system fails.
  static func take(
    _ directory: String, host: String, patience: Double = 10, say: (String) -> Void,
    onWait: () -> Void = {}
  ) throws -> RunLock {
    let path = directory + "/" + name
    // Readable and writable: over NFS an exclusive lock wants both.
    let descriptor = uninterrupted { open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644) }
    guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
    let lock = RunLock(descriptor)
    let start = ContinuousClock.now
    var isSaid = false
    while try !lock.isTaken(path) {
      let found = holder(descriptor)
      let who = found.map { "process \($0.process) on \($0.host), since \($0.start)" }
      if !isSaid {
        say(
          "\(directory) is locked by " + (who ?? "another process")
            + "; waiting up to \(Int(patience)) s for its end")
        isSaid = true
      }
      guard (ContinuousClock.now - start) / .seconds(1) < patience else {
        throw refusal(directory, found, who, host)
      }
      onWait()
      usleep(100_000)
    }
    // A courtesy to those who find it locked: where it cannot be written, they read less.
    let text = try JSONEncoder().encode(
      LockHolder(host: host, process: getpid(), start: timeText(Date())))
    if ftruncate(descriptor, 0) == 0 {
      _ = Array(text + Data("\n".utf8)).withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, 0)
      }
    }
    return lock
  }

  private static func refusal(
    _ directory: String, _ found: LockHolder?, _ who: String?, _ host: String
  ) -> CommandFailure {
    let what = "\(directory): another process runs in it" + (who.map { ": \($0)" } ?? "")
    if found?.isAlive(on: host) == true {
      return CommandFailure(ExitCode.usage, what + "; wait for its end, or give another --output")
    }
    return CommandFailure(
      ExitCode.stopped, what + "; it is not seen from here, so try the same command again later")
  }

  private func isTaken(_ path: String) throws -> Bool {
    if uninterrupted({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 { return true }
    if errno == EWOULDBLOCK { return false }
    throw CommandFailure.system(path, errno)
  }

  private static func holder(_ descriptor: Int32) -> LockHolder? {
    var buffer = [UInt8](repeating: 0, count: 1024)
    let count = uninterrupted { pread(descriptor, &buffer, buffer.count, 0) }
    guard count > 0 else { return nil }
    return try? JSONDecoder().decode(LockHolder.self, from: Data(buffer[..<count]))
  }
}
