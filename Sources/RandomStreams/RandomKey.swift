// The name of one local step, for random numbers that are drawn inside of it.

/// Identifies one local step, or a micro-batch of it: dropout masks are functions of it.
public struct RandomKey: Sendable, Hashable {
  /// The run's seed.
  public var seed: UInt64
  /// The round, from 0.
  public var round: Int
  /// The client's number in the population.
  public var client: Int
  /// The local step within the client's round, from 0 and counted over all local epochs.
  public var step: Int
  /// The micro-batch of the step, from 0.
  public var microBatch: Int

  /// Names the micro-batch `microBatch` of the local step `step` of `client` in `round`.
  public init(seed: UInt64, round: Int, client: Int, step: Int, microBatch: Int = 0) {
    self.seed = seed
    self.round = round
    self.client = client
    self.step = step
    self.microBatch = microBatch
  }
}
