// What the server's and the clients' optimizers share: moments and Adam's step on one
// coordinate. Element by element in Float without fused multiply-add: the same bits
// everywhere.

internal import Sparsity

/// The moving averages of a gradient and of its square.
struct MomentRates {
  private let keep1: Float
  private let take1: Float
  private let keep2: Float
  private let take2: Float

  init(_ beta1: Double, _ beta2: Double) {
    (keep1, take1) = (Float(beta1), Float(1 - beta1))
    (keep2, take2) = (Float(beta2), Float(1 - beta2))
  }

  /// m <- b1 m + (1-b1) g.
  @inline(__always)
  func updateFirst(_ first: inout Float, _ gradient: Float) {
    // From the nearer end, as torch.lerp: exact where g equals m, and where b1 is 0. From m alone, a
    // small b1 would leave m's roundings in a much smaller g.
    let difference = gradient - first
    first = take1 < 0.5 ? first + take1 * difference : gradient - keep1 * difference
  }

  /// v <- b2 v + (1-b2) g^2.
  @inline(__always)
  func updateSecond(_ second: inout Float, _ gradient: Float) {
    second = keep2 * second + take2 * (gradient * gradient)
  }

  /// v <- v - (1-b2) g^2 sign(v - g^2), FedYogi's.
  @inline(__always)
  func updateSecondBySign(_ second: inout Float, _ gradient: Float) {
    let square = gradient * gradient
    let change = take2 * square
    second += square > second ? change : square < second ? -change : 0
  }
}

/// One AdamW step on each coordinate, in the order of torch.optim.AdamW (Loshchilov & Hutter 2019,
/// Algorithm 2): m and v as above from 0, then with t the step's number from 1
///
///   p <- p (1 - eta w),  p <- p - eta / (1-b1^t) * m / (sqrt v / sqrt(1-b2^t) + epsilon).
struct AdamWStep {
  private let moments: MomentRates
  private let rate: Float
  private let correction: Float
  private let decay: Float
  private let epsilon: Float

  init(
    learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
    step: Int
  ) {
    moments = MomentRates(beta1, beta2)
    rate = Float(learningRate / (1 - power(beta1, step)))
    correction = Float((1 - power(beta2, step)).squareRoot())
    decay = Float(1 - learningRate * weightDecay)
    self.epsilon = Float(epsilon)
  }

  @inline(__always)
  func apply(
    _ parameter: inout Float, _ first: inout Float, _ second: inout Float, _ gradient: Float
  ) {
    moments.updateFirst(&first, gradient)
    moments.updateSecond(&second, gradient)
    let scale = second.squareRoot() / correction + epsilon
    parameter = parameter * decay - rate * first / scale
  }
}

extension ValueChecks {
  /// The values of AdamW, the server's or the clients'.
  mutating func requireAdamW(
    _ beta1: Double, _ beta2: Double, _ epsilon: Double, _ weightDecay: Double
  ) {
    require("beta1", beta1, in: .floatShare)
    require("beta2", beta2, in: .floatShare)
    require("epsilon", epsilon, in: .positiveFloat)
    require("weight_decay", weightDecay, in: .float)
  }
}
