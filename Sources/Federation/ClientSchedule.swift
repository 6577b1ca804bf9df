// Who computes which client. A schedule may change how long a round takes, never what is computed:
// a client's training does not depend on the rank, and the sums over the cohort are exact.

/// How the cohort is spread over the ranks.
public enum ClientSchedule: String, Sendable, CaseIterable {
  /// The costliest client first, each onto the rank with the least work so far (Graham 1969, LPT:
  /// at most 4/3 of the best possible longest rank).
  case longestFirst = "longest_first"
  /// The cohort's clients in order, one rank after the other.
  case roundRobin = "round_robin"

  /// The positions in the cohort that each rank trains, each rank's in the order of training.
  ///
  /// The same on every rank: ties go to the lowest position and the lowest rank.
  /// - Parameters:
  ///   - costs: The cost of each member of the cohort, in any unit (tokens).
  ///   - ranks: How many ranks there are, at least 1.
  /// - Complexity: O(c log c + c ranks) for a cohort of c.
  public func assign(costs: [Int], ranks: Int) -> [[Int]] {
    precondition(ranks > 0, "an assignment to \(ranks) ranks")
    var assigned = [[Int]](repeating: [], count: ranks)
    switch self {
    case .longestFirst:
      var loads = [Int](repeating: 0, count: ranks)
      let order = costs.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
      for position in order {
        // `min(by:)` would do, but does not promise which of equal elements it returns.
        var least = 0
        for rank in 1..<max(ranks, 1) where loads[rank] < loads[least] { least = rank }
        loads[least] += costs[position]
        assigned[least].append(position)
      }
    case .roundRobin:
      for position in costs.indices { assigned[position % ranks].append(position) }
    }
    return assigned
  }
}
