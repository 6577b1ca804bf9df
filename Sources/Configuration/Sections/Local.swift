// The section `local`: the training of a client in a round.

package import Federation

extension Experiment {
  /// What a client does in a round.
  package struct LocalSection: Sendable, Equatable {
    /// Passes over the client's examples.
    package var epochs = 1
    /// Examples of a local step.
    package var batchSize = 16
    /// The client's optimizer.
    package var optimizer = Optimizer.sgd
    /// Its step size.
    package var learningRate = 0.005
    /// How the step size changes with the round.
    package var schedule = Schedule()
    /// The momentum of SGD.
    package var momentum = 0.9
    /// Decay of AdamW's first moment.
    package var beta1 = 0.9
    /// Decay of AdamW's second moment.
    package var beta2 = 0.999
    /// Added to the root of AdamW's second moment.
    package var epsilon = 1e-8
    /// AdamW's decoupled weight decay.
    package var weightDecay = 0.01
    /// The weight mu of FedProx's term.
    package var proximal = 0.0
    /// Whether each pass has its own order.
    package var shuffle = true

    /// The client's optimizers.
    package enum Optimizer: String, Sendable, CaseIterable {
      case sgd
      case adamW = "adam_w"
    }
  }
}

extension ExperimentKey {
  static let localKeys: [ExperimentKey] = [
    ExperimentKey(
      "local.epochs", \.local.epochs, .integer(atLeast: 1, atMost: 1 << 20),
      "passes of a client over its examples in a round"),
    ExperimentKey(
      "local.batch_size", \.local.batchSize, .integer(atLeast: 1, atMost: 1 << 30),
      "examples per local step"),
    ExperimentKey(
      "local.optimizer", \.local.optimizer, .choice,
      "the clients' optimizer, as in PyTorch; its moments start at zero for each client and round"),
    ExperimentKey(
      "local.learning_rate", \.local.learningRate, .number(.positiveFloat), "the clients' step size"
    ),
    ExperimentKey(
      "local.momentum", \.local.momentum, .number(.floatShare),
      only: when("local.optimizer", \.local.optimizer, is: .sgd),
      "the clients' momentum; it starts at zero for each client and round"),
    ExperimentKey(
      "local.beta1", \.local.beta1, .number(.floatShare),
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "decay of AdamW's first moment"),
    ExperimentKey(
      "local.beta2", \.local.beta2, .number(.floatShare),
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "decay of AdamW's second moment"),
    ExperimentKey(
      "local.epsilon", \.local.epsilon, .number(.positiveFloat),
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "added to the root of AdamW's second moment"),
    ExperimentKey(
      "local.weight_decay", \.local.weightDecay, .number(.float),
      only: when("local.optimizer", \.local.optimizer, is: .adamW),
      "AdamW's decoupled weight decay"),
    ExperimentKey(
      "local.proximal", \.local.proximal, .number(.float),
      "FedProx's mu (Li et al. 2020): the local loss gets mu / 2 times the squared distance from"
        + " the downloaded vector"),
    ExperimentKey(
      "local.shuffle", \.local.shuffle, .boolean,
      "whether the examples are shuffled before each pass"),
    ExperimentKey(
      "local.schedule.kind", \.local.schedule.kind, .choice,
      "schedule of the clients' step size over the rounds"),
    ExperimentKey(
      "local.schedule.warmup_rounds", \.local.schedule.warmupRounds, .warmup, warmupMeaning),
    ExperimentKey(
      "local.schedule.final", \.local.schedule.final, .finalShare,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .linear, .cosine),
      finalMeaning),
    ExperimentKey(
      "local.schedule.factor", \.local.schedule.factor, .shrinkage,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .exponential),
      factorMeaning),
    ExperimentKey(
      "local.schedule.period", \.local.schedule.period, .period,
      only: when("local.schedule.kind", \.local.schedule.kind, is: .exponential),
      periodMeaning),
  ]
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
