// The lock of a run directory: one process at a time reads its checkpoints, decides by them and
// writes. The file .lock says who has it. A start waits for a holder that is ending: after a kill of
// mpirun its ranks live on for a second.

internal import Files
import Foundation

/// The process that has a lock, as the file says it.
package struct LockHolder: Codable, Equatable {
  package var host: String
  package var process: Int32
  /// When it took the lock.
  package var start: String

  /// Whether it is a process that lives on `host`, which is this one.
  func isAlive(on host: String) -> Bool {
    self.host == host && (kill(process, 0) == 0 || errno == EPERM)
  }
}

/// The lock of a run directory, held until the object or the process ends.
package final class RunLock {
  /// The file in the directory.
  package static let name = ".lock"
  private let file: LockFile

  private init(_ file: LockFile) { self.file = file }

  /// Takes the lock of a directory, which is waited for where another process has it.
  ///
  /// - Parameters:
  ///   - patience: Seconds.
  ///   - say: Called once where it has to be waited for.
  ///   - onWait: Called every 0.1 s meanwhile.
  /// - Throws: `CommandFailure`: 64 where a living process of this host has it, 75 where that may be a
  ///   process that is gone or about to end, 74 where the file system fails.
  package static func take(
    _ directory: String, host: String, patience: Double = 10, say: (String) -> Void,
    onWait: () -> Void = {}
  ) throws -> RunLock {
    let file = try LockFile(directory + "/" + name)
    let start = ContinuousClock.now
    var isSaid = false
    while try !file.lock() {
      let found = holder(file)
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
    try? file.write(String(decoding: text, as: UTF8.self) + "\n")
    return RunLock(file)
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

  /// The holder as the file says it; nil where it does not, which costs nothing but words.
  private static func holder(_ file: LockFile) -> LockHolder? {
    (try? file.content()).flatMap {
      try? JSONDecoder().decode(LockHolder.self, from: Data($0.utf8))
    }
  }
}
