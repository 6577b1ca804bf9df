// `Experiment`, as a user writes it -> `FederationPlan`, as the round reads it.

package import Federation
internal import Files
import Foundation
internal import Safetensors
internal import Sparsity

extension Experiment {
  /// What the federation plays.
  /// - Throws: `CommandFailure` where the cohort file or the trace is missing or malformed.
  package func federationPlan(assets: AssetDirectory) throws -> FederationPlan {
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
  package var plan: Method {
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
  package var plan: ServerOptimizer {
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
  package var plan: Privacy? {
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
  package func plan(rounds: Int) -> LocalTraining {
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
  package func plan(rounds: Int) -> LearningRateSchedule {
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
  package var vectors: [EvaluatedVector] {
    switch self {
    case .yes: [.masked]
    case .no: [.whole]
    case .both: [.masked, .whole]
    }
  }
}
