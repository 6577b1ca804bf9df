// Which ranks share a host, and the trees over hosts along which sums go to rank 0 and downloads come
// from it. Links join hosts, so a tree crosses each host's link as seldom as it can: between hosts it
// joins their leaders, and all other ranks of a host hang on its leader.

/// The hosts of a communicator and their ranks.
public struct HostLayout: Sendable, Equatable {
  /// The ranks of each host, ascending, the leader first; hosts ascend by their leaders.
  public let hosts: [[Int]]

  /// Hosts with these ranks.
  ///
  /// - Precondition: rank 0 is the first host's first; no host is empty.
  public init(hosts: [[Int]]) {
    precondition(hosts.first?.first == 0, "hosts \(hosts)")
    self.hosts = hosts
  }

  /// Learns the hosts of all ranks.
  ///
  /// - Communication: An all-gather of 8 bytes a rank.
  public init(of communicator: any Communicator) throws {
    let leaders = try communicator.allGather(values: [communicator.node.leader])
    hosts = Set(leaders).sorted().map { leader in
      leaders.indices.filter { leaders[$0] == leader }
    }
  }

  /// The leaders of the hosts.
  public var leaders: [Int] { hosts.map { $0[0] } }
}

/// How the leaders of H hosts are joined to a tree whose root is the first of them.
public enum TreeShape: Sendable, CaseIterable {
  /// Each with the root: H - 1 messages at the root, one after the other.
  case star
  /// Binomial: place p with p minus its lowest one bit, so that the root has ceil(log2 H) messages.
  /// The reducing half of recursive doubling.
  case binomial
  /// Each with the one before: one message at every place, and H - 1 steps for the last.
  case chain

  /// The place above `place`; nil for the root.
  public func parent(of place: Int) -> Int? {
    guard place > 0 else { return nil }
    switch self {
    case .star: return 0
    case .binomial: return place & (place - 1)
    case .chain: return place - 1
    }
  }

  /// The places below `place` among `count`, ascending.
  public func children(of place: Int, count: Int) -> [Int] {
    switch self {
    case .star: return place == 0 ? Array(1..<max(1, count)) : []
    case .chain: return place + 1 < count ? [place + 1] : []
    case .binomial:
      var children: [Int] = []
      var step = 1
      while place & step == 0, place + step < count {
        children.append(place + step)
        step <<= 1
      }
      return children
    }
  }
}

/// The neighbours of a rank in a tree of ranks with rank 0 as its root.
public struct RankTree: Sendable, Equatable {
  /// The rank above; nil for rank 0.
  public var parent: Int?
  /// The ranks below, leaders of other hosts first.
  public var children: [Int]

  /// The place of `rank`; nil where it takes no part.
  ///
  /// - Parameters:
  ///   - isLeaderOnly: For each host, whether its leader stands for all of its ranks.
  public init?(
    of rank: Int, in layout: HostLayout, shape: TreeShape, isLeaderOnly: (_ host: Int) -> Bool
  ) {
    let place = layout.hosts.firstIndex { $0.contains(rank) }!
    let (leader, others) = (layout.hosts[place][0], layout.hosts[place].dropFirst())
    guard rank == leader else {
      if isLeaderOnly(place) { return nil }
      (parent, children) = (leader, [])
      return
    }
    parent = shape.parent(of: place).map { layout.hosts[$0][0] }
    children = shape.children(of: place, count: layout.hosts.count).map { layout.hosts[$0][0] }
    if !isLeaderOnly(place) { children += others }
  }
}
