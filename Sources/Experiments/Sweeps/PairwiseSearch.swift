// A search over LoRA ranks and densities after FLASC-Search (Kuo et al., arXiv 2406.05233, the version of
// 2025): of a configuration's two neighbours, the next rank at the same density and the same rank at
// the next density, the better one is where the search goes on, until neither is left. With r ranks and d
// densities it plays at most 2 (r + d) - 4 of the r d points, and the first.

internal import Configuration
internal import Federation

/// Which points of a grid of ranks and densities are to be played next.
struct PairwiseSearch: Sendable, Equatable {
  /// What makes a point the better one.
  enum Rule: String, Sendable {
    /// The larger accuracy of the last evaluation.
    case accuracy
    /// The smaller loss of the last evaluation.
    case loss
  }

  /// What is known of a point.
  enum Outcome: Equatable {
    case open, failed
    case finished(accuracy: Double, loss: Double)
  }

  /// `adapter.lora_rank`, ascending.
  let ranks: [Int]
  /// Both directions' densities, ascending.
  let densities: [Double]
  let rule: Rule
  /// What alpha is for rank 1; nil where it stays as the experiment has it.
  let alphaOverRank: Double?

  /// All points, densities running fastest.
  var points: [(name: String, settings: [String])] {
    ranks.flatMap { rank in
      densities.map { density in
        (
          "lora_rank-\(rank).density-\(short(density))",
          ["adapter.lora_rank=\(rank)"]
            + (alphaOverRank.map { ["adapter.alpha=\(short($0 * Double(rank)))"] } ?? [])
            + ["download", "upload"].map { "method.\($0).density=\(short(density))" }
        )
      }
    }
  }

  /// The points that are wanted and open; none where the search has ended.
  func next(_ outcome: (Int) throws -> Outcome) rethrows -> [Int] {
    var (rank, density) = (0, 0)
    while true {
      var neighbours: [(rank: Int, density: Int)] = []
      if density + 1 < densities.count { neighbours.append((rank, density + 1)) }
      if rank + 1 < ranks.count { neighbours.append((rank + 1, density)) }
      // The first configuration decides nothing; it is what all others are compared with.
      let wanted = (rank, density) == (0, 0) ? [(0, 0)] + neighbours : neighbours
      let open = try wanted.map { index($0) }.filter { try outcome($0) == .open }
      guard open.isEmpty else { return open }
      let played = try neighbours.filter { try outcome(index($0)) != .failed }
      guard
        let best = try played.max(by: {
          isBetter(try outcome(index($1)), than: try outcome(index($0)))
        })
      else { return [] }
      (rank, density) = best
    }
  }

  private func index(_ place: (rank: Int, density: Int)) -> Int {
    place.rank * densities.count + place.density
  }

  private func isBetter(_ a: Outcome, than b: Outcome) -> Bool {
    guard case .finished(let accuracy, let loss) = a,
      case .finished(let otherAccuracy, let otherLoss) = b
    else { return a != .failed }
    return switch rule {
    case .accuracy: accuracy > otherAccuracy
    case .loss: loss < otherLoss
    }
  }
}
