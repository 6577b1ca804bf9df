// Where clients keep the part of their deltas that they have not sent yet (error feedback). A client
// may be trained on another rank in each round, so a store is one for all ranks.
internal import Synchronization

/// Residuals by client. Between two rounds every rank sees what any rank has kept.
public protocol ResidualStore: AnyObject, Sendable {
  /// What a client kept in its last round before `round`; nil where it never took part.
  func residual(of client: Int, before round: Int) throws -> [Float]?
  /// Keeps a residual for a client's next round.
  func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) throws
}

/// Residuals in the memory of one process: n floats for each client that has taken part.
public final class ResidualsInMemory: ResidualStore {
  private let kept = Mutex<[Int: [Float]]>([:])

  /// A store without residuals.
  public init() {}

  /// What a client kept.
  public func residual(of client: Int, before round: Int) -> [Float]? {
    kept.withLock { $0[client] }
  }

  /// Keeps a residual.
  public func keep(_ residual: UnsafeBufferPointer<Float>, of client: Int, round: Int) {
    let copy = Array(residual)
    kept.withLock { $0[client] = copy }
  }
}
