// A client's local step: forward and backward of one batch of equal sequences, LoRA on all linear
// layers, against the rate of sgemm on the model's own shapes in the same process.

import Adapters
import ArgumentParser
import FineTuning
import Foundation
import Kernels
import OpenCLDevices
import Transformers

extension MatrixFormat: ExpressibleByArgument {}
extension ProductLibrary: ExpressibleByArgument {}

/// What the step trains beside the head.
enum TrainedPart: String, ExpressibleByArgument, CaseIterable { case lora, full }

struct StepBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step",
    abstract:
      "Times forward and backward of a client's batch (LoRA on all linear layers, or all weights)."
  )

  @Option(help: "Hugging Face model directory.") var model: String
  @Option(help: "Sequences of a batch.") var batch = 4
  @Option(name: [.long, .customLong("sequence")], help: "Tokens of a sequence.") var length = 128
  @Option(help: "Most tokens of a micro-batch.") var microBatchTokens = 512
  @Option(help: "LoRA rank.") var loraRank = 16
  @Option(help: "Labels of the classification head.") var labels = 20
  @Option(help: "Counted repeats.") var repeats = 5
  @Option(help: "What frozen products are computed in: fp32 or bf16.")
  var precision = MatrixFormat.fp32
  @Option(help: "What multiplies fp32 matrices: own or openblas.")
  var products = ProductLibrary.own
  @Option(help: "What is trained: lora or full.") var adapter = TrainedPart.lora
  @Option(help: "An OpenCL device that computes, by a part of its name. Default: the CPU.")
  var device: String?

  func run() throws {
    guard adapter == .lora || precision == .fp32 else {
      throw ValidationError("--adapter full trains the weights that bf16 would pack; give fp32")
    }
    guard device == nil || (precision != .bf16 && products == .own) else {
      throw ValidationError("--device computes neither bf16 nor --products openblas")
    }
    BLAS.setThreads(1)
    ProductLibrary.current = products
    let pretrained = try PretrainedModel(
      directory: model, precision: precision, packsLanguageHead: false)
    let configuration = pretrained.configuration
    if let image = configuration.image, image.tokenCount != length {
      throw ValidationError(
        "an image has \(image.tokenCount) tokens; give --length \(image.tokenCount)")
    }
    let task = Classification(labels: labels, pooling: configuration.pooling)
    let layout = try TrainableLayout(
      model: pretrained,
      adaptation: adapter == .full
        ? .full : .lora(LoRAConfiguration(loraRank: loraRank, alpha: Float(loraRank))),
      task: task)
    let adapted = AdaptedModel(
      model: pretrained, layout: layout, task: task, capacity: max(microBatchTokens, length),
      longestSequence: length, device: try device.map(openDevice(named:)))
    var vector = layout.initialVector(model: pretrained, seed: 0)
    for (range, values) in layout.pretrainedRanges(of: pretrained) {
      vector.replaceSubrange(range, with: UnsafeBufferPointer(start: values, count: range.count))
    }
    for index in vector.indices where vector[index] == 0 { vector[index] = 1e-3 }
    var gradient = [Float](repeating: 0, count: vector.count)
    let microBatches = microBatches(configuration)
    let step = {
      for (sequences, labels) in microBatches {
        _ = adapted.addGradient(
          of: sequences, labels: labels, parameters: vector, gradient: &gradient,
          lossScale: 1 / Float(batch))
      }
    }
    // The reference is taken right before and after each step, so that both see the same machine.
    let rows = min(microBatchTokens, batch * length)
    step()
    var seconds: [Seconds] = []
    var rates: [Double] = []
    var before = weightedProductRate(configuration, rows: rows)
    let work = stepOperations(configuration)
    var fractions: [Double] = []
    for _ in 0..<repeats {
      let found = Seconds.of(step)
      let after = weightedProductRate(configuration, rows: rows)
      seconds.append(found)
      rates.append((before + after) / 2)
      fractions.append(work / found.cpu / rates.last!)
      before = after
    }
    show(
      seconds, rates: rates, fractions: fractions, work: work, precision: precision,
      trainedCount: layout.parameterCount)
  }

  /// The first OpenCL device of this name.
  private func openDevice(named name: String) throws -> OpenCLDevice {
    let all = try openCLDevices()
    guard let found = all.first(where: { $0.isCalled(name) }) else {
      throw ValidationError(
        "no OpenCL device is called \(name): there are \(all.map(\.name).joined(separator: ", "))")
    }
    let device = try OpenCLDevice(found)
    KernelDevices.use(device)
    return device
  }

  /// The batch in micro-batches, with its labels.
  private func microBatches(
    _ configuration: ModelConfiguration
  ) -> [(PackedSequences, [Int32])] {
    let perMicroBatch = max(1, microBatchTokens / length)
    var microBatches: [(PackedSequences, [Int32])] = []
    for first in stride(from: 0, to: batch, by: perMicroBatch) {
      let count = min(perMicroBatch, batch - first)
      var sequences = PackedSequences()
      for sequence in first..<first + count {
        let numbers = (0...).lazy.map { sequence * 7919 + $0 * 104_729 }
        if let image = configuration.image {
          sequences.append(repeatElement(0, count: length))
          sequences.appendPatches {
            $0 += numbers.prefix(image.patchCount * image.patchValues).map {
              Float($0 % 255) / 128 - 1
            }
          }
        } else {
          sequences.append(numbers.prefix(length).map { Int32($0 % configuration.vocabularySize) })
        }
      }
      microBatches.append((sequences, (first..<first + count).map { Int32($0 % labels) }))
    }
    return microBatches
  }

  /// Reports the medians of the repeats.
  private func show(
    _ seconds: [Seconds], rates: [Double], fractions: [Double], work: Double,
    precision: MatrixFormat, trainedCount: Int
  ) {
    let tokens = Double(batch * length)
    let (wall, cpu) = (median(seconds.map(\.wall)), median(seconds.map(\.cpu)))
    let (rate, fraction) = (median(rates), median(fractions))
    let memory = ProcessMemory()
    report(
      String(
        format: "step %@ %d x %d, micro-batch %d: %.1f tokens/s (%.1f by CPU time), "
          + "%.1f GFLOP/s, %.3f of sgemm's %.1f on the same shapes, %.0f MFLOP a token, "
          + "peak memory %.0f MB, private %.0f MB",
        (model as NSString).lastPathComponent, batch, length, microBatchTokens, tokens / wall,
        tokens / cpu, work / cpu / 1e9, fraction, rate / 1e9, work / tokens / 1e6,
        Double(memory.peakBytes) / 1e6, Double(memory.privateBytes) / 1e6),
      [
        ("bench", "step"), ("engine", "cellm-mpi"),
        ("model", (model as NSString).lastPathComponent), ("precision", precision.rawValue),
        ("threads", "1"), ("batch", "\(batch)"), ("length", "\(length)"),
        ("micro_batch_tokens", "\(microBatchTokens)"), ("adapter", adapter.rawValue),
        ("lora_rank", "\(loraRank)"),
        ("trainable", "\(trainedCount)"),
        ("tokens_per_second", short(tokens / wall)),
        ("tokens_per_cpu_second", short(tokens / cpu)),
        ("flop_per_token", "\(Int(work / tokens))"), ("flop_per_second", short(work / cpu)),
        ("sgemm_flop_per_second", short(rate)), ("fraction_of_sgemm", short(fraction)),
        ("seconds_median", short(wall, 6)),
        ("seconds_min", short(seconds.map(\.wall).min()!, 6)),
        ("cpu_seconds_median", short(cpu, 6)), ("repeats", "\(repeats)"),
        ("peak_resident_bytes", "\(memory.peakBytes)"),
        ("proportional_bytes", "\(memory.proportionalBytes)"),
        ("private_bytes", "\(memory.privateBytes)"),
      ])
  }

  /// The rate of sgemm over the model's frozen products, weighted by their work.
  private func weightedProductRate(_ configuration: ModelConfiguration, rows: Int) -> Double {
    var work = 0.0
    var seconds = 0.0
    for group in LinearGroup.inBlock {
      for role in configuration.roles(of: group) {
        let size = configuration.size(of: role)
        let operations = 2 * Double(rows * size.inputs * size.outputs)
        work += operations
        seconds +=
          operations
          / productRate(rows: rows, columns: size.outputs, inner: size.inputs, repeats: 3)
      }
    }
    return work / seconds
  }

  /// Operations that the step cannot do without: what is recomputed, and scores that the causal mask
  /// hides, do not count though they are computed.
  ///
  /// Frozen products forward, and backward but for the first block's inputs; six products for each
  /// LoRA pair (x A^T, h B^T, and two gradients of each), again without the first block's inputs; or three
  /// products for each weight that is trained; attention over visible keys. In the last block only the pooled rows count from the queries on.
  private func stepOperations(_ configuration: ModelConfiguration) -> Double {
    let tokens = Double(batch * length)
    var total = 0.0
    for layer in 0..<configuration.layerCount {
      let isLast = layer == configuration.layerCount - 1
      let rows = isLast ? Double(batch) : tokens
      for group in LinearGroup.inBlock {
        let isFirst = layer == 0 && group == .attentionInput
        for role in configuration.roles(of: group) {
          let groupRows = group == .attentionInput && role != .query ? tokens : rows
          let size = configuration.size(of: role)
          let rank = Double(loraRank)
          let pair = rank * Double((isFirst ? 2 : 3) * size.inputs + 3 * size.outputs)
          let weight = Double(size.inputs * size.outputs)
          total +=
            2 * groupRows * (adapter == .full ? 3 * weight : (isFirst ? 1 : 2) * weight + pair)
        }
      }
      let keys = configuration.isCausal && !isLast ? Double(length + 1) / 2 : Double(length)
      // Two products forward, four backward.
      total += 6 * 2 * rows * keys * Double(configuration.queryChannels)
    }
    return total
  }
}
