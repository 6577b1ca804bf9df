// Randomness as a function of names: the numbers of a stream depend on (seed, purpose, round,
// client, step) and on nothing that was drawn before or elsewhere, so every rank draws the same, in
// any order.

/// A stream of random numbers, named by what it is for.
///
/// The Philox key is the seed; the counter's words are the block number within the stream, the
/// purpose (8 bits) with the step (24 bits), the round, and the client. A stream holds 2^33 64-bit
/// numbers.
public struct RandomStream: RandomNumberGenerator, Sendable {
  /// What the numbers decide; streams of different purposes are independent.
  public enum Purpose: UInt8, Sendable, CaseIterable {
    /// Which clients take part in a round.
    case cohort = 1
    /// Which client owns which example.
    case partition
    /// The order of a client's examples.
    case batches
    /// The first value of the adapter.
    case adapterInitialization
    /// The first value of the task head.
    case headInitialization
    /// Which activations are dropped.
    case dropout
    /// Choices among coordinates.
    case selection
    /// Which examples are held out.
    case split
    /// Noise for privacy.
    case noise
    /// Which kind of client a client is.
    case tier
    /// Which way a value is rounded.
    case rounding
    /// What a client's device and link can do.
    case device
    /// Whether a client is there in a round, and stays.
    case availability
    /// Points of a sweep.
    case search
  }

  private let key: SIMD2<UInt32>
  private var counter: SIMD4<UInt32>
  private var spare: UInt64 = 0
  private var hasSpare = false

  /// The stream of that name, at its start.
  ///
  /// - Precondition: `round` and `client` are in 0 ..< 2^32, `step` in 0 ..< 2^24.
  public init(seed: UInt64, purpose: Purpose, round: Int = 0, client: Int = 0, step: Int = 0) {
    precondition(round >= 0 && round >> 32 == 0, "round \(round) is not in 0 ..< 2^32")
    precondition(client >= 0 && client >> 32 == 0, "client \(client) is not in 0 ..< 2^32")
    precondition(step >= 0 && step >> 24 == 0, "step \(step) is not in 0 ..< 2^24")
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    counter = SIMD4(
      0, UInt32(purpose.rawValue) | UInt32(step) << 8, UInt32(round), UInt32(client))
  }

  /// The next 64 bits: words 0 and 1 of a block (0 the lower half), then words 2 and 3.
  public mutating func next() -> UInt64 {
    if hasSpare {
      hasSpare = false
      return spare
    }
    let words = Philox.block(counter: counter, key: key)
    precondition(counter[0] < .max, "a stream ends after 2^33 numbers")
    counter[0] += 1
    spare = UInt64(words[3]) << 32 | UInt64(words[2])
    hasSpare = true
    return UInt64(words[1]) << 32 | UInt64(words[0])
  }

  /// Uniform in [0, 1): a multiple of 2^-53.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform in 0 ..< `bound`, without bias.
  ///
  /// The upper half of a 64 x 64-bit product, redrawn where the lower half shows a bias (Lemire,
  /// "Fast random integer generation in an interval", ACM TOMACS 29, 2019).
  /// - Precondition: `bound` > 0.
  public mutating func integer(below bound: Int) -> Int {
    precondition(bound > 0, "no integer is in 0 ..< \(bound)")
    let bound = UInt64(bound)
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let threshold = (0 &- bound) % bound
      while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }
}
