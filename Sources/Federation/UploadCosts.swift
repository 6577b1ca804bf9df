// What the ways of bringing uploads together would cost in a round, from what every rank knows before an
// upload moves: who trained whom, the bytes of each message and its coordinates. Every rank computes
// the same numbers (additions, products and quotients of Doubles alone) and so makes the same choice.
//
//   messages:  a + G (bytes of other hosts) + m (bytes of rank 0's host) + d (all coordinates)
//   sums:      max over ranks of d' (its coordinates) + s n + e (largest host's union)
//              + (hops) a + G (bytes that the root receives) + d'' (their words) + fill of the pipeline
//
// The union of the supports of k_1, k_2, ... of n coordinates is taken to be that of independent ones,
// n (1 - product of (1 - k_i / n)). Real supports overlap more, so a sum may be shorter than it was
// thought: where the two are close, messages are chosen.
public import Communication

/// The cost model of a round's uploads.
public struct UploadCosts {
  /// Clients' messages of one rank.
  public struct Load {
    /// Their bytes.
    public var bytes = 0
    /// Their coordinates, one by one.
    public var kept: [Int] = []

    /// None.
    public init() {}
  }

  /// The length of the trainable vector.
  public let length: Int
  /// The hosts.
  public let layout: HostLayout
  /// What joins hosts.
  public let link: LinkModel
  /// What each rank has.
  public let loads: [Load]

  /// The costs for a vector of `length` and these loads, one a rank.
  public init(length: Int, layout: HostLayout, link: LinkModel, loads: [Load]) {
    self.length = length
    self.layout = layout
    self.link = link
    self.loads = loads
  }

  /// Seconds a coordinate, measured on one Zen 4 core (docs/communication-model.md): decoding and
  /// adding a message's, doing so in memory that others add to, going over words, encoding and adding
  /// those of a sum.
  static let (decode, decodeShared, pass, encode, add) = (4e-9, 8e-9, 1.2e-9, 4e-9, 3e-9)
  /// Seconds a byte between ranks of a host.
  static let memory = 0.5e-9
  /// Words of a segment of a sum, and bytes of one of its words.
  static let (segmentLength, wordBytes) = (1 << 17, 4.75)

  /// The cheapest; of equals the first.
  public var best: UploadCollective {
    let candidates: [UploadCollective] = [.gather, .hostSums, .recursiveDoubling, .pipeline]
    let costs = candidates.map { seconds($0) }
    return candidates[costs.indices.min { costs[$0] < costs[$1] }!]
  }

  /// The modelled seconds of one of them from the end of training to the sum at rank 0.
  public func seconds(_ collective: UploadCollective) -> Double {
    guard let tree = collective.tree else { return messages }
    let hosts = layout.hosts.count
    let busiest = loads.map { $0.kept.reduce(0, +) }.max() ?? 0
    let isShared = layout.hosts.contains { $0.count > 1 }
    let unions = layout.hosts.indices.map { union(of: [$0]) }
    // The sum is read where it was made, and made zero again.
    var seconds =
      Double(busiest) * (isShared ? Self.decodeShared : Self.decode)
      + Double(length) * Self.pass
    guard hosts > 1 else { return seconds }
    let children = tree.children(of: 0, count: hosts)
    let received = children.map { union(of: subtree(of: $0, tree)) }
    seconds += Self.encode * (unions.max() ?? 0) + Double(length) * Self.pass
    seconds += received.reduce(0) { $0 + link.secondsPerByte * bytes(ofUnion: $1) + Self.add * $1 }
    // A hop passes on a segment when it has it whole.
    let segments = Double((length + Self.segmentLength - 1) / Self.segmentLength)
    let whole = union(of: Array(1..<hosts))
    let hop =
      link.latencySeconds
      + (link.secondsPerByte * bytes(ofUnion: whole) + (Self.encode + Self.add) * whole) / segments
    return seconds + Double(depth(tree)) * hop + segments * link.latencySeconds * 0.5
  }

  private var messages: Double {
    let local = layout.hosts[0].reduce(0) { $0 + loads[$1].bytes } - loads[0].bytes
    let remote = loads.reduce(0) { $0 + $1.bytes } - local - loads[0].bytes
    let kept = loads.reduce(0) { $0 + $1.kept.reduce(0, +) }
    return (layout.hosts.count > 1 ? 2 * link.latencySeconds : 0)
      + Double(remote) * link.secondsPerByte + Double(local) * Self.memory
      + Double(kept) * Self.decode + Double(length) * Self.pass
  }

  /// The expected coordinates of the sum of all clients of some hosts.
  func union(of hosts: [Int]) -> Double {
    let n = Double(max(1, length))
    var missing = 1.0
    for host in hosts {
      for rank in layout.hosts[host] {
        for kept in loads[rank].kept { missing *= 1 - Double(kept) / n }
      }
    }
    return n * (1 - missing)
  }

  /// The bytes of a sum with so many coordinates that are not zero (SumSegment).
  func bytes(ofUnion count: Double) -> Double {
    guard count >= 1 else { return 0 }
    let perCoordinate = Double(length) / count
    // Rice codes of geometric gaps: 1.5 bits and the logarithm of the mean gap, about.
    let indexBits = perCoordinate < 2 ? perCoordinate : Double(perCoordinate.exponent) + 1.9
    return min(count * (Self.wordBytes + indexBits / 8), Double(length) * Self.wordBytes)
  }

  /// The hosts whose sums arrive through `place`.
  private func subtree(of place: Int, _ tree: TreeShape) -> [Int] {
    [place]
      + tree.children(of: place, count: layout.hosts.count).flatMap { subtree(of: $0, tree) }
  }

  /// Hops between the root and the host that is farthest from it, but one.
  private func depth(_ tree: TreeShape) -> Int {
    let hops = layout.hosts.indices.map { place in
      sequence(first: place, next: { tree.parent(of: $0) }).reduce(-1) { count, _ in count + 1 }
    }
    return max(0, (hops.max() ?? 0) - 1)
  }
}
