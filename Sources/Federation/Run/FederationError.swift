public import Communication

/// Why a federated run cannot start or go on, in one line (a plan's problems: a line each) that
/// names the round and the client where there are such.
public struct FederationError: ErrorWithExitCode, CustomStringConvertible {
  /// The round in which it happened; nil before the first.
  public let round: Int?
  /// The client whose training it was; nil for anything else.
  public let client: Int?
  /// What was found, and what is allowed.
  public let reason: String
  /// The error of another part that this one wraps, for callers that tell kinds of errors apart.
  package let underlying: (any Error)?
  /// The exit code with which the program should end: 64 for a plan that makes no sense, 65 for data
  /// that it cannot work with and for training that diverges, otherwise that of `underlying`.
  public let exitCode: Int32
  /// The problems of a plan that is refused; empty for other errors.
  package let problems: [PlanProblem]

  /// An error of the run as a whole, of a round, or of a client in a round.
  public init(
    round: Int? = nil, client: Int? = nil, reason: String, underlying: (any Error)? = nil,
    exitCode: Int32 = 65
  ) {
    self.round = round
    self.client = client
    self.reason = reason
    self.underlying = underlying
    let code = underlying.map { ($0 as? any ErrorWithExitCode)?.exitCode ?? 70 }
    self.exitCode = code ?? exitCode
    problems = []
  }

  /// Refuses a plan that has problems, with all of them, a line each.
  static func check(_ problems: [PlanProblem]) throws {
    guard !problems.isEmpty else { return }
    throw FederationError(problems)
  }

  /// The problems of a plan, a line each.
  init(_ problems: [PlanProblem]) {
    (round, client, underlying, exitCode) = (nil, nil, nil, 64)
    reason = problems.map(\.description).joined(separator: "\n")
    self.problems = problems
  }

  /// What was not finite in a client's round.
  init(round: Int, client: Int, _ update: NonFiniteUpdate) {
    self.init(round: round, client: client, reason: update.description, underlying: update)
  }

  /// For example `round 3, client 17: the update is not finite (...)`.
  public var description: String {
    let place = [round.map { "round \($0 + 1)" }, client.map { "client \($0)" }].compactMap { $0 }
    return place.isEmpty ? reason : place.joined(separator: ", ") + ": " + reason
  }
}
