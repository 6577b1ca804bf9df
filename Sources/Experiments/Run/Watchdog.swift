// Ends a run of which a rank hangs, with a line that says which rank, on which host, with what. A thread on each rank looks
// at the rank's heartbeat. With a limit of T seconds:
//
//   * a rank that works and gets nothing done for T ends the job itself;
//   * a rank says in a file of the run directory that it is alive (.watch/rank-R.json); where the file of rank R + 1 stays as
//     it is for 2 T, rank R ends the job: that process is stopped, or its host is gone;
//   * where all ranks wait for each other and nothing moves for 2 T, rank 0 ends the job.
//
// Waiting alone ends nothing: others may have much to do. Time passes only while the watching thread runs, so that a job
// that was suspended as a whole does not count as hanging. Nothing counts while a debugger is attached to the process.
// Ranks end by _exit: MPI allows calls from the main thread alone, and the launcher ends the others.

internal import Communication
package import Files
internal import Foundation
internal import RunFiles
internal import Synchronization

/// What a rank says of itself, for the others.
package struct Pulse: Codable, Sendable, Equatable {
  /// The rank.
  package var rank: Int
  /// Its host.
  package var host: String
  /// Its process on that host.
  package var process: Int32
  /// How often its thread has looked.
  package var looks: Int
  /// The heartbeat's count.
  package var count: Int
  /// The piece of work.
  package var doing: String
  /// The collective in which it waits for others; nil while it works.
  package var waitingIn: String?
  /// Whether a debugger is attached.
  package var isTraced: Bool
  /// Whether it has left the run.
  package var hasLeft: Bool

  /// What a rank says of itself.
  package init(
    rank: Int, host: String, process: Int32, looks: Int, count: Int, doing: String,
    waitingIn: String?, isTraced: Bool, hasLeft: Bool = false
  ) {
    (self.rank, self.host, self.process) = (rank, host, process)
    (self.looks, self.count) = (looks, count)
    (self.doing, self.waitingIn) = (doing, waitingIn)
    (self.isTraced, self.hasLeft) = (isTraced, hasLeft)
  }
}

/// When is somebody hanging? Without clocks, files and threads.
package struct WatchRules: Sendable {
  /// T, in seconds.
  package let limit: Double
  /// The rank that looks.
  package let rank: Int
  /// Its host.
  package let host: String
  /// The number of ranks.
  package let size: Int
  private var own = Stillness<Int>()
  private var next = Stillness<Int>()
  /// All ranks' counts when all of them waited, and since when.
  private var standstill: (pulses: [Pulse], seconds: Double)?

  /// Rules for a rank that has not looked yet.
  package init(limit: Double, rank: Int, host: String, size: Int) {
    (self.limit, self.rank, self.host, self.size) = (limit, rank, host, size)
  }

  /// What is wrong, `elapsed` seconds after the last look; nil while nothing is.
  ///
  /// - Parameters:
  ///   - pulse: This rank's.
  ///   - read: The pulse of a rank; nil where there is none.
  ///   - status: A process of this host.
  package mutating func look(
    _ pulse: Pulse, elapsed: Double, read: (Int) -> Pulse?,
    status: (Int32) -> ProcessStatus?
  ) -> String? {
    guard !pulse.isTraced else {
      (own, next, standstill) = (Stillness(), Stillness(), nil)
      return nil
    }
    let still = own.seconds(pulse.count, elapsed)
    guard let collective = pulse.waitingIn else {
      standstill = nil
      if still >= limit {
        return place(rank, host) + "nothing got done for \(durationText(still)) while "
          + pulse.doing
      }
      return neighbour(pulse, elapsed, read, status)
    }
    return neighbour(pulse, elapsed, read, status)
      ?? everybody(pulse, collective, still, read)
  }

  /// Whether the next rank is alive.
  private mutating func neighbour(
    _ pulse: Pulse, _ elapsed: Double, _ read: (Int) -> Pulse?,
    _ status: (Int32) -> ProcessStatus?
  ) -> String? {
    guard size > 1, let other = read((rank + 1) % size), !other.hasLeft, !other.isTraced else {
      next = Stillness()
      return nil
    }
    let silence = next.seconds(other.looks, elapsed)
    guard silence >= 2 * limit else { return nil }
    let found = other.host == host ? status(other.process) : nil
    if found?.isTraced == true { return nil }
    let state = found.map { ", process \(other.process) is in state \($0.state)" } ?? ""
    let own = pulse.waitingIn.map { "rank \(rank) waits in \($0)" } ?? "rank \(rank) found it"
    return place(other.rank, other.host)
      + "no sign of life for \(durationText(silence))\(state); it was "
      + (other.waitingIn.map { "waiting in \($0) after " } ?? "") + "\(other.doing); \(own)"
  }

  /// Whether all ranks wait for each other; rank 0 asks, when it has waited for T.
  private mutating func everybody(
    _ pulse: Pulse, _ collective: String, _ still: Double, _ read: (Int) -> Pulse?
  ) -> String? {
    guard rank == 0, size > 1, still >= limit else {
      standstill = nil
      return nil
    }
    var pulses: [Pulse] = []
    for other in 1..<size {
      // Whoever works will end this; whoever is not seen may.
      guard let found = read(other), found.waitingIn != nil, !found.hasLeft, !found.isTraced else {
        standstill = nil
        return nil
      }
      pulses.append(found)
    }
    guard let before = standstill, before.pulses.map(\.count) == pulses.map(\.count) else {
      standstill = (pulses, still)
      return nil
    }
    let areAlive = zip(before.pulses, pulses).allSatisfy { $0.looks < $1.looks }
    guard still - before.seconds >= limit, areAlive else { return nil }
    let others = pulses.map { "rank \($0.rank) on \($0.host) in \($0.waitingIn ?? "")" }
    let shown = others.prefix(8).joined(separator: ", ") + (others.count > 8 ? ", ..." : "")
    return "all ranks wait for each other and nothing moved for \(durationText(still)): rank 0 on "
      + "\(host) in \(collective) after \(pulse.doing), \(shown)"
  }

  private func place(_ rank: Int, _ host: String) -> String { "rank \(rank) on \(host): " }
}

/// For how long a value has not changed.
private struct Stillness<Value: Equatable & Sendable>: Sendable {
  private var last: Value?
  private var total = 0.0

  mutating func seconds(_ value: Value, _ elapsed: Double) -> Double {
    total = value == last ? total + elapsed : 0
    last = value
    return total
  }
}

/// The watching thread of one rank.
final class Watchdog: Sendable {
  private struct Place {
    var directory: String?
    /// The time of this start, as the manifest there says it.
    var start = ""
    var hasStopped = false
  }
  private let place = Mutex(Place())
  private let wake = DispatchSemaphore(value: 0)
  private let done = DispatchSemaphore(value: 0)
  private let heartbeat: Heartbeat
  private let rules: WatchRules
  private let label: String

  /// Watches from now on.
  ///
  /// - Parameters:
  ///   - limit: T in seconds; nil is returned for 0.
  ///   - label: Stands before the message, as before all others of the run.
  init?(
    limit: Double, heartbeat: Heartbeat, communicator: any Communicator, label: String?
  ) {
    guard limit > 0 else { return nil }
    self.heartbeat = heartbeat
    self.label = label.map { $0 + ": " } ?? ""
    rules = WatchRules(
      limit: limit, rank: communicator.rank, host: communicator.hostName, size: communicator.size)
    let thread = Thread { [self] in watch() }
    thread.name = "watchdog"
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Says in files of the run directory that this rank is alive, and looks at those of others.
  func use(directory: String, start: String) {
    place.withLock { ($0.directory, $0.start) = (directory, start) }
    wake.signal()
  }

  /// Ends the watching; the others learn that this rank has left.
  func stop() {
    place.withLock { $0.hasStopped = true }
    wake.signal()
    _ = done.wait(timeout: .now() + 5)
  }

  private func watch() {
    var rules = rules
    let interval = min(max(rules.limit / 8, 0.05), 30)
    var file: PulseFile?
    var looks = 0
    var last = ContinuousClock.now
    while true {
      _ = wake.wait(timeout: .now() + interval)
      let now = ContinuousClock.now
      // Where this thread was stopped too, nobody hung.
      let elapsed = min((now - last) / .seconds(1), 2 * interval)
      last = now
      let place = place.withLock { $0 }
      if file == nil, let directory = place.directory {
        file = PulseFile(directory: directory, rank: rules.rank)
      }
      looks += 1
      let sign = heartbeat.sign
      let pulse = Pulse(
        rank: rules.rank, host: rules.host, process: getpid(), looks: looks, count: sign.count,
        doing: sign.doing, waitingIn: sign.waitingIn,
        isTraced: ProcessStatus()?.isTraced ?? false, hasLeft: place.hasStopped)
      file?.write(pulse)
      if place.hasStopped { break }
      let problem = rules.look(
        pulse, elapsed: elapsed, read: { file?.read($0) },
        status: { ProcessStatus(process: "\($0)") })
      if let problem { end(problem, place.directory, start: place.start) }
    }
    done.signal()
  }

  /// Says what is wrong and ends the program, and with it the job.
  private func end(_ problem: String, _ directory: String?, start: String) -> Never {
    writeToStandardError(
      "cellm-mpi: \(label)\(problem); the watchdog ends the run (watchdog.minutes)\n")
    // A disk that hangs must not keep the job.
    let written = DispatchSemaphore(value: 0)
    Thread {
      if let directory { Manifest.markFailed(in: directory, start: start, problem) }
      written.signal()
    }.start()
    _ = written.wait(timeout: .now() + 5)
    _exit(ExitCode.hung)
  }
}

/// Where a rank says that it is alive. What cannot be written or read is not watched.
private struct PulseFile {
  private let folder: String
  private let descriptor: Int32

  init?(directory: String, rank: Int) {
    folder = directory + "/.watch"
    mkdir(folder, 0o755)
    descriptor = open(Self.path(folder, rank), O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
    if descriptor < 0 { return nil }
  }

  private static func path(_ folder: String, _ rank: Int) -> String {
    "\(folder)/rank-\(rank).json"
  }

  func write(_ pulse: Pulse) {
    guard let data = try? JSONEncoder().encode(pulse) else { return }
    // In one piece over what was there, so that a reader finds no part of it.
    let text = Array(data) + Array(repeating: UInt8(ascii: " "), count: max(0, 1023 - data.count))
    _ = pwrite(descriptor, text + [UInt8(ascii: "\n")], text.count + 1, 0)
    if pulse.hasLeft {
      close(descriptor)
      unlink(Self.path(folder, pulse.rank))
      rmdir(folder)
    }
  }

  func read(_ rank: Int) -> Pulse? {
    // Opened anew each time: a shared file system then asks its server.
    FileManager.default.contents(atPath: Self.path(folder, rank))
      .flatMap { try? JSONDecoder().decode(Pulse.self, from: $0) }
  }
}
