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
    plan(cohort: try cohortPlan(assets: assets), system: try systemModel(assets: assets))
  }

  /// What is wrong with the plan as far as no input file is needed, its method's fit to the adapter
  /// included.
  var planProblems: [PlanProblem] {
    let cohort =
      federation.cohort.kind == .file ? CohortPlan.file([]) : .uniform(size: federation.cohortSize)
    let plan = plan(cohort: cohort, system: systemModel { .trace([]) })
    var found = plan.problems
    if ExperimentKey.partitionClients?.counts(in: self) == true {
      found += plan.fitProblems(population: partition.clients)
    }
    return found + plan.method.problems(of: adapterTraits)
  }

  private func plan(cohort: CohortPlan, system: SystemModel?) -> FederationPlan {
    FederationPlan(
      rounds: federation.rounds, cohort: cohort, weighting: federation.weighting,
      method: method.plan, server: federation.server.plan,
      serverSchedule: federation.server.schedule.plan(rounds: federation.rounds),
      local: local.plan(rounds: federation.rounds), privacy: privacy.plan,
      evaluation: EvaluationPlan(
        every: evaluation.every, splits: evaluation.splits,
        maximumExamples: evaluation.maximumExamples, vectors: evaluation.masked.vectors,
        tiers: evaluation.tiers, clients: evaluation.clients, holdout: evaluation.holdout),
      seed: seed, uploads: federation.uploads, system: system, nonFinite: federation.nonFinite)
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
