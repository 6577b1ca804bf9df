// Measures the parts that decide the simulator's speed. Each subcommand prints a line for people
// and a self-describing CSV line; rates are fractions of what OpenBLAS's sgemm does in the same
// process, just before. CELLM_ISA and OPENBLAS_CORETYPE choose the instructions of the two.

import ArgumentParser
import Kernels

@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cellm-bench",
    abstract: "Measures kernels and the local training step against the machine's own limits.",
    subcommands: [
      KernelBench.self, StepBench.self, TopKBench.self, CodecBench.self, LinkBench.self,
      CollectivesBench.self,
    ])

  static func main() {
    if let problem = InstructionSet.useRequested() { exit(withError: ValidationError(problem)) }
    main(nil)
  }
}
