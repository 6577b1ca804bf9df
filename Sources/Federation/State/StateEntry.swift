// The server's state by name. One loop saves, digests and prunes all entries, in the order of
// `StateName.all`: a further entry is a row there.
internal import Digests
package import Sparsity

/// One entry of the server's state.
package enum StateEntry: Sendable, Equatable {
  /// Numbers, for example one for each coordinate.
  case floats([Float])
  /// Whole numbers.
  case integers([Int])
  /// Coordinates of the vector.
  case mask(SupportMask)
  /// One number.
  case number(Double)
}

/// The name of an entry and what the loops need to know of it.
package struct StateName: Sendable, Hashable {
  /// The type of an entry.
  package enum Content: Sendable {
    /// Numbers.
    case floats
    /// Whole numbers in rows of so many columns; 1 for a plain list.
    case integers(columns: Int)
    /// Coordinates of the vector.
    case mask
    /// One number.
    case number
  }

  /// The name in checkpoints.
  package let name: String
  /// The type of the entry.
  package let content: Content
  /// Whether the entry has a value for each coordinate, which is zero where coordinates are pruned.
  package let isPruned: Bool

  private init(_ name: String, _ content: Content, isPruned: Bool = false) {
    self.name = name
    self.content = content
    self.isPruned = isPruned
  }

  /// Whether both have the same name.
  package static func == (a: StateName, b: StateName) -> Bool { a.name == b.name }

  /// Hashes the name.
  package func hash(into hasher: inout Hasher) { hasher.combine(name) }

  /// The dense trainable vector P; always there.
  package static let vector = StateName("vector", .floats, isPruned: true)
  /// The optimizer's first moment, as long as the vector, or empty; always there.
  package static let firstMoment = StateName("first_moment", .floats, isPruned: true)
  /// The optimizer's second moment, as long as the vector, or empty; always there.
  package static let secondMoment = StateName("second_moment", .floats, isPruned: true)
  /// The coordinates that are not pruned; absent while no coordinate is pruned.
  package static let support = StateName("support", .mask)
  /// The clip of the next round; absent if privacy does not adapt one.
  package static let clip = StateName("clip", .number)
  /// The base matrices with all that was merged into them; absent before the first merge.
  package static let mergedBase = StateName("merged_base", .floats)
  /// The size of the stack that was merged last (`StackSize.numbers`); absent before the first merge.
  package static let lastStack = StateName("last_stack", .integers(columns: 1))
  /// Rows of client and LoRA rank, ascending, of clients that have pruned ranks; absent without any.
  package static let clientRanks = StateName("client_ranks", .integers(columns: 2))

  /// All entries, in the order of digests and checkpoints.
  package static let all: [StateName] = [
    .vector, .firstMoment, .secondMoment, .support, .clip, .mergedBase, .lastStack, .clientRanks,
  ]
}

extension StateEntry {
  /// Sets the coordinates outside of `mask` to zero.
  mutating func restrict(to mask: SupportMask) {
    guard case .floats(var values) = self, !values.isEmpty else { return }
    self = .floats([])
    values.withUnsafeMutableBufferPointer { mask.apply(to: $0) }
    self = .floats(values)
  }

  /// Adds the bytes of the entry to a digest; those of a mask only if it leaves something out.
  func update(_ hash: inout XXHash64) {
    switch self {
    case .floats(let values): hash.update(values)
    case .integers(let values): hash.update(values)
    case .mask(let mask): if !mask.isAll { hash.update(mask.indices.map(Int.init)) }
    case .number(let number): hash.update([number])
    }
  }
}
