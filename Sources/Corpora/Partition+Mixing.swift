// A partition between its own and an IID one: the "iid-mix" of the FLASC experiments on Reddit
// (arXiv 2406.05233, section 4, after pfl-research).

import RandomStreams

extension Partition {
  /// Each client gives a share of its examples, chosen at random, to a pool of all clients, and gets
  /// as many back from the pool in random order.
  ///
  /// Every example stays with exactly one client and every client keeps its size: at 0 nothing
  /// changes but the order, which becomes ascending, at 1 labels are IID. (The public FLASC scripts give every client the same number back,
  /// whatever it gave, and drop the remainder; and they compute a client's offset from the sizes'
  /// cumulative sum less the first size, which is wrong for clients of unequal size: examples are
  /// then left out, given twice, or looked for beyond the end.)
  /// - Parameter share: the share of each client's examples, 0 to 1, rounded to whole examples.
  /// - Throws: `PartitionError` when the share is out of range.
  public func mixed(share: Double, seed: UInt64) throws -> Partition {
    guard share >= 0, share <= 1 else {
      throw PartitionError(reason: "an IID mix of \(share); it must be from 0 to 1")
    }
    var kept: [[Int]] = []
    var pool: [Int] = []
    for (client, own) in clients.enumerated() {
      var stream = RandomStream(
        seed: seed, purpose: .partition, round: PartitionDraw.given, client: client)
      let given = stream.sample(Int((share * Double(own.count)).rounded()), of: own.count)
      let isGiven = Set(given)
      kept.append(own.indices.filter { !isGiven.contains($0) }.map { own[$0] })
      pool += given.map { own[$0] }
    }
    var stream = RandomStream(seed: seed, purpose: .partition, round: PartitionDraw.pool)
    stream.shuffle(&pool)
    var rest = pool[...]
    return Partition(
      sorting: zip(clients, kept).map { own, kept in
        let missing = own.count - kept.count
        defer { rest = rest.dropFirst(missing) }
        return kept + rest.prefix(missing)
      }, names: names)
  }
}
