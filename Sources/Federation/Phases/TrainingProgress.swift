// How far a rank is in its training of a round.

/// The progress of a rank's training; only rank 0 tells it.
struct TrainingProgress {
  private let context: RoundContext
  private let began = ContinuousClock.now
  private var progress: RoundProgress
  /// The work that was finished before the client that trains now.
  private var workBefore = 0

  /// No client has trained yet.
  init(of clients: [Int], in context: RoundContext) {
    self.context = context
    progress = RoundProgress(
      round: context.round, rounds: context.plan.rounds, stage: .training, clientsFinished: 0,
      clientCount: clients.count, workFinished: 0,
      workCount: clients.reduce(0) { $0 + context.plan.local.epochs * context.tokens(of: $1) },
      stageSeconds: 0)
  }

  /// Whether less than half of the work is done.
  var isInFirstHalf: Bool { 2 * progress.workFinished < progress.workCount }

  /// A local step over these examples was made.
  mutating func finish(_ batch: [Int], _ onProgress: (RoundProgress) -> Void) {
    for example in batch {
      progress.workFinished += context.objective.tokenCount(ofTrainingExample: example)
    }
    tell(onProgress)
  }

  /// A client is finished, whether or not it made all of its steps.
  mutating func finishClient(_ client: Int, _ onProgress: (RoundProgress) -> Void) {
    workBefore += context.plan.local.epochs * context.tokens(of: client)
    progress.workFinished = workBefore
    progress.clientsFinished += 1
    tell(onProgress)
  }

  private mutating func tell(_ onProgress: (RoundProgress) -> Void) {
    guard context.isServer else { return }
    progress.stageSeconds = (ContinuousClock.now - began).seconds
    onProgress(progress)
  }
}
