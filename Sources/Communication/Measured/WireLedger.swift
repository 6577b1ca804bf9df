// What the ranks of a run moved among themselves ("wire bytes"), by collective. Not to be confused with the
// payload bytes that the simulated clients and their server would exchange.

/// A kind of collective.
public enum Collective: String, Sendable, CaseIterable, Codable {
  /// `Communicator.barrier`.
  case barrier
  /// `Communicator.broadcast`.
  case broadcast
  /// `Communicator.allGather` and `allGatherVariable`.
  case allGather = "all_gather"
  /// `Communicator.gatherVariable`.
  case gather
  /// `Communicator.allReduce`.
  case allReduce = "all_reduce"
  /// Messages between two ranks, of which the trees of sums and broadcasts are made.
  case message
}

/// Messages and bytes that one rank sent and received, by collective.
///
/// The numbers are those of the bandwidth-optimal algorithm of each collective over P ranks; MPI may choose
/// another for short messages, but for long ones its traffic agrees within a few percent with the counters of
/// the network interfaces. Summed over the ranks, sent equals received. For n bytes:
///
/// | collective | algorithm | messages sent | bytes sent | bytes received |
/// |---|---|---|---|---|
/// | barrier | dissemination | ceil(log2 P) | 0 | 0 |
/// | broadcast | chain from the root | 1, the last rank 0 | n, the last 0 | n, the root 0 |
/// | all-gather | ring | P - 1 | all blocks but the successor's | all blocks but its own |
/// | gather | each to the root | 1 (root 0, empty 0) | its block (root 0) | the others' blocks (root) |
/// | all-reduce | ring reduce-scatter, ring all-gather | 2 (P - 1) | about 2 n (P - 1) / P | the same |
/// | message | from one rank to another | 1 | n | n |
///
/// The messages of the last line are those that were really sent, one by one; a call is a transfer
/// that was started, on either side.
///
/// With one rank everything is 0 but the calls.
public struct WireLedger: Sendable, Equatable, Codable {
  /// The line of one collective.
  public struct Entry: Sendable, Equatable, Codable {
    /// Calls of this collective.
    public var calls = 0
    /// Messages that this rank sent.
    public var messagesSent = 0
    /// Messages that this rank received.
    public var messagesReceived = 0
    /// Bytes that this rank sent.
    public var wireBytesSent = 0
    /// Bytes that this rank received.
    public var wireBytesReceived = 0
    /// Time on the clock that this rank spent in it, waiting for others included.
    public var wallSeconds = 0.0

    /// Nothing yet.
    public init() {}

    /// Adds another line to this.
    public static func += (a: inout Entry, b: Entry) {
      a.calls += b.calls
      a.messagesSent += b.messagesSent
      a.messagesReceived += b.messagesReceived
      a.wireBytesSent += b.wireBytesSent
      a.wireBytesReceived += b.wireBytesReceived
      a.wallSeconds += b.wallSeconds
    }

    /// What was added since an earlier state of the same line.
    public static func - (a: Entry, b: Entry) -> Entry {
      var difference = Entry()
      difference.calls = a.calls - b.calls
      difference.messagesSent = a.messagesSent - b.messagesSent
      difference.messagesReceived = a.messagesReceived - b.messagesReceived
      difference.wireBytesSent = a.wireBytesSent - b.wireBytesSent
      difference.wireBytesReceived = a.wireBytesReceived - b.wireBytesReceived
      difference.wallSeconds = a.wallSeconds - b.wallSeconds
      return difference
    }
  }

  private var entries: [String: Entry] = [:]

  /// An empty ledger.
  public init() {}

  /// The line of a collective, empty if it was never called.
  public subscript(collective: Collective) -> Entry {
    get { entries[collective.rawValue] ?? Entry() }
    set { entries[collective.rawValue] = newValue }
  }

  /// All lines added up.
  public var total: Entry {
    Collective.allCases.reduce(into: Entry()) { $0 += self[$1] }
  }

  /// Adds another ledger (of another rank, or of a later part of the run).
  public static func += (a: inout WireLedger, b: WireLedger) {
    for collective in Collective.allCases { a[collective] += b[collective] }
  }

  /// What was added since an earlier state of the same ledger.
  public static func - (a: WireLedger, b: WireLedger) -> WireLedger {
    var difference = WireLedger()
    for collective in Collective.allCases { difference[collective] = a[collective] - b[collective] }
    return difference
  }
}
