// The section `federation` without `server`: rounds, cohorts, weights, and the travel of uploads.

package import Federation

extension Experiment {
  /// Rounds, cohorts and the server's optimizer.
  package struct FederationSection: Sendable, Equatable {
    /// Number of rounds.
    package var rounds = 200
    /// Clients of a round, for cohorts drawn by the program.
    var cohortSize = 10
    /// How cohorts are drawn.
    package var cohort = Cohort()
    /// The weight of a client in the mean.
    package var weighting = Weighting.uniform
    /// How the clients' messages reach rank 0.
    package var uploads = UploadCollective.auto
    /// What becomes of a client whose update is not finite.
    package var nonFinite = NonFinitePolicy.refuse
    /// The optimizer that steps the server's vector.
    package var server = Server()

    /// How cohorts are drawn.
    package struct Cohort: Sendable, Equatable {
      /// The rule.
      package var kind = Kind.uniform
      /// File with one line of client numbers per round.
      package var path: String?
      /// The rules by which cohorts are drawn.
      package enum Kind: String, Sendable, CaseIterable { case uniform, file }
    }

    /// The optimizer that steps the server's vector.
    package struct Server: Sendable, Equatable {
      /// The rule.
      package var optimizer = Optimizer.fedAdam
      /// Step size.
      package var learningRate = 0.005
      /// How the step size changes with the round.
      package var schedule = Schedule()
      /// FedAvgM's momentum.
      package var momentum = 0.9
      /// Decay of the first moment; where nothing is given, 0 with FedAdagrad.
      package var beta1 = 0.9
      /// Decay of the second moment; where nothing is given, 0.999 with AdamW.
      package var beta2 = 0.99
      /// Adaptivity of FedAdagrad, FedYogi and FedAdam (Reddi et al. 2021).
      package var tau = 0.001
      /// Added to the root of AdamW's second moment.
      package var epsilon = 1e-8
      /// AdamW's decoupled weight decay.
      package var weightDecay = 0.01

      /// The rules by which the server steps.
      package enum Optimizer: String, Sendable, CaseIterable {
        case sgd
        case fedAvgM = "fed_avgm"
        case fedAdagrad = "fed_adagrad"
        case fedYogi = "fed_yogi"
        case fedAdam = "fed_adam"
        case adamW = "adam_w"
      }
    }
  }
}

extension ExperimentKey {
  static let federationKeys: [ExperimentKey] = [
    ExperimentKey(
      "federation.rounds", \.federation.rounds, .integer(atLeast: 1, atMost: 1 << 31),
      "number of rounds"),
    ExperimentKey(
      "federation.cohort.kind", \.federation.cohort.kind, .choice,
      "how clients are sampled: at random, or from a file"),
    ExperimentKey(
      "federation.cohort.path", optional: \.federation.cohort.path, required: true,
      only: when("federation.cohort.kind", \.federation.cohort.kind, is: .file),
      "JSON file with a list of client numbers for each round, for example [[0, 2], [1, 3]]"),
    ExperimentKey(
      "federation.cohort_size", \.federation.cohortSize, .integer(atLeast: 1, atMost: 1 << 31),
      only: when("federation.cohort.kind", \.federation.cohort.kind, is: .uniform),
      "clients per round"),
    ExperimentKey(
      "federation.weighting", \.federation.weighting, .choice,
      "the weight of a client in the mean: equal for all, or its number of examples"),
    ExperimentKey(
      "federation.uploads", \.federation.uploads, .choice,
      "how MPI ranks exchange uploads: messages of clients (gather, overlapped with training,"
        + " all_gather) or sums of hosts (docs/communication-model.md); changes no result"),
    ExperimentKey(
      "federation.non_finite", \.federation.nonFinite, .choice,
      "if a client's update is not finite: leave it out of the round and report it (refuse), or"
        + " end the run (stop)"),
  ]
}
