// The section `compute`.

package import Kernels

extension Experiment {
  /// How the work is carried out on a rank; changes no result beyond rounding.
  package struct ComputeSection: Sendable, Equatable {
    /// Threads of a rank.
    package var threads = 1
    /// Tokens that go through the model at a time; nil means that the program chooses.
    package var microBatchTokens: Int?
    /// Number format of the computation.
    package var precision = MatrixFormat.fp32
    /// The library that computes products of fp32 matrices.
    package var products = ProductLibrary.own
  }
}

extension ExperimentKey {
  static let computeKeys: [ExperimentKey] = [
    ExperimentKey(
      "compute.threads", \.compute.threads, .integer(atLeast: 1, atMost: 1024),
      "threads per rank, each with its own micro-batch and memory; changes no result; under"
        + " mpirun give each rank as many cores (--map-by slot:PE=N)"),
    ExperimentKey(
      "compute.micro_batch_tokens", \.compute.microBatchTokens,
      .either("auto", or: .integer(atLeast: 1, atMost: 1 << 24)),
      "tokens that go through the model at a time; limits the memory of a rank; another value"
        + " changes the rounding and, with adapter.dropout, the dropout masks"),
    ExperimentKey(
      "compute.precision", \.compute.precision, .choice,
      "number format of frozen weight matrices; q8_0, q4_0, q4_1: blocks of 32 weights with one"
        + " scale, as in GGUF, widened to fp32 in products; bf16: products in bf16, needs a build with"
        + " the trait oneDNN and a CPU with AVX512-BF16"),
    ExperimentKey(
      "compute.products", \.compute.products, .choice,
      "library of fp32 matrix products; own: part of this program, with the same digest on every"
        + " CPU; openblas: another digest, which depends on the CPU"),
  ]
}
