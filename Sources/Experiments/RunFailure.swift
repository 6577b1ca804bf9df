// Errors on their way out of the program: one line and an exit code (sysexits.h) each.

public import Communication
internal import Corpora
import Foundation
internal import Safetensors
internal import Transformers

/// The exit codes of the program.
public enum ExitCode {
  /// The command line or the experiment file makes no sense.
  public static let usage: Int32 = 64
  /// A model, corpus or adapter is malformed or does not fit, or training diverged.
  public static let data: Int32 = 65
  /// An input file does not exist.
  public static let missingInput: Int32 = 66
  /// The program's own fault.
  public static let software: Int32 = 70
  /// Reading or writing failed: disk full, no permission.
  public static let inputOutput: Int32 = 74
  /// The same command with `--resume` goes on later: the run was asked to stop and has saved itself, or its
  /// directory is locked by a process of which nothing is known here.
  public static let stopped: Int32 = 75
  /// The watchdog ended a run of which a rank hung.
  public static let hung: Int32 = 76

  /// The exit codes as the help shows them.
  public static let help = """
    Exit codes: 0 done; 64 usage or experiment file; 65 malformed or unfit data, or training that \
    diverged; 66 missing input; 70 a fault of the program; 74 reading or writing failed (disk \
    full); 75 stopped by SIGUSR1, Ctrl-C or SIGTERM and saved, or another process is in the run's \
    directory: go on with --resume; 76 a rank hung (watchdog.minutes).
    """

  /// The exit code of an error.
  public static func code(of error: any Error) -> Int32 {
    (error as? any ErrorWithExitCode)?.exitCode ?? software
  }

  /// What a failing system call means: a missing file, a failing disk, or else malformed data.
  static func code(ofErrorNumber number: Int32?) -> Int32 {
    switch number {
    case ENOENT, ENOTDIR: missingInput
    case .some: inputOutput
    case nil: data
    }
  }
}

// Here, where all of them are known: `together` and FederationError ask an error for its code, wherever in a
// round it was thrown.

extension SafetensorsError: ErrorWithExitCode {
  var exitCode: Int32 { ExitCode.code(ofErrorNumber: errorNumber) }
}

extension ModelError: ErrorWithExitCode {
  var exitCode: Int32 { isMissing ? ExitCode.missingInput : ExitCode.data }
}

extension CorpusError: ErrorWithExitCode {
  var exitCode: Int32 { ExitCode.data }
}

extension ExperimentProblems: ErrorWithExitCode {
  /// 64, as for the command line.
  public var exitCode: Int32 { ExitCode.usage }
}

/// Why a command cannot do what was asked: one line and its exit code.
public struct CommandFailure: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// The exit code with which the program should end.
  public let exitCode: Int32
  /// What, where, and what would help.
  public let description: String

  /// A failure with its exit code.
  public init(_ exitCode: Int32, _ description: String) {
    self.exitCode = exitCode
    self.description = description
  }

  /// A system call that failed.
  static func system(_ path: String, _ number: Int32, code: Int32 = ExitCode.inputOutput)
    -> CommandFailure
  {
    CommandFailure(code, "\(path): \(String(cString: strerror(number)))")
  }
}

/// How a run ended on this rank: what to print, and whether the other ranks know of it.
public struct RunFailure: ErrorWithExitCode, CustomStringConvertible {
  /// The lines for this rank to print; none where another rank prints the cause.
  public let lines: [String]
  /// The exit code of all ranks.
  public let exitCode: Int32
  /// Whether the others wait in a collective and have to be ended.
  public let needsAbort: Bool
  /// The lines.
  public var description: String { lines.joined(separator: "\n") }

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
  public func report(_ communicator: any Communicator) -> Int32 {
    for line in lines { writeToStandardError("cellm-mpi: \(line)\n") }
    if needsAbort { communicator.abort(exitCode: exitCode) }
    return exitCode
  }
}

extension Communicator {
  /// Runs `body` on every rank; if it throws on any, all throw a `RunFailure` with the same exit
  /// code, and the lowest rank where it threw has the lines.
  public func agreed<Result>(_ body: () throws -> Result) throws -> Result {
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
