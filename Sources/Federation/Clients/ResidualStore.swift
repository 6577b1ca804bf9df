// Where clients keep the part of their deltas that they have not sent yet (error feedback). A client
// may be trained on another rank in each round, so a store is one for all ranks.
internal import Synchronization

/// Residuals by client. Between two rounds every rank sees what any rank has kept.
public protocol ResidualStore: AnyObject, Sendable {
  /// What a client kept in its last round before `round`; nil where it never took part.
  func residual(of client: Int, before round: Int) throws -> [Float]?
  /// Keeps a residual for a client's next round.
  func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) throws
  /// Takes back what was kept in this round, whose upload did not count: the client has again what
  /// it had before.
  func withdraw(_ client: Int, round: Int) throws
}

/// Residuals in the memory of one process: n floats for each client that has taken part.
public final class ResidualsInMemory: ResidualStore {
  private struct Kept {
    var residuals: [Int: [Float]] = [:]
    /// The round that is played, and what its residuals replaced.
    var round = -1
    var replaced: [Int: [Float]?] = [:]
  }
  private let kept = Mutex(Kept())

  /// A store without residuals.
  public init() {}

  /// What a client kept.
  public func residual(of client: Int, before round: Int) -> [Float]? {
    kept.withLock { kept in
      // Of a round that is played again, what was there before it.
      if kept.round >= round, let before = kept.replaced[client] { return before }
      return kept.residuals[client]
    }
  }

  /// Keeps a residual.
  public func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) {
    let copy = Array(residual)
    kept.withLock { kept in
      if kept.round != round { (kept.round, kept.replaced) = (round, [:]) }
      if kept.replaced.index(forKey: client) == nil {
        kept.replaced.updateValue(kept.residuals[client], forKey: client)
      }
      kept.residuals[client] = copy
    }
  }

  /// Takes back what was kept in this round.
  public func withdraw(_ client: Int, round: Int) {
    kept.withLock { kept in
      guard kept.round == round, let before = kept.replaced.removeValue(forKey: client) else {
        return
      }
      kept.residuals[client] = before
    }
  }
}
