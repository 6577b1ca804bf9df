// Ranks that have no client to train: a run on more ranks than a round has clients keeps cores busy
// with waiting. `plan`, `run`, `sweep --list` and slurm/submit.sh say so before time is spent.

internal import Federation

extension FederationPlan {
  /// The remark that some ranks have no client in any round; nil where each rank can have one.
  func idleRanksNotice(ranks: Int) -> String? {
    let largest: Int
    let size: String
    switch cohort {
    case .uniform(let count):
      largest = count + (system?.extraClients ?? 0)
      size = "\(largest)"
    case .file(let cohorts):
      largest = cohorts.prefix(max(0, rounds)).map(\.count).max() ?? 0
      size = "at most \(largest)"
    }
    guard largest > 0, ranks > largest else { return nil }
    return "\(ranks - largest) of \(ranks) ranks have no client in a round of \(size); give fewer"
      + " ranks, or more clients a round"
  }
}
