// What comes out of a rank's training, and how all ranks agree on it.
internal import Communication
internal import Sparsity

/// A rank's trained clients.
struct TrainedClients {
  /// The cohort.
  let cohort: Cohort
  /// The messages that travel while the next client trains; nil if messages wait for the end of
  /// training.
  let underWay: MessagesUnderWay?
  let context: RoundContext
  /// The messages that wait, in the order of training.
  private(set) var messages: [[UInt8]] = []
  /// The reports, in the order of training; fewer than clients if the round is to be dropped.
  var reports: [ClientReport] = []

  /// No client has trained yet.
  init(cohort: Cohort, underWay: MessagesUnderWay?, context: RoundContext) {
    self.cohort = cohort
    self.underWay = underWay
    self.context = context
  }

  /// Sends a client's message, or keeps it for the end of training.
  mutating func send(_ message: [UInt8]) throws {
    if let underWay { try underWay.send(message) } else { messages.append(message) }
  }

  /// What all ranks trained.
  struct Agreed {
    /// The reports of all ranks, in cohort order; the same on every rank.
    let reports: [ClientReport]
    /// On rank 0, the messages of each rank that travelled while others trained.
    let arrived: [[[UInt8]]]
    /// Whether any rank was asked to stop; the same on every rank.
    let isStopRequested: Bool
  }

  /// Waits for all ranks and exchanges the reports.
  ///
  /// - Returns: nil if any rank drops the round.
  /// - Communication: A maximum, which is also the barrier at the end of training, and one all-gather
  ///   of the reports.
  func agreed(clock: inout PhaseClock, shouldStop: () -> Bool) throws -> Agreed? {
    let own = cohort.assigned[context.communicator.rank].count
    let isDropped = reports.count < own
    let stop = try context.communicator.maximum(isDropped ? 2 : shouldStop() ? 1 : 0)
    clock.mark(\.wait)
    if stop == 2 {
      try underWay?.abandon(announced: own)
      return nil
    }
    let arrived = try underWay?.finish() ?? []
    clock.mark(\.transfer)
    return Agreed(
      reports: try context.communicator.exchange(reports, assigned: cohort.assigned),
      arrived: arrived, isStopRequested: stop == 1)
  }
}
