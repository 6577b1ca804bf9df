// The exit codes of the program (sysexits.h).

public import Communication
import Foundation
internal import Safetensors

/// The exit codes of the program.
package enum ExitCode {
  /// The command line or the experiment file makes no sense.
  package static let usage: Int32 = 64
  /// A model, corpus or adapter is malformed or does not fit, or training diverged.
  package static let data: Int32 = 65
  /// An input file does not exist.
  package static let missingInput: Int32 = 66
  /// The program's own fault.
  package static let software: Int32 = 70
  /// Reading or writing failed: disk full, no permission.
  package static let inputOutput: Int32 = 74
  /// The same command with `--resume` goes on later: the run was asked to stop and has saved
  /// itself, or its directory is locked by a process of which nothing is known here.
  package static let stopped: Int32 = 75
  /// The watchdog ended a run of which a rank hung, or a rank's device failed: the same command
  /// with `--resume` goes on from the last checkpoint.
  package static let hung: Int32 = 76

  /// The exit codes as the help shows them.
  package static let help = """
    Exit codes: 0 done; 64 usage or experiment file; 65 malformed or unfit data, or training that \
    diverged; 66 missing input; 70 a fault of the program; 74 reading or writing failed (disk \
    full); 75 stopped by SIGUSR1, Ctrl-C or SIGTERM and saved, or another process is in the run's \
    directory: go on with --resume; 76 a rank hung (watchdog.minutes), or its device failed: go on \
    with --resume.
    """

  /// The exit code of an error.
  package static func code(of error: any Error) -> Int32 {
    (error as? any ErrorWithExitCode)?.exitCode ?? software
  }

  /// What a failing system call means: a missing file, a failing disk, or else malformed data.
  package static func code(ofErrorNumber number: Int32?) -> Int32 {
    switch number {
    case ENOENT, ENOTDIR: missingInput
    case .some: inputOutput
    case nil: data
    }
  }
}

extension SafetensorsError: ErrorWithExitCode {
  package var exitCode: Int32 { ExitCode.code(ofErrorNumber: errorNumber) }
}
