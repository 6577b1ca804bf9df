// The signal that asks a run to save itself and end: SIGUSR1, which mpirun forwards to every rank and
// batch systems can send before they preempt a job.

import Foundation
internal import Synchronization

private let isRequested = Atomic<Bool>(false)

/// A request from outside to stop.
public enum Interruption {
  /// Takes SIGUSR1 for such a request from now on.
  public static func listen() {
    signal(SIGUSR1) { _ in isRequested.store(true, ordering: .relaxed) }
  }

  /// Whether it has come.
  static var isPending: Bool { isRequested.load(ordering: .relaxed) }
}
