// The signals that ask a run to save itself and end: SIGUSR1, which mpirun forwards to every rank
// and batch systems can send before they preempt a job; SIGINT (Ctrl-C) and SIGTERM while rounds
// are played. mpirun answers Ctrl-C with SIGTERM to its ranks and kills them a second later. A
// second SIGINT or SIGTERM ends the process at once, as the first one does where there is nothing
// to save.

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

  /// The runs that play rounds in this process, and what their signals did before.
  private struct Playing {
    var count = 0
    var before: [(number: Int32, action: sigaction)] = []
  }

  private static let playing = Mutex(Playing())

  /// Takes SIGINT and SIGTERM for such requests while `body` runs, unless they are ignored: a
  /// shell has its background jobs ignore SIGINT. Handlers of libraries are replaced (LLVM, in
  /// drivers of OpenCL that MPI loads, too, has one that ends the process).
  static func listeningToEndings<Result>(_ body: () throws -> Result) rethrows -> Result {
    playing.withLock { playing in
      playing.count += 1
      guard playing.count == 1 else { return }
      // A driver that was opened since may have taken SIGUSR1.
      listen()
      playing.before = [SIGINT, SIGTERM].compactMap { number in
        guard let action = action(of: number), !isHandler(SIG_IGN, of: action) else { return nil }
        signal(number, ask)
        return (number, action)
      }
    }
    defer {
      playing.withLock { playing in
        playing.count -= 1
        if playing.count == 0 {
          for (number, before) in playing.before { restore(before, of: number) }
          playing.before = []
        }
      }
    }
    return try body()
  }

  private typealias Handler = @convention(c) (Int32) -> Void

  private static let ask: Handler = { number in
    isRequested.store(true, ordering: .relaxed)
    signal(number, SIG_DFL)
  }

  private static func action(of number: Int32) -> sigaction? {
    var found = sigaction()
    return sigaction(number, nil, &found) == 0 ? found : nil
  }

  private static func isHandler(_ handler: Handler?, of action: sigaction) -> Bool {
    func address(_ handler: Handler?) -> Int { unsafeBitCast(handler, to: Int.self) }
    return address(action.__sigaction_handler.sa_handler) == address(handler)
  }

  /// Gives a signal what it did before, unless it has come: then the next one ends the process.
  private static func restore(_ before: sigaction, of number: Int32) {
    guard let now = action(of: number), isHandler(ask, of: now) else { return }
    var before = before
    sigaction(number, &before, nil)
  }
}
