// System calls that a signal may interrupt. SIGUSR1 asks a run to save itself, and a file system
// over a network may answer EINTR to any call then: such a call is made again.

import Glibc

/// The result of `call`, which is made again as long as a signal interrupts it (-1 with EINTR).
public func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}
