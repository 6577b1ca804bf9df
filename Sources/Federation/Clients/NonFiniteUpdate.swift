// A client's update that is not finite. One NaN in one upload would be in the server's vector for good, so
// such an update is never sent. With `NonFinitePolicy.refuse` the client is left out of its round:
//
//   * it found that out itself, so it sends nothing and is charged for its download alone;
//   * the mean is over the other clients, as if it had been lost after its download; what it kept back of
//     earlier rounds (error feedback) stays as it was;
//   * by the virtual clock it is lost when it has computed what it computed;
//   * with privacy on it counts as an upload of zeros: the noise is for cohorts of one size, and a mean over
//     fewer clients would tell that somebody was left out;
//   * a round in which all are refused is one without a step, and some of them in a row end the run.
//
// What a client computes depends on the server's state, its data, the seed and the round, so the same
// clients are refused on any number of ranks.
public import Communication

/// What becomes of a client whose update is not finite.
public enum NonFinitePolicy: String, Sendable, CaseIterable {
  /// It is left out of the round.
  case refuse
  /// The run ends with its name.
  case stop
}

/// What was not finite in a client's round.
public struct NonFiniteUpdate: ErrorWithExitCode, Equatable, CustomStringConvertible {
  /// Where it was found.
  public enum Place: Int, Sendable {
    /// In a gradient, or in the change of the vector.
    case update
    /// In the loss of a batch.
    case loss
    /// In the change with what the client had kept back.
    case residual
  }

  /// Where it was found.
  public var place: Place
  /// The local steps made until then, of `steps`.
  public var step: Int
  /// The local steps of a whole round of this client.
  public var steps: Int
  /// The largest |gradient| of those steps; NaN or infinite where the first one is.
  var largestGradient: Float
  /// The tokens computed until then.
  public var tokens: Int

  /// 65, as for all training that diverges.
  public var exitCode: Int32 { 65 }

  /// For example `the update is not finite (largest |gradient| 3e+38 up to local step 2 of 4; ...)`.
  public var description: String {
    let what =
      switch place {
      case .update: "the update"
      case .loss: "the training loss"
      case .residual: "the update with the residual of earlier rounds"
      }
    return "\(what) is not finite (largest |gradient| \(largestGradient) up to local step \(step) "
      + "of \(steps); try a lower learning_rate)"
  }
}

extension RoundContext {
  /// The report on a client that is left out of the round.
  ///
  /// - Parameters:
  ///   - error: The error that its training threw.
  ///   - seconds: The wall seconds of its training.
  /// - Throws: `error` if it is another one, or the plan wants the run to end.
  func refusal(of client: Int, position: Int, _ error: any Error, seconds: Double) throws
    -> ClientReport
  {
    guard plan.nonFinite == .refuse,
      let cause = (error as? FederationError)?.underlying as? NonFiniteUpdate
    else { throw error }
    return ClientReport(
      position: position, rank: communicator.rank,
      examples: population.exampleCount(of: client), steps: cause.step,
      sums: LossSums(tokens: cause.tokens), seconds: seconds, upload: .zero, uploadNonzeros: 0,
      largestMagnitude: 0, measure: 0, uploadNorm: 0, refusal: cause)
  }
}
