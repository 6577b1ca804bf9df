// How the uploads of a round come together at rank 0: as the clients' messages, or as exact partial sums
// of the clients of a host. It changes what MPI moves and no bit of the result: sums are of integers
// (FixedPointSum), so any tree gives the same words. What the simulated clients send, and what is
// counted for it, is the same with all of them.
//
// The names and the switch between sparse and dense are SparCML's (Renggli et al. 2019, arXiv
// 1802.08021); what is kept of it and what is not, and the costs: docs/communication-model.md.
public import Communication

/// How the clients' uploads reach rank 0.
public enum UploadCollective: String, Sendable, CaseIterable {
  /// The cheapest of `gather`, `host_sums`, `recursive_doubling` and `pipeline`, anew for each round.
  case auto
  /// Every client's message to rank 0, when all clients have trained.
  case gather
  /// Every client's message to rank 0 as soon as it is there, while the next client trains.
  case overlapped
  /// Every client's message to every rank (and all but rank 0 drop them): what a run without a server
  /// would move.
  case allGather = "all_gather"
  /// Each host's sum to rank 0.
  case hostSums = "host_sums"
  /// The hosts' sums along a binomial tree.
  case recursiveDoubling = "recursive_doubling"
  /// The hosts' sums along a chain, segment by segment.
  case pipeline

  /// Along which tree the sums of hosts travel; nil where clients' messages do.
  public var tree: TreeShape? {
    switch self {
    case .auto, .gather, .overlapped, .allGather: nil
    case .hostSums: .star
    case .recursiveDoubling: .binomial
    case .pipeline: .chain
    }
  }

  /// Whether rank 0 does not see single uploads.
  public var addsUp: Bool { tree != nil }
}
