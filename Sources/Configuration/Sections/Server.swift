// The keys of `federation.server` and the optimizer that they make.

package import Federation

extension ExperimentKey {
  static let serverKeys: [ExperimentKey] = [
    ExperimentKey(
      "federation.server.optimizer", \.federation.server.optimizer, .choice,
      "the server's optimizer: sgd, fed_avgm (Hsu et al. 2019), fed_adagrad, fed_yogi, fed_adam"
        + " (Reddi et al. 2021), or adam_w (as in PyTorch)"),
    ExperimentKey(
      "federation.server.learning_rate", \.federation.server.learningRate, .number(.positiveFloat),
      "the server's step size"),
    ExperimentKey(
      "federation.server.momentum", \.federation.server.momentum, .number(.floatShare),
      only: serverIs(.fedAvgM), "decay of FedAvgM's moment, the sum of past pseudo-gradients"),
    ExperimentKey(
      "federation.server.beta1", \.federation.server.beta1, .number(.floatShare),
      only: serverIs(.fedAdagrad, .fedYogi, .fedAdam, .adamW),
      "decay of the first moment; with fed_adagrad the default is 0"),
    ExperimentKey(
      "federation.server.beta2", \.federation.server.beta2, .number(.floatShare),
      only: serverIs(.fedYogi, .fedAdam, .adamW),
      "decay of the second moment; with adam_w the default is 0.999"),
    ExperimentKey(
      "federation.server.tau", \.federation.server.tau, .number(.rootFloat),
      only: serverIs(.fedAdagrad, .fedYogi, .fedAdam),
      "adaptivity of FedAdagrad, FedYogi and FedAdam; the second moment starts at tau squared"),
    ExperimentKey(
      "federation.server.epsilon", \.federation.server.epsilon, .number(.positiveFloat),
      only: serverIs(.adamW), "added to the root of AdamW's second moment"),
    ExperimentKey(
      "federation.server.weight_decay", \.federation.server.weightDecay, .number(.float),
      only: serverIs(.adamW), "AdamW's decoupled weight decay"),
    ExperimentKey(
      "federation.server.schedule.kind", \.federation.server.schedule.kind, .choice,
      "schedule of the server's step size over the rounds"),
    ExperimentKey(
      "federation.server.schedule.warmup_rounds", \.federation.server.schedule.warmupRounds,
      .warmup, warmupMeaning),
    ExperimentKey(
      "federation.server.schedule.final", \.federation.server.schedule.final, .finalShare,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .linear, .cosine),
      finalMeaning),
    ExperimentKey(
      "federation.server.schedule.factor", \.federation.server.schedule.factor, .shrinkage,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .exponential),
      factorMeaning),
    ExperimentKey(
      "federation.server.schedule.period", \.federation.server.schedule.period, .period,
      only: when(
        "federation.server.schedule.kind", \.federation.server.schedule.kind, is: .exponential),
      periodMeaning),
  ]

  private static func serverIs(
    _ optimizers: Experiment.FederationSection.Server.Optimizer...
  ) -> Condition {
    Condition(
      path: "federation.server.optimizer", values: optimizers.map(\.rawValue),
      current: { $0.federation.server.optimizer.rawValue })
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
