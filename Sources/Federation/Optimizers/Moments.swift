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

/// Collects what is wrong with an optimizer's values, one line each.
struct ValueChecks {
  /// Whose values these are: server or local.
  let owner: String
  private(set) var problems: [String] = []

  init(_ owner: String) { self.owner = owner }

  mutating func require(
    _ condition: Bool, _ name: String, _ value: some CustomStringConvertible, _ allowed: String
  ) {
    if !condition { problems.append("\(owner) \(name) is \(value); it must be \(allowed)") }
  }

  mutating func requirePositive(_ name: String, _ value: Double) {
    require(value > 0 && value.isFinite, name, value, "greater than 0")
  }

  mutating func requireNotNegative(_ name: String, _ value: Double) {
    require(value >= 0 && value.isFinite, name, value, "at least 0")
  }

  /// Of a value that is computed with as a Float: it is neither 0 nor infinite then.
  mutating func requirePositiveFloat(_ name: String, _ value: Double) {
    require(
      value >= FloatRange.smallest && value <= FloatRange.largest, name, value,
      "from \(FloatRange.smallest) to \(FloatRange.largest)")
  }

  /// Of a value that is computed with as a Float: it is infinite in no case, and 0 only where it is 0 itself.
  mutating func requireFloat(_ name: String, _ value: Double) {
    require(
      value == 0 || (value >= FloatRange.smallest && value <= FloatRange.largest), name, value,
      "0, or from \(FloatRange.smallest) to \(FloatRange.largest)")
  }

  /// Of a value whose square is computed with as a Float, too.
  mutating func requireRootFloat(_ name: String, _ value: Double) {
    require(
      value >= FloatRange.smallestRoot && value <= FloatRange.largestRoot, name, value,
      "from \(FloatRange.smallestRoot) to \(FloatRange.largestRoot)")
  }

  /// Of a factor that is below 1 as a Float, too.
  mutating func requireDecay(_ name: String, _ value: Double) {
    require(
      value == 0 || (value >= FloatRange.smallest && value <= FloatRange.largestShare), name, value,
      "0, or from \(FloatRange.smallest) to \(FloatRange.largestShare)")
  }

  mutating func requireAdamW(
    _ beta1: Double, _ beta2: Double, _ epsilon: Double, _ weightDecay: Double
  ) {
    requireDecay("beta1", beta1)
    requireDecay("beta2", beta2)
    requirePositiveFloat("epsilon", epsilon)
    requireFloat("weight_decay", weightDecay)
  }
}
