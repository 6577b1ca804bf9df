// What ranks keep for the sums of hosts, made when it is needed first: the memory that the ranks of a
// host share, and what joins the hosts.
internal import Communication

/// The sums of the hosts.
final class HostSums {
  private let communicator: any Communicator
  private let hosts: HostLayout
  private let length: Int
  private var shared: NodeSharedWords?
  /// For each host, whether its ranks have words of their own.
  private var isPrivate: [Bool] = []
  private var measured: LinkModel?

  /// Sums of vectors of `length`; nothing is allocated yet.
  init(length: Int, hosts: HostLayout, communicator: any Communicator) {
    self.length = length
    self.hosts = hosts
    self.communicator = communicator
  }

  /// The sum of this rank's host, zero at the beginning of each round.
  ///
  /// - Communication: On the first call one all-gather, and that of `nodeSharedWords`.
  func words() throws -> NodeSharedWords {
    if let shared { return shared }
    let words = try communicator.nodeSharedWords(count: length)
    let all = try communicator.allGather(values: [words.isPrivate ? 1 : 0])
    isPrivate = hosts.hosts.map { all[$0[0]] == 1 }
    shared = words
    return words
  }

  /// The sum of all hosts on rank 0, nil elsewhere; zeros the hosts' sums.
  ///
  /// - Communication: A barrier, and the messages of `sumAlong`.
  func sum(along shape: TreeShape) throws -> [Int64]? {
    let shared = try words()
    // The sum of a host is whole when all of its ranks are here.
    try communicator.barrier()
    let tree = RankTree(of: communicator.rank, in: hosts, shape: shape) { !isPrivate[$0] }
    try communicator.sumAlong(tree, shared.words)
    defer {
      // Its ranks add to it again only after they have met in the next round.
      if tree != nil { shared.clear() }
    }
    return communicator.rank == 0 ? Array(shared.words) : nil
  }

  /// What joins the hosts; measured on the first call, if there are several hosts.
  ///
  /// - Communication: On the first call that of the measurement.
  func link() throws -> LinkModel {
    if measured == nil, hosts.hosts.count > 1 {
      measured = try LinkModel(between: 0, and: hosts.hosts[1][0], over: communicator)
    }
    return measured ?? LinkModel(latencySeconds: 0, secondsPerByte: 0)
  }
}
