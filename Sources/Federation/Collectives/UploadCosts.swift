// What the ways of bringing uploads together would cost in a round, from what every rank knows before an
// upload moves: who trained whom, the bytes of each message and its coordinates. Every rank computes
// the same numbers (additions, products and quotients of Doubles alone) and so makes the same choice.
//
//   messages:  2 a + 1.3 G (bytes of other hosts) + m (bytes of rank 0's host) + w(k) of every client
//   sums:      the most w(k) that a rank has + 2 s n + e (the largest host's union)
//              + G (bytes that the root receives) + d (their words)
//              + (hops beyond the first) (a + a segment's bytes and words + (e + d) of the whole union)
//
// where w(k) = c k + l min(k, n / 8) adds k coordinates to n words: far between, each costs a cache line
// of its own. The factor 1.3 is measured: senders take turns, and the root decodes between segments.
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

  /// Seconds a coordinate (c), the same in memory that others add to, and a cache line (l); a word gone
  /// over (s); a word of a sum encoded (e) and added (d). Measured on Zen 4
  /// (docs/communication-model.md).
  static let (coordinate, sharedCoordinate, line) = (3e-9, 4e-9, 25e-9)
  static let (pass, encode, add) = (0.6e-9, 4e-9, 3e-9)
  /// Up to so many bytes a gather has all messages under way at once; beyond, rank 0 takes them segment by
  /// segment, so that it need not hold them all.
  public static let longestStreamBytes = 16 << 20
  /// What taking turns makes of a gather's G.
  static let turns = 1.3
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
    let unions = layout.hosts.indices.map { union(of: [$0]) }
    var seconds =
      loads.indices.map { rank in
        let isShared = layout.hosts.contains { $0.count > 1 && $0.contains(rank) }
        return adding(loads[rank].kept, isShared ? Self.sharedCoordinate : Self.coordinate)
      }.max() ?? 0
    guard hosts > 1 else { return seconds }
    let children = tree.children(of: 0, count: hosts)
    let received = children.map { union(of: subtree(of: $0, tree)) }
    seconds += Self.encode * (unions.max() ?? 0) + 2 * Double(length) * Self.pass
    seconds += received.reduce(0) { $0 + link.secondsPerByte * bytes(ofUnion: $1) + Self.add * $1 }
    // A hop passes a segment on when it has it whole, and has its own work with each.
    let segments = Double((length + Self.segmentLength - 1) / Self.segmentLength)
    let whole = union(of: Array(1..<hosts))
    let coding = (Self.encode + Self.add) * whole
    let hop =
      link.latencySeconds + link.secondsPerByte * bytes(ofUnion: whole) / max(1, segments) + coding
    return seconds + link.latencySeconds + Double(depth(tree)) * hop
  }

  /// Seconds to decode messages of so many coordinates and to add them to the words.
  private func adding(_ kept: [Int], _ coordinate: Double) -> Double {
    kept.reduce(0) {
      $0 + coordinate * Double($1) + Self.line * Double(min($1, length / 8))
    }
  }

  private var messages: Double {
    let local = layout.hosts[0].reduce(0) { $0 + loads[$1].bytes } - loads[0].bytes
    let remote = loads.reduce(0) { $0 + $1.bytes } - local - loads[0].bytes
    let all = loads.reduce(0) { $0 + adding($1.kept, Self.coordinate) }
    return (layout.hosts.count > 1 ? 2 * link.latencySeconds : 0)
      + Double(remote) * Self.turns * link.secondsPerByte + Double(local) * Self.memory + all
  }

  /// The expected coordinates of the sum of all clients of some hosts.
  public func union(of hosts: [Int]) -> Double {
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
  public func bytes(ofUnion count: Double) -> Double {
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
