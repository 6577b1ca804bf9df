// A population of which a share of the examples is held out, so that a client can be evaluated on
// examples of its own that nobody trained on.

import RandomStreams

/// One side of a population whose examples are split into training and held-out ones.
///
/// Example e is held out where its uniform number, a function of (seed, e), is below the share; so
/// it is held out for every client that has it. A client that would be left without training
/// examples keeps the one with the largest number.
public struct HoldoutPopulation: Population {
  /// The two sides.
  public enum Side: Int, Sendable {
    /// What clients train on; at least one example each.
    case training
    /// What is held out; none for some clients.
    case heldOut
  }

  private let whole: any Population
  private let share: Double
  private let side: Side
  private let seed: UInt64

  /// The training or the held-out examples of `whole`.
  ///
  /// - Parameter share: the expected share of examples that is held out, from 0 to below 1.
  public init(_ whole: any Population, share: Double, side: Side, seed: UInt64) {
    precondition(share >= 0 && share < 1, "a share of \(share) held out")
    self.whole = whole
    self.share = share
    self.side = side
    self.seed = seed
  }

  /// The number of clients.
  public var clientCount: Int { whole.clientCount }

  /// The name of the client in the whole population.
  public func name(of client: Int) -> String? { whole.name(of: client) }

  /// The client's examples on this side, in the order of the whole.
  public func examples(of client: Int) -> [Int] {
    let all = whole.examples(of: client)
    let numbers = all.map(number)
    // Kept for training though its number is small: the only case in which that is needed.
    var kept: Int?
    if let largest = numbers.max(), largest < share {
      kept = all[numbers.firstIndex(of: largest) ?? 0]
    }
    return zip(all, numbers).filter { example, number in
      (number < share && example != kept) == (side == .heldOut)
    }.map(\.0)
  }

  /// The number that decides about an example.
  private func number(of example: Int) -> Double {
    // Rounds 0 to 2 name the samples of evaluated splits.
    var stream = RandomStream(seed: seed, purpose: .split, round: 3, client: example)
    return stream.uniform()
  }

  /// What is wrong with the whole.
  public func problem(exampleCount: Int) -> String? { whole.problem(exampleCount: exampleCount) }

  /// The whole, the share, the side and the seed.
  public func identify(_ consume: ([Int]) -> Void) {
    whole.identify(consume)
    consume([Int(bitPattern: UInt(share.bitPattern)), side.rawValue, Int(bitPattern: UInt(seed))])
  }
}
