// The part of the server's vector that the last evaluation saw. The mask was chosen before the
// server's step, so it cannot be found again from the state after the step.

internal import Sparsity

/// The coordinates of the server's vector that an evaluation saw.
public struct EvaluatedSupport: Sendable, Equatable {
  /// The number of rounds finished before the evaluation.
  public let rounds: Int
  /// A bit for each coordinate, the lowest bit of a byte first: 1 where the evaluation saw its value,
  /// 0 where it saw zero. nil where the whole vector was evaluated.
  public let bits: [UInt8]?

  /// The support of an evaluation after `rounds` rounds, within a mask.
  init(rounds: Int, mask: SupportMask?) {
    self.rounds = rounds
    guard let mask, !mask.isAll else {
      bits = nil
      return
    }
    var bits = [UInt8](repeating: 0, count: (mask.length + 7) / 8)
    for index in mask.indices { bits[Int(index) / 8] |= 1 << (index % 8) }
    self.bits = bits
  }
}
