// HetLoRA's rank self-pruning (Cho et al. 2024, arXiv 2401.06432, section 3, "rank self-pruning locally").
//
// A client of rank r trains with the penalty of its last ranks, those from r' = max(1, floor(gamma r)) on,
//
//   F(B, A) + lambda sum_l ||B_l[:, r':r]||_F ||A_l[r':r, :]||_F
//
// and compares the sum over the adapted layers l with its value at what it received. Where it became
// smaller, the client sends the first r' ranks alone and has rank r' in all later rounds; otherwise it
// sends all r. The paper writes one B and one A; the sum over layers makes one decision for a client, whose
// rank is one number. Sums are in Double and in fixed order.

/// How clients give up ranks that they do not need.
public struct RankPruning: Sendable, Equatable {
  /// gamma: the share of its ranks that a client keeps when it prunes, between 0 and 1.
  public var factor: Double
  /// lambda: the weight of the penalty in the local loss, at least 0.
  public var penalty: Double

  /// Pruning with this factor and penalty; the paper's gamma is 0.99.
  public init(factor: Double = 0.99, penalty: Double = 0) {
    self.factor = factor
    self.penalty = penalty
  }

  /// The ranks that a client of `loraRank` has after pruning: at least 1, and all where the factor
  /// takes none away.
  public func kept(of loraRank: Int) -> Int {
    max(1, Int((factor * Double(loraRank)).rounded(.down)))
  }
}

extension RankPruning {
  /// What is wrong with its values and with a method that prunes ranks.
  func problems(of method: Method) -> [PlanProblem] {
    var checks = ValueChecks("method")
    checks.require(
      factor > 0 && factor < 1, "rank_pruning.factor", short(factor),
      give: "a number between 0 and 1, or 1 for no pruning")
    checks.require("rank_pruning.penalty", penalty, in: .float)
    func refuse(_ isPresent: Bool, _ name: String, _ text: String) {
      if isPresent { checks.refuse(name, text, with: ["method.rank_pruning.factor"]) }
    }
    refuse(
      method.persistence == .nested, "persistence",
      "nested needs one download mask for all clients, so it does not allow rank_pruning")
    refuse(
      method.residual == .kept, "residual",
      "kept does not work with rank_pruning: residuals of pruned ranks are never sent; give dropped"
    )
    refuse(
      method.downloadIndices == .difference, "download.indices",
      "difference does not work with rank_pruning, because clients have different masks; give complete"
    )
    return checks.problems
  }
}

/// The last ranks of an adapter, whose norms a client watches.
public struct RankTail: LocalTerm {
  /// Where the factors stand.
  public let factors: FactorLayout
  /// The ranks that may be pruned.
  public let ranks: Range<Int>
  /// The penalty's weight in the loss.
  public let penalty: Double

  /// These ranks of these factors.
  public init(factors: FactorLayout, ranks: Range<Int>, penalty: Double) {
    self.factors = factors
    self.ranks = ranks
    self.penalty = penalty
  }

  /// The ranks that a client may prune; nil if the plan prunes none, or the factor takes none away.
  package init?(_ plan: FederationPlan, _ client: LocalTermClient) {
    guard let pruning = plan.method.rankPruning, let factors = client.factors else { return nil }
    let kept = pruning.kept(of: client.loraRank)
    guard kept < client.loraRank else { return nil }
    self.init(factors: factors, ranks: kept..<client.loraRank, penalty: pruning.penalty)
  }

  /// sum_l ||B_l[:, ranks]||_F ||A_l[ranks, :]||_F.
  public func norm(of vector: UnsafeBufferPointer<Float>) -> Double {
    factors.pairs.reduce(0) { sum, pair in
      let norms = norms(of: pair, in: vector)
      return sum + norms.b * norms.a
    }
  }

  /// Adds the penalty's gradient at `parameters`; a norm of 0 counts as having the gradient 0.
  package func addGradient(
    at parameters: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>
  ) {
    guard penalty > 0 else { return }
    for pair in factors.pairs {
      let norms = norms(of: pair, in: parameters)
      guard norms.a > 0, norms.b > 0 else { continue }
      let (ofA, ofB) = (
        Float(penalty * (norms.b / norms.a)), Float(penalty * (norms.a / norms.b))
      )
      for place in aPlaces(pair) { gradient[place] += ofA * parameters[place] }
      for output in 0..<pair.outputs {
        for place in bPlaces(pair, output) { gradient[place] += ofB * parameters[place] }
      }
    }
  }

  /// The ranks that are left if the last ones became smaller than what the client received.
  package func ranksLeft(
    after trained: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>
  ) -> Int? {
    norm(of: trained) < norm(of: start) ? ranks.lowerBound : nil
  }

  private func aPlaces(_ pair: FactorLayout.Pair) -> Range<Int> {
    (pair.aOffset + ranks.lowerBound * pair.inputs)..<(pair.aOffset + ranks.upperBound
      * pair.inputs)
  }

  private func bPlaces(_ pair: FactorLayout.Pair, _ output: Int) -> Range<Int> {
    let row = pair.bOffset + output * factors.loraRank
    return (row + ranks.lowerBound)..<(row + ranks.upperBound)
  }

  private func norms(
    of pair: FactorLayout.Pair, in vector: UnsafeBufferPointer<Float>
  ) -> (a: Double, b: Double) {
    func squares(_ places: Range<Int>) -> Double {
      var sum = 0.0
      for place in places { sum += Double(vector[place]) * Double(vector[place]) }
      return sum
    }
    var b = 0.0
    for output in 0..<pair.outputs { b += squares(bPlaces(pair, output)) }
    return (squares(aPlaces(pair)).squareRoot(), b.squareRoot())
  }
}
