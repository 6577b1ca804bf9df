// What a run will take: the rates of this machine, from a batch that is trained and evaluated at
// once, and the tokens of the plan.

internal import Communication
internal import Configuration
internal import Corpora
internal import Federation
internal import Files
internal import FineTuning
internal import Foundation
internal import Transformers

/// Tokens a second of a rank.
struct ComputeRates {
  var training: Double
  var evaluation: Double
}

extension PreparedModel {
  /// The rates of a rank of this machine: the best of some micro-batches, about a second of each
  /// kind.
  /// - Throws: if the device of the experiment is not here, or the model cannot be opened.
  func measuredRates(_ experiment: Experiment, start: [Float]) throws -> ComputeRates {
    let device = try openDevice(
      experiment, place: NodePlace(index: 0, count: 1, leader: 0, rank: 0, size: 1)
    ).0
    var prepared = self
    if experiment.compute.precision.packing != nil {
      prepared.model = try PretrainedModel(
        directory: model.directory, precision: experiment.compute.precision,
        packsLanguageHead: experiment.task.kind.usesLanguageHead)
    }
    let objective = prepared.objective(experiment, device: device)
    var examples: [Int] = []
    var tokens = 0
    let wanted = capacity(experiment) * experiment.compute.threads
    while examples.count < corpus.train.count, tokens < wanted {
      tokens += objective.tokenCount(ofTrainingExample: examples.count)
      examples.append(examples.count)
    }
    var gradient = [Float](repeating: 0, count: objective.parameterCount)
    return try start.withUnsafeBufferPointer { vector in
      let evaluation = try rate(tokens) {
        try objective.evaluate(.train, examples: examples, at: vector) { _, _ in }
      }
      let training = try gradient.withUnsafeMutableBufferPointer { gradient in
        try rate(tokens) {
          _ = try objective.gradient(
            ofTrainingExamples: examples, at: vector, into: gradient, dropout: nil)
        }
      }
      return ComputeRates(training: training, evaluation: evaluation)
    }
  }

  /// Tokens a second: the best of two to twenty calls within a second. The first call counts for
  /// nothing: it reads the weights.
  private func rate(_ tokens: Int, _ body: () throws -> Void) rethrows -> Double {
    try body()
    var (best, sum) = (Double.infinity, 0.0)
    for _ in 0..<20 where sum < 1 || best == .infinity {
      let began = ContinuousClock.now
      try body()
      let seconds = (ContinuousClock.now - began) / .seconds(1)
      best = min(best, seconds)
      sum += seconds
    }
    return Double(tokens) / max(best, 1e-9)
  }
}

/// The time of a run, from rates and tokens.
struct TimeEstimate {
  /// Tokens that a round trains, on average.
  let roundTokens: Double
  let rounds: Int
  /// Tokens of one evaluation.
  let evaluationTokens: Double
  let evaluations: Int
  /// Ranks that have something to train; all take part in an evaluation.
  let trainingRanks: Int
  let ranks: Int
  let rates: ComputeRates

  var roundSeconds: Double { roundTokens / rates.training / Double(trainingRanks) }
  var evaluationSeconds: Double { evaluationTokens / rates.evaluation / Double(ranks) }
  var seconds: Double {
    Double(rounds) * roundSeconds + Double(evaluations) * evaluationSeconds
  }

  /// The estimate as a table.
  var table: String {
    func tokens(_ word: String, _ count: Double, _ rate: Double) -> String {
      "\(word) \(grouped(Int(count))) tokens; a rank computes \(grouped(Int(rate))) a second"
    }
    return "\ntime, if each rank has its own cores\n"
      + alignedText(
        [
          ["part", "about", "of"],
          ["round", duration(roundSeconds), tokens("trains", roundTokens, rates.training)],
          [
            "evaluation", duration(evaluationSeconds),
            tokens("reads", evaluationTokens, rates.evaluation),
          ],
          [
            "run", duration(seconds),
            "all \(grouped(rounds)) round\(rounds == 1 ? "" : "s"), \(grouped(evaluations))"
              + " evaluation\(evaluations == 1 ? "" : "s")",
          ],
        ], indent: "  ")
      + "  rates: measured now, on this machine; without transfers and the server's step\n"
  }

  /// A duration with a digit behind the point below ten seconds.
  private func duration(_ seconds: Double) -> String {
    seconds < 9.95 ? "\(fixed(seconds, 1)) s" : durationText(seconds)
  }
}
