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
    /// The device of the micro-batches of a rank.
    package var device = ComputeDevice.cpu
  }
}

/// The device of the micro-batches of a rank; changes no result.
package enum ComputeDevice: Sendable, Equatable {
  /// A core of the CPU for each thread.
  case cpu
  /// A GPU of the node; its ranks take turns in choosing one.
  case gpu
  /// A GPU if the node has one that can compute the experiment, else the CPU.
  case auto
  /// An OpenCL device by a part of its name or of its platform's name, a CPU device too.
  case named(String)

  /// The word in an experiment file.
  package var word: String {
    switch self {
    case .cpu: "cpu"
    case .gpu: "gpu"
    case .auto: "auto"
    case .named(let name): name
    }
  }
}

extension Experiment {
  /// The key with its value that only the CPU computes, and the value that a device computes.
  private var ofCPUAlone: (setting: String, other: String)? {
    if compute.precision == .bf16 { return ("compute.precision: bf16", "fp32") }
    if compute.products != .own {
      return ("compute.products: \(compute.products.rawValue)", "own")
    }
    return compute.threads == 1 ? nil : ("compute.threads: \(compute.threads)", "1")
  }

  /// The reason for which no device computes the experiment; nil if one may.
  package var reasonAgainstDevice: String? {
    ofCPUAlone.map { "only the CPU computes \($0.setting)" }
  }

  /// The key, with a text, of a device that has to compute what only the CPU does.
  var deviceProblem: (key: String, text: String)? {
    guard compute.device != .cpu, compute.device != .auto else { return nil }
    return ofCPUAlone.map { setting, other in
      (
        "compute.device",
        "\(compute.device.word) is not allowed with \(setting); give \(other), or"
          + " compute.device: cpu"
      )
    }
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
    ExperimentKey(
      "compute.device", \.compute.device, .device,
      "what computes the micro-batches; changes no result; cpu; gpu: a GPU with OpenCL (ranks of"
        + " a node share its GPUs); auto: a GPU if there is one, else the CPU; another word: an"
        + " OpenCL device whose name or platform's name contains this word (cellm-mpi devices lists"
        + " them)"),
  ]
}
