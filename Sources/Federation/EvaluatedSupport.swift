// What the last evaluation saw of the server's vector: the masked vector is nobody's state, and its mask
// was chosen before the server's step, so neither can be found again from the state alone.

public import Sparsity

/// The coordinates of the server's vector that an evaluation saw.
public struct EvaluatedSupport: Sendable, Equatable {
  /// The number of rounds finished before the evaluation.
  public let rounds: Int
  /// The coordinates, all others being zero; nil where the whole vector was evaluated.
  public let mask: SupportMask?

  /// What was evaluated after so many rounds.
  public init(rounds: Int, mask: SupportMask?) {
    self.rounds = rounds
    self.mask = mask
  }
}

extension FederatedRun {
  /// Keeps what the evaluation after `round` sees: the masked vector where it is evaluated at all.
  func noteEvaluation(after round: Int, within mask: SupportMask?) {
    let isMasked = plan.evaluation.vectors.contains(.masked) && mask?.isAll == false
    evaluatedSupport = EvaluatedSupport(rounds: round + 1, mask: isMasked ? mask : nil)
  }
}
