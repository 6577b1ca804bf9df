// The part of the server's vector that the last evaluation saw. The mask was chosen before the
// server's step, so it cannot be found again from the state after the step.

public import Sparsity

/// The coordinates of the server's vector that an evaluation saw.
public struct EvaluatedSupport: Sendable, Equatable {
  /// The number of rounds finished before the evaluation.
  public let rounds: Int
  /// The coordinates, all others being zero; nil where the whole vector was evaluated.
  public let mask: SupportMask?

  /// The support of an evaluation after `rounds` rounds.
  public init(rounds: Int, mask: SupportMask?) {
    self.rounds = rounds
    self.mask = mask
  }
}

extension FederatedRun {
  /// Keeps the support of the evaluation after `round`: the mask, if the masked vector is
  /// evaluated.
  func noteEvaluation(after round: Int, within mask: SupportMask?) {
    let isMasked = plan.evaluation.vectors.contains(.masked) && mask?.isAll == false
    evaluatedSupport = EvaluatedSupport(rounds: round + 1, mask: isMasked ? mask : nil)
  }
}
