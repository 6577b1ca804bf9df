// The signals that ask a run to save itself and end: SIGUSR1, which mpirun forwards to every rank and
// batch systems can send before they preempt a job; SIGINT (Ctrl-C) and SIGTERM while rounds are
// played. mpirun answers Ctrl-C with SIGTERM to its ranks and kills them a second later. A second
// SIGINT or SIGTERM ends the process at once, as the first one does where there is nothing to save.

import Foundation
internal import Synchronization

private let isRequested = Atomic<Bool>(false)

/// A request from outside to stop.
package enum Interruption {
  /// Takes SIGUSR1 for such a request from now on.
  package static func listen() {
    signal(SIGUSR1) { _ in isRequested.store(true, ordering: .relaxed) }
  }

  /// Whether it has come.
  static var isPending: Bool { isRequested.load(ordering: .relaxed) }

  /// The runs that play rounds in this process.
  private static let playing = Mutex(0)
  private static let endings = [SIGINT, SIGTERM]

  /// Takes SIGINT and SIGTERM for such requests while `body` runs, where they would end the process.
  static func listeningToEndings<Result>(_ body: () throws -> Result) rethrows -> Result {
    playing.withLock { count in
      count += 1
      if count == 1 { for number in endings { replace(SIG_DFL, of: number, by: ask) } }
    }
    defer {
      playing.withLock { count in
        count -= 1
        if count == 0 { for number in endings { replace(ask, of: number, by: SIG_DFL) } }
      }
    }
    return try body()
  }

  private typealias Handler = @convention(c) (Int32) -> Void

  private static let ask: Handler = { number in
    isRequested.store(true, ordering: .relaxed)
    signal(number, SIG_DFL)
  }

  /// Replaces a handler where it is the expected one: a shell has its background jobs ignore SIGINT.
  private static func replace(_ expected: Handler?, of number: Int32, by handler: Handler?) {
    func address(_ handler: Handler?) -> Int { unsafeBitCast(handler, to: Int.self) }
    var found = sigaction()
    guard sigaction(number, nil, &found) == 0,
      address(found.__sigaction_handler.sa_handler) == address(expected)
    else { return }
    signal(number, handler)
  }
}
