// When, on what and how the server's vector is evaluated.
public import Corpora
internal import RandomStreams

/// What of the server's vector is evaluated.
public enum EvaluatedVector: String, Sendable, CaseIterable {
  /// Zero outside of the round's download mask, as clients would see it.
  case masked
  /// All of it.
  case whole
}

/// When and on what the server's vector is evaluated.
public struct EvaluationPlan: Sendable, Equatable {
  /// Evaluates after every so many rounds, and after the last.
  public var every: Int
  /// The splits to evaluate on.
  public var splits: [Split]
  /// The largest number of examples of a split; nil for all of them.
  public var maximumExamples: Int?
  /// What of the vector is evaluated, each on all splits and clients.
  public var vectors: [EvaluatedVector]
  /// Whether the splits are evaluated besides as the clients of each tier would see the vector.
  public var tiers: Bool
  /// How many clients that took part so far, and as many that never did, are evaluated on examples
  /// of their own; 0 for none.
  public var clients: Int
  /// The share of all clients' examples that is held out of training and on which clients are
  /// evaluated; 0 evaluates them on what they train on.
  public var holdout: Double

  /// An evaluation with these values; without splits and clients there is none.
  public init(
    every: Int = 10, splits: [Split] = [.test], maximumExamples: Int? = nil,
    vectors: [EvaluatedVector] = [.masked], tiers: Bool = false, clients: Int = 0,
    holdout: Double = 0
  ) {
    self.every = every
    self.splits = splits
    self.maximumExamples = maximumExamples
    self.vectors = vectors
    self.tiers = tiers
    self.clients = clients
    self.holdout = holdout
  }

  /// Whether `round` of `rounds` is followed by an evaluation.
  func isDue(after round: Int, of rounds: Int) -> Bool {
    !(splits.isEmpty && clients == 0) && ((round + 1) % every == 0 || round + 1 == rounds)
  }

  /// The number of evaluations of a run of so many rounds.
  package func count(rounds: Int) -> Int {
    splits.isEmpty && clients == 0 ? 0 : rounds / every + (rounds % every == 0 ? 0 : 1)
  }

  /// The examples of `split` to evaluate, ascending: all `count`, or `maximumExamples` of them.
  ///
  /// The sample is drawn without replacement by (seed, split) and is the same after every round.
  /// The first ones would not do: test files are often sorted by label.
  public func examples(of split: Split, count: Int, seed: UInt64) -> [Int] {
    guard let maximumExamples, maximumExamples < count else { return Array(0..<count) }
    var stream = RandomStream(seed: seed, purpose: .split, round: EvaluationDraw.of(split))
    return stream.sample(maximumExamples, of: count)
  }

  /// What the clients of `population` train on.
  public func training(_ population: any Population, seed: UInt64) -> any Population {
    guard holdout > 0 else { return population }
    return HoldoutPopulation(population, share: holdout, side: .training, seed: seed)
  }

  /// What the clients of `population` are evaluated on; with held-out examples some may have none.
  public func evaluation(_ population: any Population, seed: UInt64) -> any Population {
    guard holdout > 0 else { return population }
    return HoldoutPopulation(population, share: holdout, side: .heldOut, seed: seed)
  }

  /// What is wrong with its values.
  var problems: [PlanProblem] {
    var checks = ValueChecks("evaluation")
    checks.require("every", every, atLeast: 1)
    if let maximumExamples { checks.require("maximum_examples", maximumExamples, atLeast: 1) }
    if Set(splits).count < splits.count { checks.refuse("splits", "has a split twice") }
    checks.require(
      !vectors.isEmpty && Set(vectors).count == vectors.count, "masked",
      "\(vectors.map(\.rawValue))", give: "one vector or both")
    checks.require("clients", clients, atLeast: 0)
    checks.require("holdout", holdout, in: .partialShare)
    return checks.problems
  }
}

/// The numbers by which the draws of evaluations are named: the `round` of their random streams. 3 is
/// the draw of held-out examples (HoldoutPopulation.swift).
enum EvaluationDraw {
  /// The sample of a split's examples: 0 to 2.
  static func of(_ split: Split) -> Int { Split.allCases.firstIndex(of: split) ?? 0 }
  /// The clients that are evaluated.
  static let clients = 4
}
