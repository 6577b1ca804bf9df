// Who computes which client. A schedule may change how long a round takes, never what is computed:
// a client's training does not depend on the rank, and the sums over the cohort are exact.

/// How the cohort is spread over the ranks.
public enum ClientSchedule: String, Sendable, CaseIterable {
  /// The costliest client first, each onto the rank with the least work so far (Graham 1969, LPT:
  /// at most 4/3 of the best possible longest rank); with few clients a rank, then exchanges that
  /// shorten the longest rank.
  case longestFirst = "longest_first"

  /// The positions in the cohort that each rank trains, each rank's in the order of training.
  ///
  /// The same on every rank: ties go to the lowest position and the lowest rank.
  /// - Parameters:
  ///   - costs: The cost of each member of the cohort, in any unit (tokens).
  ///   - ranks: How many ranks there are, at least 1.
  /// - Complexity: O(c log c + c ranks) for a cohort of c; exchanges of cohorts up to 512 take a few
  ///   milliseconds at most.
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
      // Where each rank has many clients, longest-first is as good as even.
      if costs.count <= 16 * ranks && costs.count <= 512 {
        while Self.exchange(&assigned, &loads, costs) {}
      }
    }
    return assigned
  }

  /// Moves a client off the longest rank, or exchanges one with another rank, so that the longer of
  /// the two becomes as short as possible.
  /// - Returns: Whether anything got shorter; the longest load falls or fewer ranks have it.
  private static func exchange(_ assigned: inout [[Int]], _ loads: inout [Int], _ costs: [Int])
    -> Bool
  {
    guard let longest = loads.indices.max(by: { (loads[$0], $1) < (loads[$1], $0) }) else {
      return false
    }
    var best: (load: Int, rank: Int, own: Int, other: Int?)?
    for rank in loads.indices where rank != longest {
      for (own, position) in assigned[longest].enumerated() {
        for other in [nil] + assigned[rank].indices.map(Optional.some) {
          let difference = costs[position] - (other.map { costs[assigned[rank][$0]] } ?? 0)
          let load = max(loads[longest] - difference, loads[rank] + difference)
          if load < best?.load ?? loads[longest] { best = (load, rank, own, other) }
        }
      }
    }
    guard let best else { return false }
    let moved = assigned[longest].remove(at: best.own)
    loads[longest] -= costs[moved]
    loads[best.rank] += costs[moved]
    if let other = best.other {
      let back = assigned[best.rank].remove(at: other)
      loads[best.rank] -= costs[back]
      loads[longest] += costs[back]
      assigned[longest].append(back)
    }
    assigned[best.rank].append(moved)
    return true
  }
}
