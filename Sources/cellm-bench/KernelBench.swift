// Every kernel on a micro-batch of SmolLM2-135M (by default), each against what limits it: products
// against OpenBLAS's sgemm on the same shape, in turn; vector kernels against 4 elements a
// nanosecond or the bandwidth of a triad over as many bytes, whichever is less. All is measured in
// one process.

import ArgumentParser
import Kernels

struct KernelBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernel", abstract: "Times every kernel against the machine's own limits.")

  @Option(help: "Tokens of a micro-batch.") var tokens = 512
  @Option(help: "Tokens of a sequence.") var length = 128
  @Option(help: "Channels.") var channels = 576
  @Option(help: "Channels of the feed-forward part.") var intermediate = 1536
  @Option(help: "Query heads.") var heads = 9
  @Option(help: "Key and value heads.") var keyValueHeads = 3
  @Option(help: "Channels of a head.") var headSize = 64
  @Option(help: "LoRA rank.") var loraRank = 16
  @Option(help: "Vocabulary.") var vocabulary = 49_152
  @Option(help: "Length of the trainable vector.") var trainable = 4_896_000
  @Option(help: "Counted repeats.") var repeats = 15
  @Option(help: "Only kernels whose name contains this.") var only: String?

  func run() throws {
    BLAS.setThreads(1)
    let machine = Limits(repeats: repeats)
    machine.report()
    for product in products where isWanted(product.name) { run(product, machine) }
    for kernel in vectorKernels + optimizerKernels where isWanted(kernel.name) {
      run(kernel, machine)
    }
  }

  private func isWanted(_ name: String) -> Bool { only.map(name.contains) ?? true }

  /// A product by our kernels and by sgemm, in turn.
  private func run(_ product: Product, _ machine: Limits) {
    withFloats(product.buffers) { buffers in
      var seconds: [ProductLibrary: [Double]] = [:]
      for _ in 0..<3 {
        for library in [ProductLibrary.own, .openblas] {
          ProductLibrary.current = library
          seconds[library, default: []].append(
            Timing(short: repeats) { product.body(buffers) }.cpu)
        }
      }
      ProductLibrary.current = .own
      let (own, blas) = (seconds[.own]!.min()!, seconds[.openblas]!.min()!)
      let rate = product.operations / own
      cellm_bench.report(
        "kernel \(product.name.padding(30)) \(short(rate / 1e9)) GFLOP/s, "
          + "\(short(blas / own, 3)) of sgemm on this shape",
        [
          ("bench", "kernel"), ("name", product.name), ("flop", "\(Int(product.operations))"),
          ("flop_per_second", short(rate)), ("seconds", short(own)),
          ("sgemm_flop_per_second", short(product.operations / blas)),
          ("fraction", short(blas / own)),
        ])
    }
  }

  private func run(_ kernel: VectorKernel, _ machine: Limits) {
    withFloats(kernel.buffers) { buffers in
      let bandwidth = triadBandwidth(bytes: kernel.bytes, repeats: repeats)
      let timing = Timing(short: repeats) { kernel.body(buffers) }
      let elements = Double(kernel.elements) / timing.cpu
      let bytes = Double(kernel.bytes) / timing.cpu
      let byBandwidth = bandwidth * Double(kernel.elements) / Double(kernel.bytes)
      let goal = min(4e9, byBandwidth)
      let padded = kernel.name.padding(30)
      cellm_bench.report(
        "kernel \(padded) \(short(elements / 1e9, 3)) elements/ns, \(short(bytes / 1e9, 3)) GB/s "
          + "(triad of as many bytes \(short(bandwidth / 1e9, 3))), "
          + "\(short(elements / goal, 3)) of its limit",
        [
          ("bench", "kernel"), ("name", kernel.name), ("elements", "\(kernel.elements)"),
          ("bytes", "\(kernel.bytes)"), ("elements_per_second", short(elements)),
          ("bytes_per_second", short(bytes)), ("seconds_median", short(timing.cpu)),
          ("triad_bytes_per_second", short(bandwidth)), ("limit_elements_per_second", short(goal)),
          ("limited_by", byBandwidth < 4e9 ? "bandwidth" : "4_elements_per_ns"),
          ("fraction", short(elements / goal)),
        ])
    }
  }
}

/// A product: its buffers' sizes, its operations and the call.
struct Product {
  let name: String
  let operations: Double
  let buffers: [Int]
  let body: ([MutableFloats]) -> Void
}

/// A kernel over elements: buffers, the elements it makes, the bytes it cannot avoid, the call.
struct VectorKernel {
  let name: String
  let elements: Int
  let bytes: Int
  let buffers: [Int]
  let body: ([MutableFloats]) -> Void
}

/// What this machine does at best: sgemm of 2048^3, and triads in a cache and in memory.
struct Limits {
  let productRate: Double
  let cacheBandwidth: Double
  let memoryBandwidth: Double
  static let cacheBytes = 384 << 10
  static let memoryBytes = 192 << 20

  init(repeats: Int) {
    productRate = cellm_bench.productRate(rows: 2048, columns: 2048, inner: 2048, repeats: 5)
    cacheBandwidth = triadBandwidth(bytes: Self.cacheBytes, repeats: repeats)
    memoryBandwidth = triadBandwidth(bytes: Self.memoryBytes, repeats: 7)
  }

  func report() {
    cellm_bench.report(
      "machine: sgemm 2048^3 \(short(productRate / 1e9)) GFLOP/s; triad "
        + "\(short(cacheBandwidth / 1e9, 3)) GB/s over 384 KiB, "
        + "\(short(memoryBandwidth / 1e9, 3)) GB/s over 192 MiB",
      [
        ("bench", "machine"), ("sgemm_flop_per_second", short(productRate)),
        ("cache_bytes", "\(Self.cacheBytes)"), ("cache_bytes_per_second", short(cacheBandwidth)),
        ("memory_bytes", "\(Self.memoryBytes)"),
        ("memory_bytes_per_second", short(memoryBandwidth)),
      ])
  }
}

extension String {
  /// The text filled up with spaces.
  func padding(_ count: Int) -> String {
    self + String(repeating: " ", count: max(0, count - self.count))
  }
}
