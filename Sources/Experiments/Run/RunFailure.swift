// Errors on their way out of the program: one line and an exit code (sysexits.h) each.

package import Communication
internal import Corpora
internal import Files
import Foundation
internal import Safetensors
internal import Transformers

/// How a run ended on this rank: what to print, and whether the other ranks know of it.
package struct RunFailure: ErrorWithExitCode, CustomStringConvertible {
  /// The lines for this rank to print; none where another rank prints the cause.
  package let lines: [String]
  /// The exit code of all ranks.
  package let exitCode: Int32
  /// Whether the others wait in a collective and have to be ended.
  package let needsAbort: Bool
  /// The lines.
  package var description: String { lines.joined(separator: "\n") }

  /// A failure that all ranks agreed on: the rank where it happened tells.
  init(agreed error: any Error, communicator: any Communicator) {
    exitCode = ExitCode.code(of: error)
    needsAbort = false
    switch error {
    case is RankFailure: lines = []
    case is CommunicationError where communicator.rank != 0: lines = []
    default: lines = Self.lines(error, communicator, always: false)
    }
  }

  /// The end of a run that was asked to stop, on all ranks; rank 0 has its directory and the command that
  /// goes on.
  init(stoppedAfter round: Int, of rounds: Int, in directory: String?, command: String?) {
    exitCode = ExitCode.stopped
    needsAbort = false
    lines =
      directory.map {
        [
          "stopped after \(round) of \(rounds) rounds, saved; go on with --resume --output \($0)"
            + (command.map { " (on any number of ranks): \($0)" } ?? "")
        ]
      } ?? []
  }

  /// A failure of this rank while the others go on.
  init(alone error: any Error, communicator: any Communicator) {
    exitCode = ExitCode.code(of: error)
    needsAbort = communicator.size > 1
    lines = error is RankFailure ? [] : Self.lines(error, communicator, always: true)
  }

  private static func lines(
    _ error: any Error, _ communicator: any Communicator, always: Bool
  ) -> [String] {
    let isPlain = communicator.size == 1 || (communicator.rank == 0 && !always)
    let place = isPlain ? "" : "rank \(communicator.rank) on \(communicator.hostName): "
    return "\(error)".split(separator: "\n").map { place + $0 }
  }

  /// Prints what is to be printed, and ends the other ranks where they cannot know.
  /// - Returns: The exit code, where this rank can end in good order.
  package func report(_ communicator: any Communicator) -> Int32 {
    for line in lines { writeToStandardError("cellm-mpi: \(line)\n") }
    if needsAbort { communicator.abort(exitCode: exitCode) }
    return exitCode
  }
}

extension Communicator {
  /// Runs `body` on every rank; if it throws on any, all throw a `RunFailure` with the same exit
  /// code, and the lowest rank where it threw has the lines.
  package func agreed<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try together {
        do { return try body() } catch {
          if error is any ErrorWithExitCode { throw error }
          throw CommandFailure(ExitCode.code(of: error), "\(error)")
        }
      }
    } catch {
      throw RunFailure(agreed: error, communicator: self)
    }
  }
}
