// What all phases of a round read and none of them changes.
internal import Communication
internal import Corpora
internal import RandomStreams

/// The plan, the data, the objective and the ranks of a run, and the number of the round.
struct RoundContext {
  /// What is played; the noise is a multiplier.
  let plan: FederationPlan
  /// How uploads become a pseudo-gradient.
  let aggregator: any Aggregator
  /// The accountant of the plan's privacy; nil without it.
  let accountant: PrivacyAccountant?
  /// What clients train on.
  let population: any Population
  /// What clients are evaluated on.
  let evaluated: any Population
  /// This rank's objective.
  let objective: any LocalObjective
  /// The ranks.
  let communicator: any Communicator
  /// The ranks of each host.
  let hosts: HostLayout
  /// Where clients keep what they do not send; nil if they keep nothing.
  let residuals: (any ResidualStore)?
  /// The round, from 0.
  var round: Int
  /// Called with what this rank begins to do.
  var onActivity: (Activity) -> Void = { _ in }

  /// Whether this rank is the server.
  var isServer: Bool { communicator.rank == 0 }
  /// The length of the trainable vector.
  var length: Int { objective.parameterCount }
  /// LoRA's factors in the trainable vector; nil if it does not have both of every pair.
  var factors: FactorLayout? { objective.factors }

  /// The cost of a round over `client`: the tokens of one local epoch.
  func tokens(of client: Int) -> Int {
    population.examples(of: client).reduce(0) { $0 + objective.tokenCount(ofTrainingExample: $1) }
  }

  /// The random bits that round the values of a message.
  func rounding(_ message: RoundedMessage) -> RandomStream {
    RandomStream(
      seed: plan.seed, purpose: .rounding, round: round, client: message.client,
      step: message.step)
  }
}

/// A message whose values are rounded: each has a random stream of its own in a round.
enum RoundedMessage {
  /// The download of a tier's clients.
  case download(tier: Int)
  /// The stack of the cohort's factors.
  case stack
  /// A client's upload.
  case upload(client: Int)

  /// Downloads have steps below 2^20 - 1.
  private static let uploadStep = 1 << 20

  fileprivate var client: Int {
    if case .upload(let client) = self { client } else { 0 }
  }

  fileprivate var step: Int {
    switch self {
    case .download(let tier): tier
    case .stack: Self.uploadStep - 1
    case .upload: Self.uploadStep
    }
  }
}
