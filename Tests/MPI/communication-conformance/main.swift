// The conformance suite over MPI, to be started by Tests/MPI/run.sh or by hand:
//
//   mpirun -np 3 communication-conformance [LARGEST_TRANSFER_BYTES]   all checks; exit code 1 if any fails
//   mpirun -np 3 communication-conformance throw RANK                 RANK throws while the others wait
//   mpirun -np 3 communication-conformance abort RANK CODE            RANK aborts while the others wait
//   mpirun -np 3 communication-conformance large MIB                  moves more than MIB MiB in one collective
//   mpirun -np 3 communication-conformance share MIB                  MIB MiB of memory that the node shares
//   mpirun -np 3 communication-conformance where                      where the ranks are, and the library

import Communication
import CommunicationConformance
import Foundation
import MPICommunication

struct Fault: Error, CustomStringConvertible {
  let description: String
}

/// Runs all checks; rank 0 prints a line each. Returns how many failed.
func runChecks(over communicator: any Communicator) throws -> Int {
  var failed = 0
  for check in ConformanceCheck.all {
    let findings = try check.findings(over: communicator)
    if !findings.isEmpty { failed += 1 }
    guard communicator.rank == 0 else { continue }
    let outcome = findings.isEmpty ? "ok \(check.name)" : "FAILED \(check.name): \(findings[0])"
    print("np=\(communicator.size) \(outcome)")
  }
  return failed
}

/// Collectives whose totals exceed what one MPI call can count, each byte checked.
func moveLarge(mebibytes: Int, over communicator: any Communicator) throws {
  let (rank, size) = (communicator.rank, communicator.size)
  let count = (mebibytes << 20) / size + 5
  let send = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
  let all = UnsafeMutableRawBufferPointer.allocate(byteCount: count * size, alignment: 64)
  defer {
    send.deallocate()
    all.deallocate()
  }
  memset(send.baseAddress!, Int32(rank + 1), count)
  memset(all.baseAddress!, 0xee, count * size)
  try communicator.allGather(UnsafeRawBufferPointer(send), into: all)
  for sender in 0..<size {
    let block = all[sender * count..<(sender + 1) * count]
    guard block.allSatisfy({ $0 == UInt8(sender + 1) }) else {
      throw Fault(description: "wrong bytes of rank \(sender) on rank \(rank)")
    }
  }
  memset(all.baseAddress!, rank == size - 1 ? 7 : 0, count * size)
  try communicator.broadcast(all, root: size - 1)
  guard all.allSatisfy({ $0 == 7 }) else { throw Fault(description: "wrong bytes broadcast") }
  if rank == 0 { print("ok moved \(count * size) bytes") }
}

/// Memory that the node's ranks share, read by all of them; prints what each rank then accounts for.
func share(mebibytes: Int, over communicator: any Communicator) throws {
  let count = mebibytes << 20
  let memory = try communicator.nodeShared(byteCount: count) {
    memset($0.baseAddress!, 9, $0.count)
  }
  let isRight = memory.bytes.allSatisfy { $0 == 9 }
  try communicator.barrier()
  // The proportional set size counts a page that n processes map as 1/n of a page in each.
  let rollup = try String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)
  let pss = rollup.split(separator: "\n").first { $0.hasPrefix("Pss:") } ?? "Pss: unknown"
  let state = memory.isShared ? "shared" : "not shared: \(memory.warning ?? "one rank")"
  let lines = try communicator.gather(
    "rank \(communicator.rank): \(isRight ? "right" : "WRONG"), "
      + "\(pss.split(separator: " ").dropFirst().joined(separator: " ")), \(state)")
  for line in lines ?? [] { print(line) }
}

func run() throws {
  let arguments = CommandLine.arguments.dropFirst()
  let mode = arguments.first ?? ""
  let numbers = arguments.compactMap { Int($0) }
  let limit = Int(mode) ?? MPICommunicator.defaultLargestTransferBytes
  let communicator = try MPIRuntime.initialize(largestTransferBytes: limit)
  switch (mode, numbers.count) {
  case ("throw", 1):
    if communicator.rank == numbers[0] { throw Fault(description: "thrown on purpose") }
    try communicator.barrier()
  case ("abort", 2):
    if communicator.rank == numbers[0] {
      print("text without a newline that is flushed", terminator: "")
      communicator.abort(exitCode: Int32(numbers[1]))
    }
    try communicator.barrier()
  case ("large", 1): try moveLarge(mebibytes: numbers[0], over: communicator)
  case ("share", 1): try share(mebibytes: numbers[0], over: communicator)
  case ("where", 0):
    let node = communicator.node
    let lines = try communicator.gather(
      "rank \(communicator.rank) on \(communicator.hostName): "
        + "\(node.rank) of \(node.size) on node \(node.index) of \(node.count)")
    if let lines {
      print("MPI \(MPIRuntime.standardVersion), \(MPIRuntime.libraryVersion)")
      for line in lines { print(line) }
    }
  case _ where arguments.isEmpty || (arguments.count == 1 && Int(mode) != nil):
    let counting = CountingCommunicator(communicator)
    if try runChecks(over: counting) > 0 {
      try MPIRuntime.finalize()
      exit(1)
    }
  default: throw Fault(description: "unknown arguments: \(arguments.joined(separator: " "))")
  }
  try MPIRuntime.finalize()
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("communication-conformance: \(error)\n".utf8))
  MPIRuntime.abort(exitCode: (error as? any ErrorWithExitCode)?.exitCode ?? 70)
}
