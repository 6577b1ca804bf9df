// The program: the command line, MPI around `run`, and one exit code for all ranks.

import Configuration
import Experiments
import Files
import Foundation
import Kernels
import RunFiles

// If a standard stream is closed, the next file that is opened gets its number, and messages would go
// into that file. So closed streams become /dev/null.
for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
where fcntl(descriptor, F_GETFD) == -1 {
  // Standard output is opened for reading only, so that writing a result to it is an error.
  _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
}

// A closed pipe or a file size limit is an error of the write, not the end of the process.
signal(SIGPIPE, SIG_IGN)
signal(SIGXFSZ, SIG_IGN)

// Before MPI starts: the instruction set belongs to the process, and its results to none.
if let problem = InstructionSet.useRequested() {
  FileHandle.standardError.write(Data("cellm-mpi: \(problem)\n".utf8))
  exit(EX_USAGE)
}

exit(Command.main(Array(CommandLine.arguments.dropFirst())))
