// The program: the command line, MPI around `run`, and one exit code for all ranks.

import Experiments
import Foundation

// A closed pipe or a file size limit is an error of the write that hits it, not the end of the
// process.
signal(SIGPIPE, SIG_IGN)
signal(SIGXFSZ, SIG_IGN)

exit(Command.main(Array(CommandLine.arguments.dropFirst())))
