// A client's local step: forward and backward of one batch of equal sequences, LoRA on all linear
// layers, against the rate of sgemm on the model's own shapes in the same process.

import Adapters
public import ArgumentParser
import Foundation
public import Kernels
import Transformers

extension ProductPrecision: ExpressibleByArgument {}

struct StepBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step",
    abstract: "Times forward and backward of a client's batch (LoRA on all linear layers).")

  @Option(help: "Hugging Face model directory.") var model: String
  @Option(help: "Sequences of a batch.") var batch = 4
  @Option(help: "Tokens of a sequence.") var length = 128
  @Option(help: "Most tokens of a micro-batch.") var microBatchTokens = 512
  @Option(help: "LoRA rank.") var loraRank = 16
  @Option(help: "Labels of the classification head.") var labels = 20
  @Option(help: "Counted repeats.") var repeats = 5
  @Option(help: "What frozen products are computed in: fp32 or bf16.")
  var precision = ProductPrecision.fp32

  func run() throws {
    BLAS.setThreads(1)
    let pretrained = try PretrainedModel(
      directory: model, precision: precision, packsLanguageHead: false)
    let configuration = pretrained.configuration
    let layout = try TrainableLayout(
      model: pretrained, lora: LoRAConfiguration(loraRank: loraRank, alpha: Float(loraRank)),
      task: .classification(labels: labels, pooling: .standard(for: configuration.family)))
    let adapted = AdaptedModel(
      model: pretrained, layout: layout, capacity: max(microBatchTokens, length),
      longestSequence: length)
    var vector = layout.initialVector(model: pretrained, seed: 0)
    for index in vector.indices where vector[index] == 0 { vector[index] = 1e-3 }
    var gradient = [Float](repeating: 0, count: vector.count)
    let perMicroBatch = max(1, microBatchTokens / length)
    var microBatches: [(PackedSequences, [Int32])] = []
    for first in stride(from: 0, to: batch, by: perMicroBatch) {
      let count = min(perMicroBatch, batch - first)
      let sequences = (first..<first + count).map { sequence in
        (0..<length).map { Int32((sequence * 7919 + $0 * 104_729) % configuration.vocabularySize) }
      }
      microBatches.append(
        (PackedSequences(sequences), (first..<first + count).map { Int32($0 % labels) }))
    }
    let rows = min(microBatchTokens, batch * length)
    let rate = weightedProductRate(configuration, rows: rows)
    let timing = Timing(repeats: repeats) {
      for (sequences, labels) in microBatches {
        _ = adapted.addGradient(
          of: sequences, labels: labels, parameters: vector, gradient: &gradient,
          lossScale: 1 / Float(batch))
      }
    }
    let tokens = batch * length
    let work = stepOperations(configuration, layout: layout)
    let achieved = work / timing.median
    report(
      String(
        format:
          "step: %.1f tokens/s, %.1f GFLOP/s, %.3f of sgemm's %.1f GFLOP/s on the same shapes, "
          + "%.0f MFLOP a token, peak memory %.0f MB",
        Double(tokens) / timing.median, achieved / 1e9, achieved / rate, rate / 1e9,
        work / Double(tokens) / 1e6, peakResidentBytes() / 1e6),
      [
        ("bench", "step"), ("model", (model as NSString).lastPathComponent),
        ("batch", "\(batch)"), ("length", "\(length)"),
        ("micro_batch_tokens", "\(microBatchTokens)"), ("lora_rank", "\(loraRank)"),
        ("precision", precision.rawValue),
        ("tokens_per_second", "\(Double(tokens) / timing.median)"),
        ("flop_per_token", "\(work / Double(tokens))"), ("flop_per_second", "\(achieved)"),
        ("sgemm_flop_per_second", "\(rate)"), ("fraction_of_sgemm", "\(achieved / rate)"),
        ("seconds_median", "\(timing.median)"), ("seconds_min", "\(timing.seconds[0])"),
        ("peak_resident_bytes", "\(peakResidentBytes())"),
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
          / measureProductRate(rows: rows, columns: size.outputs, inner: size.inputs)
      }
    }
    return work / seconds
  }

  /// Operations that the step really needs: frozen products forward and, but for the first block's
  /// inputs, backward; three products for each LoRA matrix; attention over visible keys. In the
  /// last block only the pooled rows count from attention on.
  private func stepOperations(_ configuration: ModelConfiguration, layout: TrainableLayout)
    -> Double
  {
    let tokens = Double(batch * length)
    var total = 0.0
    for layer in 0..<configuration.layerCount {
      let isLast = layer == configuration.layerCount - 1
      let rows = isLast ? Double(batch) : tokens
      for group in LinearGroup.inBlock {
        let groupRows = group == .attentionInput ? tokens : rows
        let passes = layer == 0 && group == .attentionInput ? 1.0 : 2.0
        for role in configuration.roles(of: group) {
          let size = configuration.size(of: role)
          total += passes * 2 * groupRows * Double(size.inputs * size.outputs)
          total += 3 * 2 * groupRows * Double(loraRank * (size.inputs + size.outputs))
        }
      }
      let keys = configuration.isCausal && !isLast ? Double(length + 1) / 2 : Double(length)
      // Two products forward, and four backward; the recomputed scores do not count.
      total += 6 * 2 * rows * keys * Double(configuration.queryChannels)
    }
    return total
  }
}

/// The process's largest resident set, in bytes.
func peakResidentBytes() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) * 1024
}
