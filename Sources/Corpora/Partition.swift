// Which client owns which training examples.

import FoundationEssentials
import RandomStreams
internal import Safetensors

/// Why a partition cannot be made, in one line.
public struct PartitionError: Error, CustomStringConvertible, Sendable {
  /// What was asked or found, and what is allowed.
  public let reason: String

  /// An error with that reason.
  public init(reason: String) { self.reason = reason }

  /// The reason.
  public var description: String { reason }
}

/// The examples of each client, as lists.
public struct Partition: Population, Equatable {
  /// The indices of each client's examples, in the client's order: ascending, but for partitions of files.
  public let clients: [[Int]]
  /// The corpus's name of each client; nil if the clients are not the corpus's own.
  let names: [String]?

  /// A partition as it is given; `init(checking:exampleCount:)` is for partitions that others made.
  public init(clients: [[Int]], names: [String]? = nil) {
    precondition(
      names.map { $0.count == clients.count } ?? true,
      "\(names?.count ?? 0) names for \(clients.count) clients")
    self.clients = clients
    self.names = names
  }

  /// A partition whose clients have their examples in ascending order, whatever order they were given in.
  init(sorting clients: [[Int]], names: [String]? = nil) {
    self.init(clients: clients.map { $0.sorted() }, names: names)
  }

  /// A partition in which each client has examples, and no example belongs to two.
  ///
  /// Examples may be left out, as for a corpus of which a part is set aside.
  /// - Parameter sharing: Whether an example may belong to several clients, or to one twice.
  /// - Throws: `PartitionError` for an empty client, an index outside 0 ..< `exampleCount`, or one
  ///   that is there twice though it must not.
  public init(checking clients: [[Int]], exampleCount: Int, sharing: Bool = false) throws {
    guard !clients.isEmpty else { throw PartitionError(reason: "a partition without clients") }
    var owner = [Int](repeating: -1, count: exampleCount)
    for (client, examples) in clients.enumerated() {
      if examples.isEmpty { throw PartitionError(reason: "client \(client) has no examples") }
      for example in examples {
        guard owner.indices.contains(example) else {
          throw PartitionError(
            reason: "client \(client) has example \(example); there are 0 ..< \(exampleCount)")
        }
        guard sharing || owner[example] < 0 else {
          let other = owner[example] == client ? "twice" : "and so has client \(owner[example])"
          throw PartitionError(reason: "client \(client) has example \(example) \(other)")
        }
        owner[example] = client
      }
    }
    self.init(clients: clients)
  }

  /// All examples in random order, cut into shares that differ by one example at most.
  ///
  /// - Throws: `PartitionError` when there are fewer examples than clients.
  public static func iid(exampleCount: Int, clients: Int, seed: UInt64) throws -> Partition {
    try checkPopulation(exampleCount, clients, minimumExamples: 1)
    let order = randomOrder(of: exampleCount, seed: seed)
    return Partition(
      sorting: (0..<clients).map { client in
        Array(order[client * exampleCount / clients..<(client + 1) * exampleCount / clients])
      })
  }

  /// The corpus's own clients, in the order of their numbers; numbers without examples are left
  /// out, so that a later client's number here is smaller than the corpus's. Each is called by its name
  /// or, where the corpus has no names, by its number in the corpus.
  ///
  /// - Throws: `PartitionError` when there is no example.
  public static func natural(owners: [Int32], names: [String] = []) throws -> Partition {
    guard !owners.isEmpty else { throw PartitionError(reason: "no examples to give to clients") }
    let examples = Dictionary(grouping: owners.indices) { owners[$0] }.sorted { $0.key < $1.key }
    return Partition(
      clients: examples.map(\.value),
      names: examples.map { owner, _ in
        names.indices.contains(Int(owner)) ? names[Int(owner)] : "\(owner)"
      })
  }

  /// A partition made elsewhere: a JSON list that holds a list of example indices for each client, in the
  /// order in which it goes through them.
  ///
  /// - Parameter sharing: Whether an example may belong to several clients, or to one twice.
  /// - Throws: `PartitionError` naming the file, for whatever is wrong with it; `SafetensorsError`
  ///   where it is there and cannot be read.
  public static func fromFile(
    path: String, exampleCount: Int, sharing: Bool = false
  ) throws -> Partition {
    guard let bytes = try contentsIfThere(of: path) else {
      throw PartitionError(reason: "\(path): no such file")
    }
    guard let clients = try? JSONDecoder().decode([[Int]].self, from: Data(bytes)) else {
      throw PartitionError(
        reason: "\(path): not a JSON list of lists of example indices, as [[0, 2], [1]]")
    }
    do {
      return try Partition(checking: clients, exampleCount: exampleCount, sharing: sharing)
    } catch let error as PartitionError {
      throw PartitionError(reason: "\(path): \(error.reason)")
    }
  }

  /// All examples in the random order from which shares are cut.
  static func randomOrder(of exampleCount: Int, seed: UInt64) -> [Int] {
    var stream = RandomStream(seed: seed, purpose: .partition, round: PartitionDraw.order)
    var order = Array(0..<exampleCount)
    stream.shuffle(&order)
    return order
  }

  static func checkPopulation(_ examples: Int, _ clients: Int, minimumExamples: Int) throws {
    guard clients > 0, minimumExamples > 0 else {
      throw PartitionError(
        reason:
          "\(clients) clients with at least \(minimumExamples) examples; both numbers must be at least 1"
      )
    }
    let (needed, overflowed) = clients.multipliedReportingOverflow(by: minimumExamples)
    guard !overflowed, needed <= examples else {
      throw PartitionError(
        reason: "\(clients) clients with at least \(minimumExamples) examples each take "
          + "\(overflowed ? "too many" : String(needed)) examples, but there are \(examples)")
    }
  }
}

extension Partition {
  /// The number of clients.
  public var clientCount: Int { clients.count }

  /// The indices of a client's examples.
  public func examples(of client: Int) -> [Int] { clients[client] }

  /// The corpus's name of the client; nil if it is not one of the corpus.
  public func name(of client: Int) -> String? { names?[client] }

  /// The number of a client's examples.
  public func exampleCount(of client: Int) -> Int { clients[client].count }

  /// Names a client without examples or with one that is not there.
  public func problem(exampleCount: Int) -> String? {
    for (client, own) in clients.enumerated() {
      if own.isEmpty {
        return "client \(client) of the partition has no training example; every client needs one"
      }
      if let stranger = own.first(where: { !(0..<exampleCount).contains($0) }) {
        return "client \(client) of the partition has example \(stranger); "
          + "the train split has 0 to \(exampleCount - 1)"
      }
    }
    return nil
  }

  /// The length of every list with the list.
  public func identify(_ consume: ([Int]) -> Void) {
    for examples in clients {
      consume([examples.count])
      consume(examples)
    }
  }
}
