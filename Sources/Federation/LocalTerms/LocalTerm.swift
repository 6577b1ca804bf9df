// Terms of the local loss beside the mean loss over a client's examples. A further one is a file beside
// this one and a row of `LocalTerms.all`; its numbers are plain values of the plan.

/// A term of one client's loss in one round.
package protocol LocalTerm: Sendable {
  /// The term of a client in this plan.
  ///
  /// - Returns: nil if the plan has no such term or it is 0 for this client: a gradient of zeros could
  ///   change a sign of zero.
  init?(_ plan: FederationPlan, _ client: LocalTermClient)

  /// Adds the term's gradient at `parameters` of a client that started from `start`.
  ///
  /// All three are n long, the length of the trainable vector.
  func addGradient(
    at parameters: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>)

  /// The LoRA ranks that the client keeps from now on; nil if it keeps all of them.
  func ranksLeft(
    after trained: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>
  ) -> Int?
}

extension LocalTerm {
  /// All ranks stay.
  package func ranksLeft(
    after trained: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>
  ) -> Int? { nil }
}

/// What a local term may know of its client.
package struct LocalTermClient {
  /// LoRA's factors in the trainable vector; nil if it does not have both of every pair.
  let factors: FactorLayout?
  /// The LoRA ranks that the client has.
  let loraRank: Int
}

/// The table of local terms.
package enum LocalTerms {
  /// The variants, in the order in which their gradients are added.
  static let all: [any LocalTerm.Type] = [RankTail.self, ProximalTerm.self]

  /// The terms of a client's loss; most plans have none.
  static func terms(of plan: FederationPlan, for client: LocalTermClient) -> [any LocalTerm] {
    all.compactMap { $0.init(plan, client) }
  }
}
