// The clients of a federation and their training examples, as questions. A population answers for
// one client at a time, so that a million clients need not be lists in memory.

/// Who owns which training examples.
///
/// Clients are numbered from 0. Every answer is a function of the population and the question: the
/// same on every rank and in any order of asking.
public protocol Population: Sendable {
  /// The number of clients.
  var clientCount: Int { get }

  /// The indices of a client's training examples, in the client's order: ascending, but for partitions of
  /// files. An index may be there twice, and with other clients too, where the population says so.
  func examples(of client: Int) -> [Int]

  /// The length of `examples(of:)`, where possible without making it.
  func exampleCount(of client: Int) -> Int

  /// The name, or else the number, that the corpus has for a client; nil for each client of a population
  /// that is made of other clients than the corpus's own.
  func name(of client: Int) -> String?

  /// Why a run over `exampleCount` training examples cannot use it, in one line; nil where it can.
  func problem(exampleCount: Int) -> String?

  /// Hands numbers to `consume` that differ where two populations differ, for a digest.
  func identify(_ consume: ([Int]) -> Void)
}

extension Population {
  /// The length of `examples(of:)`.
  public func exampleCount(of client: Int) -> Int { examples(of: client).count }

  /// All clients, or so many of them in even distances, ascending: for tables about populations
  /// that are too large to be asked as a whole.
  public func clients(atMost limit: Int) -> [Int] {
    precondition(limit > 0, "\(limit) clients of a population")
    guard clientCount > limit else { return Array(0..<clientCount) }
    return (0..<limit).map { place in
      let (high, low) = place.multipliedFullWidth(by: clientCount)
      return limit.dividingFullWidth((high, low)).quotient
    }
  }
}

/// The numbers by which the draws of partitions are named: the `round` of their random streams.
enum PartitionDraw {
  /// The order of all examples.
  static let order = 0
  /// The clients' proportions of a label.
  static let proportions = 1
  /// What clients below the minimum get.
  static let filling = 2
  /// What a client gives to the pool of an IID mix.
  static let given = 3
  /// The order of that pool.
  static let pool = 4
  /// A virtual client's mixture and examples.
  static let virtualExamples = 5
  /// A virtual client's size.
  static let virtualSize = 6
  /// The order of shards.
  static let shards = 7
  /// A client's relative size.
  static let quantity = 8
}
