// The exit codes of errors that models and corpora throw: `together` and FederationError ask an error for its
// code, wherever in a round it was thrown.

public import Communication
internal import Corpora
internal import Files
internal import Transformers

extension ModelError: ErrorWithExitCode {
  package var exitCode: Int32 { isMissing ? ExitCode.missingInput : ExitCode.data }
}

extension CorpusError: ErrorWithExitCode {
  package var exitCode: Int32 { ExitCode.data }
}
