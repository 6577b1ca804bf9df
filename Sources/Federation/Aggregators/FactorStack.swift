// FLoRA's stacking (Wang et al. 2024, arXiv 2409.05976). With the clients' shares s_k of the
// weights, for each adapted layer
//
//   A = [A_1; A_2; ...; A_K],   B = [s_1 B_1, s_2 B_2, ..., s_K B_K],   B A = sum_k s_k B_k A_k
//
// exactly, whatever ranks the clients have. The stack travels; everybody adds scale B A to the layer's
// base matrix and starts the next round from new factors.
internal import RandomStreams
public import Sparsity

/// The message of a stack: its bytes, and its values.
public struct StackSize: Sendable, Hashable {
  /// The bytes.
  public var payload: PayloadSize
  /// How many values it has.
  public var count: Int

  /// A size of these parts.
  public init(payload: PayloadSize, count: Int) {
    self.payload = payload
    self.count = count
  }

  /// Values' bytes, indices' bytes, header's bytes, values.
  public var numbers: [Int] { [payload.values, payload.indices, payload.header, count] }

  /// The size of four such numbers; nil of others.
  public init?(numbers: [Int]) {
    guard numbers.count == 4, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
    self.init(
      payload: PayloadSize(values: numbers[0], indices: numbers[1], header: numbers[2]),
      count: numbers[3])
  }
}

/// The factors of some clients side by side: for each pair the stacked A, (ranks, inputs), then the
/// stacked B, (outputs, ranks), both row-major.
public struct FactorStack: Sendable {
  /// Whose factors.
  public let layout: FactorLayout
  /// The ranks of all clients together.
  public let rankCount: Int
  /// The stacked factors, pair by pair.
  public private(set) var values: [Float]

  /// The stack of vectors of `layout` with the first `loraRank` ranks of each, the B's times their share.
  public init(
    _ clients: [(vector: [Float], loraRank: Int, share: Float)], layout: FactorLayout
  ) {
    self.layout = layout
    rankCount = clients.reduce(0) { $0 + $1.loraRank }
    values = []
    values.reserveCapacity(Self.count(ranks: rankCount, layout))
    for pair in layout.pairs {
      for client in clients {
        values += client.vector[pair.aOffset..<(pair.aOffset + client.loraRank * pair.inputs)]
      }
      for output in 0..<pair.outputs {
        for client in clients {
          let row = pair.bOffset + output * layout.loraRank
          for rank in 0..<client.loraRank {
            values.append(client.share * client.vector[row + rank])
          }
        }
      }
    }
  }

  /// A stack that was received.
  /// - Precondition: as many values as so many ranks have.
  init(values: [Float], rankCount: Int, layout: FactorLayout) {
    precondition(values.count == Self.count(ranks: rankCount, layout))
    (self.values, self.rankCount, self.layout) = (values, rankCount, layout)
  }

  /// The values of a stack of so many ranks.
  public static func count(ranks: Int, _ layout: FactorLayout) -> Int {
    layout.pairs.reduce(0) { $0 + ranks * ($1.inputs + $1.outputs) }
  }

  /// Where each tensor of it ends.
  static func tensorEnds(ranks: Int, _ layout: FactorLayout) -> [Int] {
    var ends: [Int] = []
    for pair in layout.pairs {
      ends.append((ends.last ?? 0) + ranks * pair.inputs)
      ends.append(ends[ends.count - 1] + ranks * pair.outputs)
    }
    return ends
  }

  /// Adds scale B A to each of the matrices that stand one after the other at `base`.
  func merge(into base: UnsafeMutablePointer<Float>) {
    guard rankCount > 0 else { return }
    values.withUnsafeBufferPointer { values in
      var place = values.baseAddress!
      for (pair, offset) in zip(layout.pairs, layout.baseOffsets) {
        let b = place + rankCount * pair.inputs
        layout.products.addProduct(
          b: b, a: place, ranks: rankCount, scale: layout.scale, outputs: pair.outputs,
          inputs: pair.inputs, to: base + offset)
        place = b + rankCount * pair.outputs
      }
    }
  }
}

extension FactorLayout {
  /// Floats of all base matrices.
  package var baseCount: Int { pairs.reduce(0) { $0 + $1.inputs * $1.outputs } }

  /// Where each pair's matrix starts among all of them.
  public var baseOffsets: [Int] {
    var next = 0
    return pairs.map { pair in
      defer { next += pair.inputs * pair.outputs }
      return next
    }
  }

  /// Writes new factors: A uniform within 1 / sqrt(inputs) as at the start of a run, zero from rank `count`
  /// on, and B zero. What belongs to no pair stays.
  ///
  /// The numbers are a function of (seed, round, client): each client's own, as in the paper, so that their
  /// products span more than the ranks of one; a server that knows the seed needs no message to know them.
  func writeNewFactors(
    to vector: UnsafeMutableBufferPointer<Float>, ranksBelow count: Int, seed: UInt64, round: Int,
    client: Int
  ) {
    precondition(vector.count == length, "a vector of \(vector.count) for a layout of \(length)")
    for (index, pair) in pairs.enumerated() {
      // Round 0 is the one of the run's initial vector.
      var stream = RandomStream(
        seed: seed, purpose: .adapterInitialization, round: round + 1, client: client, step: index)
      let drawn = pair.aOffset + count * pair.inputs
      stream.fillAsLinearWeight(
        UnsafeMutableBufferPointer(rebasing: vector[pair.aOffset..<drawn]), inputs: pair.inputs)
      for place in drawn..<pair.aOffset + loraRank * pair.inputs { vector[place] = 0 }
      for place in 0..<pair.outputs * loraRank { vector[pair.bOffset + place] = 0 }
    }
  }
}
