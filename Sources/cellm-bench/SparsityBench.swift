// Selection and codecs over a vector as long as the trainable vector: what a client pays for each
// upload. Rates are in bytes of the dense vector, which one pass over it bounds.

import ArgumentParser
import Foundation
import Kernels
import Sparsity

/// What both commands sweep.
struct SparsityOptions: ParsableArguments {
  @Option(help: "Length of the vector (SmolLM2-135M, rank 16, all linear layers).")
  var length = 4_896_000
  @Option(parsing: .upToNextOption, help: "Densities as divisors: 4 is 1/4.")
  var divisors = [1, 2, 4, 8, 16, 32, 64, 128, 256]
  @Option(help: "Counted repeats.") var repeats = 9

  /// A vector that looks like a client delta: normal, each value of its own.
  func vector() -> [Float] {
    var state: UInt64 = 1
    func uniform() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) + 0.5) / 16_777_216
    }
    return (0..<length).map { _ in
      sqrtf(-2 * logf(uniform())) * cosf(2 * Float.pi * uniform()) * 1e-3
    }
  }
}

struct TopKBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "topk", abstract: "Times the selection of the largest magnitudes.")
  @OptionGroup var options: SparsityOptions

  func run() throws {
    let vector = options.vector()
    let bandwidth = triadBandwidth(bytes: 12 * options.length, repeats: options.repeats)
    let limit = min(4e9, bandwidth / 4)
    for divisor in options.divisors {
      let count = options.length / divisor
      let timing = Timing(repeats: options.repeats) {
        vector.withUnsafeBufferPointer { _ = largestMagnitudes(of: $0, count: count) }
      }
      let rate = Double(options.length) / timing.cpu
      report(
        "topk 1/\(divisor) of \(options.length): \(short(rate / 1e9, 3)) elements/ns, "
          + "\(short(4 * rate / 1e9, 3)) GB/s, \(short(rate / limit, 3)) of its limit",
        [
          ("bench", "topk"), ("length", "\(options.length)"),
          ("density", short(1 / Double(divisor))),
          ("count", "\(count)"), ("elements_per_second", short(rate)),
          ("bytes_per_second", short(4 * rate)), ("seconds_median", short(timing.cpu)),
          ("triad_bytes_per_second", short(bandwidth)), ("fraction", short(rate / limit)),
        ])
    }
  }
}

struct CodecBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codec", abstract: "Times encoding and decoding of sparse messages.")
  @OptionGroup var options: SparsityOptions

  func run() throws {
    let vector = options.vector()
    let dense = Double(4 * options.length)
    for divisor in options.divisors {
      let count = options.length / divisor
      let sparse = vector.withUnsafeBufferPointer {
        SparseVector(gathering: $0, at: largestMagnitudes(of: $0, count: count))
      }
      var message = VectorCodec.encode(sparse)
      let encoding = Timing(repeats: options.repeats) { message = VectorCodec.encode(sparse) }
      let decoding = try Timing(repeats: options.repeats) {
        _ = try VectorCodec.decode(message.bytes, expectedLength: options.length)
      }
      let bytes = Double(message.bytes.count)
      let bound = entropyBytes(count: count)
      report(
        "codec 1/\(divisor) of \(options.length): \(message.codec), encode "
          + "\(short(dense / encoding.cpu / 1e9, 3)) and decode "
          + "\(short(dense / decoding.cpu / 1e9, 3)) GB/s of dense input, "
          + "\(message.bytes.count) bytes, \(short(dense / bytes)) x smaller "
          + "(entropy bound \(short(dense / bound)) x)",
        [
          ("bench", "codec"), ("length", "\(options.length)"),
          ("density", short(1 / Double(divisor))), ("codec", "\(message.codec)"),
          ("bytes", "\(message.bytes.count)"), ("value_bytes", "\(message.size.values)"),
          ("index_bytes", "\(message.size.indices)"), ("header_bytes", "\(message.size.header)"),
          ("entropy_bytes", short(bound, 8)), ("bytes_over_entropy", short(bytes / bound, 5)),
          ("encode_bytes_per_second", short(dense / encoding.cpu)),
          ("decode_bytes_per_second", short(dense / decoding.cpu)),
          ("encode_seconds_median", short(encoding.cpu)),
          ("decode_seconds_median", short(decoding.cpu)),
        ])
    }
  }

  /// The values' bytes and the entropy of a random mask of that density: n H(p) bits.
  private func entropyBytes(count: Int) -> Double {
    let p = Double(count) / Double(options.length)
    let bits = p < 1 ? -p * log2(p) - (1 - p) * log2(1 - p) : 0
    return 4 * Double(count) + bits * Double(options.length) / 8
  }
}
