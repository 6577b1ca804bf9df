// The program: the command line, MPI around `run`, and one exit code for all ranks.

import Experiments
import Foundation

// A closed pipe or a file size limit is an error of the write that hits it, not the end of the
// process.
// A closed standard stream's number would be the next file's that is opened, and messages would go there.
for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
where fcntl(descriptor, F_GETFD) == -1 {
  // Without the right to write: a result that nobody can read is an error of the write.
  _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
}

signal(SIGPIPE, SIG_IGN)
signal(SIGXFSZ, SIG_IGN)

exit(Command.main(Array(CommandLine.arguments.dropFirst())))
