// Clients that exist when they are asked for: a client's size, mixture of classes and examples are
// functions of (seed, client), so that a million clients take the memory of the corpus's labels.

internal import Elementary
import RandomStreams

/// Clients that draw their examples from one corpus.
///
/// With K classes (those that have examples), p_k the share of class k in the corpus, client c has
///
///     n_c = round(median exp(sigma z_c)), at least the minimum and at most the corpus,
///     q_c ~ Dirichlet(alpha K p_1, ..., alpha K p_K),
///
/// and n_c examples whose classes are drawn from q_c. In a corpus of equal classes that is
/// Dirichlet(alpha, ..., alpha); in any, E q_c = p. Within a client an example comes again only when
/// all of its class are there; other clients draw from the same corpus and may have it too.
public struct VirtualPopulation: Population {
  /// The number of clients.
  public let clientCount: Int

  private let sizes: Sizes
  private let concentrations: [Double]
  /// All examples, class by class, and where each class starts; one more for the end.
  private let members: [Int]
  private let starts: [Int]
  private let alpha: Double
  private let seed: UInt64

  /// How many examples clients have.
  public struct Sizes: Sendable, Equatable {
    /// The median of the log-normal distribution.
    public var median: Int
    /// The standard deviation of the logarithm; 0 for clients of one size.
    public var sigma: Double
    /// No client has fewer.
    public var minimum: Int

    /// Log-normal sizes, or one size where `sigma` is 0.
    public init(median: Int, sigma: Double = 0, minimum: Int = 1) {
      self.median = median
      self.sigma = sigma
      self.minimum = minimum
    }
  }

  /// A population over examples of these classes.
  ///
  /// - Parameters:
  ///   - classes: the class of each example: its label, or its natural owner.
  ///   - alpha: small is very different clients; at least 1e-250.
  /// - Throws: `PartitionError` for values out of range.
  /// - Complexity: O(examples log classes) time and 8 bytes an example, whatever `clients`.
  public init(
    classes: [Int32], clients: Int, alpha: Double, sizes: Sizes, seed: UInt64
  ) throws {
    guard alpha.isFinite, alpha >= 1e-250 else {
      throw PartitionError(reason: "alpha \(alpha) of virtual clients; it must be positive")
    }
    guard sizes.sigma.isFinite, sizes.sigma >= 0 else {
      throw PartitionError(
        reason: "sigma \(sizes.sigma) of log-normal sizes; it must be at least 0")
    }
    guard clients > 0, clients <= 1 << 32 else {
      throw PartitionError(reason: "\(clients) virtual clients; the number must be from 1 to 2^32")
    }
    guard !classes.isEmpty else { throw PartitionError(reason: "no examples to draw from") }
    guard sizes.minimum >= 1, sizes.median >= 1, sizes.minimum <= classes.count else {
      throw PartitionError(
        reason: "virtual clients have a median of \(sizes.median) and a minimum of \(sizes.minimum)"
          + " examples; both must be at least 1, and the minimum at most \(classes.count)")
    }
    let groups = Dictionary(grouping: classes.indices) { classes[$0] }.sorted { $0.key < $1.key }
    clientCount = clients
    self.sizes = sizes
    self.alpha = alpha
    self.seed = seed
    members = groups.flatMap(\.value)
    starts = groups.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.value.count) }
    concentrations = groups.map { group in
      let relative = Double(groups.count) * Double(group.value.count) / Double(classes.count)
      return min(max(alpha * relative, 1e-300), 1e300)
    }
  }

  /// The size of a client, without its examples.
  public func exampleCount(of client: Int) -> Int {
    precondition((0..<clientCount).contains(client), "client \(client) of \(clientCount)")
    var size = Double(sizes.median)
    if sizes.sigma > 0 {
      var stream = RandomStream(
        seed: seed, purpose: .partition, round: PartitionDraw.virtualSize, client: client)
      size *= Elementary.exp(sizes.sigma * stream.normal())
    }
    return Int(min(max(size.rounded(), Double(sizes.minimum)), Double(members.count)))
  }

  /// None: a virtual client is none of the corpus's own.
  public func name(of client: Int) -> String? { nil }

  /// The examples of a client, ascending.
  ///
  /// - Complexity: O(classes + examples of the client).
  public func examples(of client: Int) -> [Int] {
    let size = exampleCount(of: client)
    var stream = RandomStream(
      seed: seed, purpose: .partition, round: PartitionDraw.virtualExamples, client: client)
    var cumulative = stream.dirichlet(concentrations: concentrations)
    for index in cumulative.indices.dropFirst() { cumulative[index] += cumulative[index - 1] }
    var drawn = [Int](repeating: 0, count: cumulative.count)
    for _ in 0..<size { drawn[Self.place(of: stream.uniform(), in: cumulative)] += 1 }
    var examples: [Int] = []
    examples.reserveCapacity(size)
    for (index, count) in drawn.enumerated() where count > 0 {
      let own = starts[index]..<starts[index + 1]
      for _ in 0..<count / own.count { examples += members[own] }
      examples += stream.sample(count % own.count, of: own.count).map {
        members[own.lowerBound + $0]
      }
    }
    examples.sort()
    return examples
  }

  /// The first index whose cumulative share is above `value`; where the sum of all is rounded to
  /// less than 1 and `value` lies above it, the last index that adds anything.
  private static func place(of value: Double, in cumulative: [Double]) -> Int {
    let target = min(value, cumulative[cumulative.count - 1].nextDown)
    var (low, high) = (0, cumulative.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if cumulative[middle] > target { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Nothing but a corpus of another size.
  public func problem(exampleCount: Int) -> String? {
    members.count == exampleCount
      ? nil
      : "virtual clients draw from \(members.count) examples; the train split has \(exampleCount)"
  }

  /// The parameters and the classes, not the clients.
  public func identify(_ consume: ([Int]) -> Void) {
    consume([
      clientCount, sizes.median, Int(bitPattern: UInt(sizes.sigma.bitPattern)), sizes.minimum,
      Int(bitPattern: UInt(alpha.bitPattern)), Int(bitPattern: UInt(seed)),
    ])
    consume(starts)
    consume(members)
  }
}
