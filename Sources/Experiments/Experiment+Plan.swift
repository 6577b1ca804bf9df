// `Experiment`, as a user writes it -> `FederationPlan`, as the round reads it.

public import Federation
import Foundation
internal import Safetensors
internal import Sparsity

extension Experiment {
  /// What the federation plays.
  /// - Throws: `CommandFailure` where the cohort file or the trace is missing or malformed.
  public func federationPlan(assets: AssetDirectory) throws -> FederationPlan {
    FederationPlan(
      rounds: federation.rounds, cohort: try cohortPlan(assets: assets),
      weighting: federation.weighting,
      method: method.plan,
      server: federation.server.plan,
      serverSchedule: federation.server.schedule.plan(rounds: federation.rounds),
      local: local.plan(rounds: federation.rounds), privacy: privacy.plan,
      evaluation: EvaluationPlan(
        every: evaluation.every, splits: evaluation.splits,
        maximumExamples: evaluation.maximumExamples, vectors: evaluation.masked.vectors,
        tiers: evaluation.tiers, clients: evaluation.clients, holdout: evaluation.holdout),
      seed: seed, uploads: federation.uploads,
      system: try systemModel(assets: assets), nonFinite: federation.nonFinite)
  }

  private func cohortPlan(assets: AssetDirectory) throws -> CohortPlan {
    guard federation.cohort.kind == .file, let name = federation.cohort.path else {
      return .uniform(size: federation.cohortSize)
    }
    let path = assets.resolve(name)
    let text = try readText(path, what: "cohort file")
    guard let cohorts = try? JSONDecoder().decode([[Int]].self, from: Data(text.utf8)) else {
      throw CommandFailure(
        ExitCode.data,
        "\(path): not a JSON list of lists of client numbers, a list for each round, as [[0, 2], [1]]"
      )
    }
    return .file(cohorts)
  }
}

extension Experiment.MethodSection {
  var plan: Method {
    Method(
      download: download.selection, upload: upload.selection,
      persistence: persistence, trained: trainable, residual: residual, aggregation: aggregation,
      values: MessageValues(download: download.values, upload: upload.values),
      downloadIndices: download.indices, tiers: tiers, tierAssignment: tierAssignment,
      rankPruning: rankPruning.factor < 1
        ? RankPruning(factor: rankPruning.factor, penalty: rankPruning.penalty) : nil)
  }
}

extension Experiment.MethodSection.Download {
  fileprivate var selection: Selection {
    switch select {
    case .all: .all
    case .topMagnitude: .topMagnitude(density)
    case .random: .random(density)
    }
  }
}

extension Experiment.MethodSection.Upload {
  fileprivate var selection: Selection {
    switch select {
    case .all: .all
    case .topMagnitude: .topMagnitude(density)
    case .random: .random(density)
    case .downloaded: .downloaded
    }
  }
}

extension Experiment.FederationSection.Server {
  var plan: ServerOptimizer {
    switch optimizer {
    case .sgd: .sgd(learningRate: learningRate)
    case .fedAvgM: .fedAvgM(learningRate: learningRate, momentum: momentum)
    case .fedAdagrad: .fedAdagrad(learningRate: learningRate, beta1: beta1, tau: tau)
    case .fedYogi: .fedYogi(learningRate: learningRate, beta1: beta1, beta2: beta2, tau: tau)
    case .fedAdam: .fedAdam(learningRate: learningRate, beta1: beta1, beta2: beta2, tau: tau)
    case .adamW:
      .adamW(
        learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: weightDecay)
    }
  }
}

extension Experiment.PrivacySection {
  var plan: Privacy? {
    let clipping: Privacy.Clipping
    switch self.clipping {
    case .none: return nil
    case .fixed: clipping = .fixed(clip)
    case .adaptive:
      clipping = .adaptive(
        AdaptiveClip(
          initial: clip, quantile: clipQuantile, learningRate: clipLearningRate,
          countDeviation: clipCountDeviation))
    }
    return Privacy(
      clipping: clipping,
      noise: targetEpsilon.map { .targetEpsilon($0) } ?? .multiplier(noiseMultiplier),
      delta: delta, noiseCohortSize: noiseCohortSize, population: population)
  }
}

extension Experiment.LocalSection {
  func plan(rounds: Int) -> LocalTraining {
    let optimizer: LocalOptimizer =
      switch self.optimizer {
      case .sgd: .sgd(momentum: Float(momentum))
      case .adamW:
        .adamW(beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
      }
    return LocalTraining(
      epochs: epochs, batchSize: batchSize, learningRate: Float(learningRate),
      schedule: schedule.plan(rounds: rounds), optimizer: optimizer, proximal: Float(proximal),
      shuffle: shuffle)
  }
}

extension Experiment.Schedule {
  func plan(rounds: Int) -> LearningRateSchedule {
    let decay: LearningRateSchedule.Decay =
      switch kind {
      case .constant: .constant
      case .linear: .linear(final: final, rounds: rounds)
      case .cosine: .cosine(final: final, rounds: rounds)
      case .exponential: .exponential(factor: factor, period: period)
      }
    return LearningRateSchedule(decay: decay, warmupRounds: warmupRounds)
  }
}

extension Experiment.EvaluationSection.Masked {
  var vectors: [EvaluatedVector] {
    switch self {
    case .yes: [.masked]
    case .no: [.whole]
    case .both: [.masked, .whole]
    }
  }
}

/// The text of an input file.
///
/// - Parameter limit: The most bytes; what comes after them is not read.
/// - Throws: `CommandFailure`: 66 if it does not exist, 74 if it cannot be read, 65 if it is not a
///   text, 64 if it has more than `limit` bytes.
func readText(_ path: String, what: String, atMost limit: Int = .max) throws -> String {
  let bytes: [UInt8]?
  do {
    bytes = try contentsIfThere(of: path, atMost: limit)
  } catch let error as SafetensorsError {
    throw CommandFailure(
      error.errorNumber == nil ? ExitCode.usage : ExitCode.inputOutput,
      "\(what) \(path)\(error.errorNumber == nil ? " " : ": ")\(error.reason)")
  }
  guard let bytes else {
    throw CommandFailure(ExitCode.missingInput, "\(what) \(path) does not exist")
  }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw CommandFailure(ExitCode.data, "\(what) \(path) is not a text in UTF-8")
  }
  return text
}
