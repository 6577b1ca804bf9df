// The server's step on the trainable vector P with the pseudo-gradient g (the cohort's mean of
// downloaded minus trained, so that the server descends along it as along a gradient).
//
//   sgd         P <- P - eta g
//   fedAvgM     v <- beta v + g,  P <- P - eta v,  v = 0 at the start
//               Hsu, Qi & Brown 2019, "Measuring the effects of non-identical data distribution for
//               federated visual classification", section 4.3 (there with eta = 1); the same as
//               torch.optim.SGD with momentum.
//   fedAdagrad  v <- v + g^2                           Reddi et al. 2021, "Adaptive Federated
//   fedYogi     v <- v - (1-b2) g^2 sign(v - g^2)      Optimization", Algorithm 2 (there with
//   fedAdam     v <- b2 v + (1-b2) g^2                 Delta = -g): all three with
//               m <- b1 m + (1-b1) g,  P <- P - eta m / (sqrt v + tau),
//               no bias correction, m starts at 0 and v at tau^2.
//   adamW       Loshchilov & Hutter 2019, Algorithm 2, in the order of torch.optim.AdamW
//               (Moments.swift); it is what the public FLASC scripts call FedAdam (with weight
//               decay 0.01).
//
// eta is the learning rate times the schedule's factor for the round. All loops are element by
// element in Float without fused multiply-add: the same bits everywhere.

/// How the server turns a round's pseudo-gradient into a step.
public enum ServerOptimizer: Sendable, Equatable {
  /// Gradient descent; with learning rate 1 it is federated averaging.
  case sgd(learningRate: Double)
  /// Hsu et al.'s FedAvgM.
  case fedAvgM(learningRate: Double, momentum: Double = 0.9)
  /// Reddi et al.'s FedAdagrad; they use it without momentum.
  case fedAdagrad(learningRate: Double, beta1: Double = 0, tau: Double = 1e-3)
  /// Reddi et al.'s FedYogi.
  case fedYogi(learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.99, tau: Double = 1e-3)
  /// Reddi et al.'s FedAdam.
  case fedAdam(learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.99, tau: Double = 1e-3)
  /// PyTorch's AdamW.
  case adamW(
    learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0.01)

  /// How many moments of the vector's length it keeps: none, the first, or the first and second.
  public var momentCount: Int {
    switch self {
    case .sgd: 0
    case .fedAvgM: 1
    case .fedAdagrad, .fedYogi, .fedAdam, .adamW: 2
    }
  }

  /// The value with which every coordinate of the second moment starts.
  var initialSecondMoment: Float {
    switch self {
    case .fedAdagrad(_, _, let tau), .fedYogi(_, _, _, let tau), .fedAdam(_, _, _, let tau):
      Float(tau * tau)
    case .sgd, .fedAvgM, .adamW: 0
    }
  }

  /// The step size before the schedule's factor.
  var learningRate: Double {
    switch self {
    case .sgd(let rate), .fedAvgM(let rate, _), .fedAdagrad(let rate, _, _),
      .fedYogi(let rate, _, _, _), .fedAdam(let rate, _, _, _), .adamW(let rate, _, _, _, _):
      rate
    }
  }

  /// What is wrong with its values.
  public var problems: [PlanProblem] {
    var checks = ValueChecks("federation.server")
    switch self {
    case .sgd(let learningRate):
      checks.require("learning_rate", learningRate, in: .positiveFloat)
    case .fedAvgM(let learningRate, let momentum):
      checks.require("learning_rate", learningRate, in: .positiveFloat)
      checks.require("momentum", momentum, in: .floatShare)
    case .fedAdagrad(let learningRate, let beta1, let tau):
      checks.require("learning_rate", learningRate, in: .positiveFloat)
      checks.require("beta1", beta1, in: .floatShare)
      checks.require("tau", tau, in: .rootFloat)
    case .fedYogi(let learningRate, let beta1, let beta2, let tau),
      .fedAdam(let learningRate, let beta1, let beta2, let tau):
      checks.require("learning_rate", learningRate, in: .positiveFloat)
      checks.require("beta1", beta1, in: .floatShare)
      checks.require("beta2", beta2, in: .floatShare)
      checks.require("tau", tau, in: .rootFloat)
    case .adamW(let learningRate, let beta1, let beta2, let epsilon, let weightDecay):
      checks.require("learning_rate", learningRate, in: .positiveFloat)
      checks.requireAdamW(beta1, beta2, epsilon, weightDecay)
    }
    return checks.problems
  }
}
