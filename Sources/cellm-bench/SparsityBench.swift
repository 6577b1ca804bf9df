// Selection and codecs over a vector as long as the trainable vector: what a client pays for each
// upload. Rates are in bytes of the dense vector, which one pass over it bounds.

public import ArgumentParser
import Foundation
import Kernels
import RandomStreams
public import Sparsity

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

extension ValueFormat: ExpressibleByArgument {}

struct CodecBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codec", abstract: "Times encoding and decoding of sparse messages.")
  @OptionGroup var options: SparsityOptions
  @Option(parsing: .upToNextOption, help: "How values are written.")
  var format: [ValueFormat] = [.fp32]
  @Option(help: "Tensors of equal length that the vector consists of.") var tensors = 1
  @Option(
    help: "Part of the support that the reader does not know, if it knows any: 0 to 1.")
  var unknown: Double?

  func run() throws {
    let vector = options.vector()
    for format in format {
      for divisor in options.divisors { try measure(vector, divisor, format) }
    }
  }

  private func measure(_ vector: [Float], _ divisor: Int, _ format: ValueFormat) throws {
    let dense = Double(4 * options.length)
    let count = options.length / divisor
    let sparse = vector.withUnsafeBufferPointer {
      SparseVector(gathering: $0, at: largestMagnitudes(of: $0, count: count))
    }
    let ends = (1...tensors).map { options.length * $0 / tensors }
    let known = unknown.map { knownSupport(like: sparse.mask, unknown: $0) }
    var random = RandomStream(seed: 0, purpose: .selection)
    func encoded() -> EncodedVector {
      VectorCodec.encode(
        sparse, format: format, known: known, tensorEnds: ends, rounding: &random)
    }
    var message = encoded()
    let encoding = Timing(repeats: options.repeats) { message = encoded() }
    let decoding = try Timing(repeats: options.repeats) {
      _ = try VectorCodec.decode(
        message.bytes, expectedLength: options.length, tensorEnds: ends, known: known)
    }
    var whole = [Float](repeating: 0, count: options.length)
    let placing = try Timing(repeats: options.repeats) {
      try whole.withUnsafeMutableBufferPointer {
        _ = try VectorCodec.decode(message.bytes, tensorEnds: ends, known: known, into: $0)
      }
    }
    let bytes = Double(message.bytes.count)
    let bound = VectorCodec.entropyBound(
      length: options.length, count: count, format: format, tensorCount: tensors)
    let indexBound = VectorCodec.entropyBoundOfIndices(length: options.length, count: count)
    func rate(_ timing: Timing) -> Double { dense / timing.cpu }
    report(
      "codec \(format.rawValue) 1/\(divisor) of \(options.length): \(message.codec), encode "
        + "\(short(rate(encoding) / 1e9, 3)), decode \(short(rate(decoding) / 1e9, 3)), into a "
        + "vector \(short(rate(placing) / 1e9, 3)) GB/s of dense input, "
        + "\(message.bytes.count) bytes, \(short(dense / bytes)) x smaller (entropy bound "
        + "\(short(dense / bound)) x)",
      [
        ("bench", "codec"), ("length", "\(options.length)"), ("format", format.rawValue),
        ("density", short(1 / Double(divisor))), ("codec", "\(message.codec)"),
        ("unknown", unknown.map { short($0) } ?? "all"), ("tensors", "\(tensors)"),
        ("bytes", "\(message.bytes.count)"), ("value_bytes", "\(message.size.values)"),
        ("index_bytes", "\(message.size.indices)"), ("header_bytes", "\(message.size.header)"),
        ("entropy_bytes", short(bound, 8)), ("bytes_over_entropy", short(bytes / bound, 5)),
        ("index_entropy_bytes", short(indexBound, 8)),
        (
          "indices_over_entropy",
          indexBound == 0 ? "1" : short(Double(message.size.indices) / indexBound, 5)
        ),
        ("encode_bytes_per_second", short(rate(encoding))),
        ("decode_bytes_per_second", short(rate(decoding))),
        ("decode_into_bytes_per_second", short(rate(placing))),
        ("encode_seconds_median", short(encoding.cpu)),
        ("decode_seconds_median", short(decoding.cpu)),
        ("decode_into_seconds_median", short(placing.cpu)),
      ])
  }

  /// A support as large as `mask` with that part of it elsewhere.
  private func knownSupport(like mask: SupportMask, unknown: Double) -> SupportMask {
    var random = RandomStream(seed: 1, purpose: .selection)
    var isKept = [Bool](repeating: false, count: mask.length)
    var others = mask.length - mask.count
    var moved = 0
    for index in mask.indices {
      isKept[Int(index)] = random.uniform() >= unknown
      if !isKept[Int(index)] { moved += 1 }
    }
    let kept = Set(mask.isAll ? [] : mask.indices)
    moved = min(moved, others)
    var indices: [UInt32] = []
    for i in 0..<UInt32(mask.length) {
      if kept.contains(i) || mask.isAll {
        if isKept[Int(i)] { indices.append(i) }
        continue
      }
      // Of the others so many, each as likely as the next.
      if random.integer(below: others) < moved {
        indices.append(i)
        moved -= 1
      }
      others -= 1
    }
    return SupportMask(length: mask.length, indices: indices)
  }
}
