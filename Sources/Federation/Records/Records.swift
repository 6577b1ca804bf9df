// What a run reports on rank 0. Payload sizes come from the messages that were really built and
// decoded; seconds (and ranks) are the only values that differ between two runs of the same plan.
public import Corpora
public import Sparsity

/// Wall seconds of a round on rank 0, by what it was doing.
public struct PhaseSeconds: Sendable, Equatable {
  /// Selecting, encoding, broadcasting and decoding the download.
  public var download = 0.0
  /// Training this rank's clients.
  public var train = 0.0
  /// Selecting and encoding their uploads.
  public var encode = 0.0
  /// Waiting for ranks that still train.
  public var wait = 0.0
  /// Moving reports and uploads between ranks.
  public var transfer = 0.0
  /// Decoding and summing uploads, and the server's step.
  public var server = 0.0
  /// Evaluation, where one was due.
  public var evaluate = 0.0
  /// Training time that a rank spends idle on average while the longest one trains. Over all ranks,
  /// unlike the others, which are rank 0's; part of no total.
  public var idle = 0.0

  /// No time in any phase.
  public init() {}

  /// The whole round.
  public var total: Double {
    download + train + encode + wait + transfer + server + evaluate
  }
}

/// One client in one round.
public struct ClientRecord: Sendable, Equatable {
  /// The round, from 0.
  public var round: Int
  /// The client's number in the population.
  public var client: Int
  /// Its tier; 0 where all clients are alike.
  public var tier: Int
  /// What became of it.
  public var status: ClientStatus
  /// The MPI rank that trained it; -1 where none did.
  public var rank: Int
  /// Its training examples.
  public var examples: Int
  /// The local steps it made.
  public var steps: Int
  /// The tokens computed in them.
  public var tokens: Int
  /// The mean training loss over the items of all steps, each before its update; nil where it has no
  /// item to predict.
  public var loss: Double?
  /// The share of those items that were predicted right; nil where there is none.
  public var accuracy: Double?
  /// Wall seconds of training and encoding.
  public var seconds: Double
  /// The message that it received.
  public var download: PayloadSize
  /// The message that it sent.
  public var upload: PayloadSize
  /// The coordinates of the message that it received.
  public var downloadNonzeros: Int
  /// The coordinates of the message that it sent.
  public var uploadNonzeros: Int
  /// The L2 norm of what the upload selection kept, before any clipping.
  public var uploadNorm: Double
  /// The least bytes of both messages where any set of as many coordinates is as likely: values and
  /// headers as they are, log2 C(n, k) bits for the coordinates. Messages against supports that the
  /// reader knows can be shorter.
  public var entropyBound: Double
  /// Seconds by the virtual clock until its upload would be there or, of a client that was dropped,
  /// until it was; nil where no clock runs or the client was not there.
  public var modelledSeconds: Double?
  /// The ranks that it sent, where clients prune theirs and its upload counted; nil otherwise.
  public var loraRank: Int?
  /// What was not finite, where it was refused for that.
  public var refusal: NonFiniteUpdate?

  /// Whether it trained, as far as it could.
  public var isTrained: Bool { status == .used || status == .late || status == .refused }
  /// Whether it has a loss, an accuracy and an update.
  public var hasUpdate: Bool { status == .used || status == .late }
}

/// One evaluation of the server's vector on one split.
public struct EvaluationRecord: Sendable, Equatable {
  /// The round after which it was made.
  public var round: Int
  /// The split.
  public var split: Split
  /// How many examples were evaluated.
  public var examples: Int
  /// How many items (examples or predicted tokens) they have.
  public var count: Int
  /// How many of those were predicted right.
  public var correct: Int
  /// The mean loss over the items (nats); nil where there is none.
  public var loss: Double?
  /// What of the vector was evaluated.
  public var vector: EvaluatedVector
  /// The tier whose download it was masked by; nil where it was no tier's.
  public var tier: Int?
  /// The F1 of a classifier; nil for other objectives.
  public var f1: F1Scores?
  /// The examples by label and prediction, of pairs that were there; empty for other objectives, and with
  /// more than 1000 labels.
  public var confusion: [ConfusionCount] = []
  /// exp(mean loss) of a language model, infinite for mean losses above 709.78; nil for a classifier and
  /// without an item.
  public var perplexity: Double?
  /// The share of examples whose greedy continuation is the answer; nil for tasks without answers.
  public var exactMatch: Double?
  /// Pearson's correlation of predicted and actual scores; nil for tasks without scores.
  public var pearson: Double?
  /// True if examples have scores.
  public var hasScores = false
  /// The share of examples whose right choice has the largest likelihood; nil for tasks without
  /// choices.
  public var choiceAccuracy: Double?
  /// The same by the likelihood for each character.
  public var choiceAccuracyNormalized: Double?
  /// Wall seconds on rank 0.
  public var seconds: Double

  /// The share of items that were predicted right; nil where there is none, and for scores, which are
  /// neither right nor wrong.
  public var accuracy: Double? {
    count == 0 || hasScores ? nil : Double(correct) / Double(count)
  }
}

/// One round.
public struct RoundRecord: Sendable, Equatable {
  /// The round, from 0.
  public var round: Int
  /// The length of the trainable vector.
  public var parameterCount: Int
  /// The cohort, in its order.
  public var clients: [ClientRecord]
  /// Seconds of the round by the virtual clock; nil where none runs.
  public var modelledSeconds: Double?
  /// The mean training loss over the items of the clients that count; nil where they have none, or no
  /// client counts.
  public var trainLoss: Double?
  /// The share of those items that were predicted right; nil where there is none.
  public var trainAccuracy: Double?
  /// What privacy did; nil without it.
  public var privacy: PrivacyRecord?
  /// What one message of the whole vector, densely coded, would be: the unit of dense LoRA.
  package var denseMessage: PayloadSize
  /// Wall seconds on rank 0.
  public var seconds: PhaseSeconds
  /// The digest of the server's state after the round, 16 hex digits.
  public var digest: String
  /// The evaluations after the round; empty where none was due.
  public var evaluation: [EvaluationRecord]
  /// The evaluations on single clients after the round; empty where none was due.
  public var clientEvaluation: [ClientEvaluationRecord] = []

  /// The clients of the round.
  public var cohort: [Int] { clients.map(\.client) }
  /// What the cohort received.
  public var downloadPayload: PayloadSize { clients.reduce(.zero) { $0 + $1.download } }
  /// What the cohort sent.
  public var uploadPayload: PayloadSize { clients.reduce(.zero) { $0 + $1.upload } }
  /// What dense LoRA would have moved in both directions for the same clients: a download for each
  /// that received one, an upload for each that counts.
  public var densePayloadBytes: Int {
    (clients.count - count(.unavailable) + count(.used)) * denseMessage.total
  }
  /// Those of the clients that were refused.
  public var refused: [ClientRecord] { clients.filter { $0.status == .refused } }
  /// The number of clients with this status.
  public func count(_ status: ClientStatus) -> Int {
    clients.reduce(0) { $0 + ($1.status == status ? 1 : 0) }
  }
  /// The measured share of coordinates that clients received, averaged over those that did.
  public var downloadDensity: Double {
    density(of: \.downloadNonzeros, clients.filter { $0.status != .unavailable })
  }
  /// The measured share of coordinates that clients sent, averaged over those that count.
  public var uploadDensity: Double {
    density(of: \.uploadNonzeros, clients.filter { $0.status == .used })
  }

  private func density(of nonzeros: KeyPath<ClientRecord, Int>, _ clients: [ClientRecord]) -> Double
  {
    let sent = clients.reduce(0) { $0 + $1[keyPath: nonzeros] }
    let all = clients.count * parameterCount
    return all == 0 ? 0 : Double(sent) / Double(all)
  }
}

/// What became of a round, on one rank.
public struct RoundEnd: Sendable {
  /// Whether the round was dropped: the state is that before it.
  package var isDropped: Bool
  /// Whether any rank was asked to stop; the same on every rank.
  public var isStopRequested: Bool
  /// The record of a round that was played; on rank 0 only.
  public var record: RoundRecord?
}

/// How far rank 0 is within a round: what a progress line needs to estimate the time left.
public struct RoundProgress: Sendable, Equatable {
  /// What rank 0 is doing.
  public enum Stage: Sendable, Equatable {
    /// Local training of its clients.
    case training
    /// Evaluation of its share of a split.
    case evaluation(Split)
    /// Evaluation of its share of some clients' examples.
    case clientEvaluation(ClientGroup)
  }

  /// The round, from 0.
  public var round: Int
  /// The rounds of the whole run.
  public var rounds: Int
  /// What is under way.
  public var stage: Stage
  /// Rank 0's clients that have finished, of `clientCount`.
  public var clientsFinished: Int
  /// Rank 0's clients of this round.
  public var clientCount: Int
  /// The work done in this stage (tokens in training, examples in evaluation), of `workCount`.
  public var workFinished: Int
  /// Rank 0's work in this stage.
  public var workCount: Int
  /// Wall seconds since this stage began.
  var stageSeconds: Double
}

/// Where a run ended.
public struct FinalState: Sendable, Equatable {
  /// The server's state; on rank 0 only.
  public var state: ServerState?
  /// Its digest, on every rank.
  public var digest: String
}

/// Splits the time of a round into its phases.
struct PhaseClock {
  private(set) var seconds = PhaseSeconds()
  private var last = ContinuousClock.now

  /// Adds the time since the last mark to a phase and returns it.
  @discardableResult
  mutating func mark(_ phase: WritableKeyPath<PhaseSeconds, Double>) -> Double {
    let now = ContinuousClock.now
    let elapsed = (now - last).seconds
    seconds[keyPath: phase] += elapsed
    last = now
    return elapsed
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
