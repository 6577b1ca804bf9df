// The entries of the server's state with their types.
public import Sparsity

extension ServerState {
  /// The dense trainable vector P.
  public var vector: [Float] { floats(.vector) }
  /// The optimizer's first moment, as long as the vector, or empty if it keeps none.
  public var firstMoment: [Float] { floats(.firstMoment) }
  /// The optimizer's second moment, as long as the vector, or empty if it keeps none.
  public var secondMoment: [Float] { floats(.secondMoment) }

  /// The coordinates that are not pruned; nil while no coordinate is pruned.
  public var support: SupportMask? {
    if case .mask(let mask)? = self[.support] { mask } else { nil }
  }

  /// The clip of the next round, if privacy adapts it; nil otherwise.
  public internal(set) var clip: Double? {
    get { if case .number(let clip)? = self[.clip] { clip } else { nil } }
    set { self[.clip] = newValue.map { .number($0) } }
  }

  /// The base matrices with all that was merged into them, one after the other in the order of the
  /// factors' pairs; empty before the first merge.
  public internal(set) var mergedBase: [Float] {
    get { floats(.mergedBase) }
    set { self[.mergedBase] = newValue.isEmpty ? nil : .floats(newValue) }
  }

  /// The size of what was merged last, which the clients of the next round have to receive; nil before
  /// the first merge.
  package internal(set) var lastStack: StackSize? {
    get { StackSize(numbers: integers(.lastStack)) }
    set { self[.lastStack] = newValue.map { .integers($0.numbers) } }
  }

  /// The ranks that are left to clients that have pruned some.
  package internal(set) var clientRanks: [Int: Int] {
    get { Dictionary(rows: integers(.clientRanks)) }
    set { self[.clientRanks] = newValue.isEmpty ? nil : .integers(newValue.rows) }
  }

  private func floats(_ name: StateName) -> [Float] {
    if case .floats(let values)? = self[name] { values } else { [] }
  }

  private func integers(_ name: StateName) -> [Int] {
    if case .integers(let values)? = self[name] { values } else { [] }
  }
}

extension [Int: Int] {
  /// Keys and values by turns, by ascending key.
  var rows: [Int] { sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] } }

  /// The dictionary of such rows; of equal keys the first counts.
  init(rows: [Int]) {
    self.init(
      stride(from: 0, to: rows.count - 1, by: 2).map { (rows[$0], rows[$0 + 1]) },
      uniquingKeysWith: { first, _ in first })
  }
}
