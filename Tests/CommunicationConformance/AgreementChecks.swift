// Checks that ranks agree, and failures that all ranks share.

import Communication

private struct DataFault: ErrorWithExitCode, CustomStringConvertible {
  let description: String
  var exitCode: Int32 { 65 }
}

let agreementChecks: [ConformanceCheck] = [
  ConformanceCheck("a value that is the same on all ranks passes") { comm, _ in
    try comm.requireSame("seed: 0\n", as: "the experiment")
    try comm.requireSame("", as: "nothing")
    try comm.requireSame(42, as: "the answer")
  },
  ConformanceCheck("a value that differs is reported on all ranks with the rank's number") {
    comm, found in
    guard comm.size > 1 else { return }
    for odd in 1..<comm.size {
      let error = found.expectError("different values") {
        try comm.requireSame(comm.rank >= odd ? "seed: 1" : "seed: 0", as: "the experiment")
      }
      found.expect(
        error as? CommunicationError,
        .disagreement(
          what: "the experiment", rank: odd, value: #""seed: 1""#, expected: #""seed: 0""#),
        "error")
      let size = found.expectError("different numbers") {
        try comm.requireSame(comm.rank == odd ? 6 : 5, as: "the number of clients")
      }
      found.expect(
        size.map { "\($0)" },
        "the number of clients is not the same on all ranks: "
          + #"rank \#(odd) has "6", rank 0 has "5""#, "text")
    }
  },
  ConformanceCheck("what one rank throws, all throw, with its rank, reason and exit code") {
    comm, found in
    for failing in 0..<comm.size {
      let error = found.expectError("failure on \(failing)") {
        try comm.together {
          if comm.rank >= failing { throw DataFault(description: "bad file \(comm.rank)") }
        }
      }
      if comm.rank == failing {
        found.expect(error is DataFault, true, "own error")
      } else {
        found.expect(
          error as? RankFailure, failure(failing, "bad file \(failing)", 65), "others' error")
      }
      let value = try comm.together { comm.rank * 2 }
      found.expect(value, comm.rank * 2, "afterwards")
    }
  },
]

private func failure(_ rank: Int, _ reason: String, _ code: Int32) -> RankFailure? {
  RankFailure(rank: rank, reason: reason, exitCode: code)
}
