// Offsets of LoRA's factors in the trainable vector, for methods that look at ranks or at products
// and not only at coordinates.
public import Sparsity

/// Linear algebra on factors. The owner of the factors does it, so that this target has no matrix
/// library; B is (outputs, ranks) and A (ranks, inputs), both row-major.
package protocol FactorProducts: Sendable {
  /// Adds `scale` * B A to `matrix`, (outputs, inputs).
  func addProduct(
    b: UnsafePointer<Float>, a: UnsafePointer<Float>, ranks: Int, scale: Float,
    outputs: Int, inputs: Int, to matrix: UnsafeMutablePointer<Float>)

  /// The factors of rank `ranks` whose product is nearest to the sum of `scale` * B A over `terms`,
  /// which have as many ranks each.
  func nearestFactors(
    toSumOf terms: [FactorTerm], ranks: Int, outputs: Int, inputs: Int
  ) -> (b: [Float], a: [Float])
}

/// One product of a sum of products.
package struct FactorTerm {
  /// B, (outputs, ranks).
  package var b: [Float]
  /// A, (ranks, inputs).
  package var a: [Float]
  /// The factor of B A.
  package var scale: Double
}

/// The LoRA pairs of a trainable vector. A is (r, inputs) and B (outputs, r), both row-major.
public struct FactorLayout: Sendable {
  /// One adapted layer.
  public struct Pair: Sendable, Equatable {
    /// Where A starts.
    public var aOffset: Int
    /// Where B starts.
    public var bOffset: Int
    /// Columns of A.
    public var inputs: Int
    /// Rows of B.
    public var outputs: Int

    /// A pair at these places.
    public init(aOffset: Int, bOffset: Int, inputs: Int, outputs: Int) {
      self.aOffset = aOffset
      self.bOffset = bOffset
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// Length of the vector.
  public let length: Int
  /// r, the same for all pairs.
  public let loraRank: Int
  /// What a product B A is multiplied by where it is added to its matrix: alpha / r.
  public let scale: Float
  /// The pairs.
  public let pairs: [Pair]
  /// Multiplies the factors.
  package let products: any FactorProducts

  /// A layout of these pairs in a vector of `length`.
  package init(
    length: Int, loraRank: Int, scale: Float = 1, pairs: [Pair], products: any FactorProducts
  ) {
    self.length = length
    self.loraRank = loraRank
    self.scale = scale
    self.pairs = pairs
    self.products = products
  }

  /// The coordinates that an adapter of the first `count` ranks has: the first rows of every A, the
  /// first columns of every B, and everything that belongs to no pair.
  public func support(ranksBelow count: Int) -> SupportMask {
    precondition((0...loraRank).contains(count), "\(count) of \(loraRank) ranks")
    var isKept = [Bool](repeating: true, count: length)
    for pair in pairs {
      for rank in count..<loraRank {
        for input in 0..<pair.inputs { isKept[pair.aOffset + rank * pair.inputs + input] = false }
        for output in 0..<pair.outputs { isKept[pair.bOffset + output * loraRank + rank] = false }
      }
    }
    return SupportMask(
      length: length, indices: isKept.indices.lazy.filter { isKept[$0] }.map { UInt32($0) })
  }

  /// The squared Frobenius norm of all products B A of the first `count` ranks together, without
  /// forming one: the sum over pairs of <B^T B, A A^T>. In Double and in fixed order.
  /// - Complexity: O(r n).
  func squaredProductNorm(of vector: UnsafeBufferPointer<Float>, ranksBelow count: Int) -> Double {
    precondition(vector.count == length, "a vector of \(vector.count) for a layout of \(length)")
    var total = 0.0
    for pair in pairs {
      for i in 0..<count {
        for j in 0...i {
          var a = 0.0
          for input in 0..<pair.inputs {
            a +=
              Double(vector[pair.aOffset + i * pair.inputs + input])
              * Double(vector[pair.aOffset + j * pair.inputs + input])
          }
          var b = 0.0
          for output in 0..<pair.outputs {
            b +=
              Double(vector[pair.bOffset + output * loraRank + i])
              * Double(vector[pair.bOffset + output * loraRank + j])
          }
          total += (i == j ? 1 : 2) * a * b
        }
      }
    }
    return total
  }

  /// Replaces the factors' part of `pseudoGradient` by `server` minus the best factors of the
  /// weighted mean of the clients' products B A, so that a step of length 1 along it arrives there.
  ///
  /// - Complexity: a QR and an SVD of K r columns for each pair, K clients.
  func takeProductMean(
    of clients: [[Float]], weights: [Int], from server: [Float],
    into pseudoGradient: inout [Float]
  ) {
    let total = Double(weights.reduce(0, +))
    for pair in pairs {
      let (b, a) = products.nearestFactors(
        toSumOf: zip(clients, weights).map {
          FactorTerm(
            b: Array($0[pair.bOffset..<pair.bOffset + pair.outputs * loraRank]),
            a: Array($0[pair.aOffset..<pair.aOffset + loraRank * pair.inputs]),
            scale: Double($1) / total)
        }, ranks: loraRank, outputs: pair.outputs, inputs: pair.inputs)
      for i in b.indices { pseudoGradient[pair.bOffset + i] = server[pair.bOffset + i] - b[i] }
      for i in a.indices { pseudoGradient[pair.aOffset + i] = server[pair.aOffset + i] - a[i] }
    }
  }
}
