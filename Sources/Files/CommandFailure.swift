// An error with an exit code and one line for the user.

internal import Communication
import Foundation

/// Why a command cannot do what was asked: one line and its exit code.
package struct CommandFailure: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// The exit code with which the program should end.
  package let exitCode: Int32
  /// What, where, and what would help.
  package let description: String

  /// A failure with its exit code.
  package init(_ exitCode: Int32, _ description: String) {
    self.exitCode = exitCode
    self.description = description
  }

  /// A system call that failed.
  package static func system(_ path: String, _ number: Int32, code: Int32 = ExitCode.inputOutput)
    -> CommandFailure
  {
    CommandFailure(code, "\(path): \(String(cString: strerror(number)))")
  }
}
