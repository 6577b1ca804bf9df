// The best approximation of given rank of a sum of low-rank products, without forming the sum:
//
//   S = sum_k B_k A_k = L R^T,  L = [B_1 ... B_K] (O, m),  R = [A_1^T ... A_K^T] (I, m)
//   L = Q_L T_L,  R = Q_R T_R (QR),  core = T_L T_R^T = U s V^T (SVD, at most m x m)
//   best rank-r factors of S:  B = Q_L U_r s_r = Q_L core V_r (O, r),  A = V_r^T Q_R^T (r, I)
//
// (Eckart & Young 1936.) V and s come from a QR decomposition core = Q T and one-sided Jacobi turns
// of T^T, whose columns become V s. In Double, so that the factors are exact to Float; the same
// bits on every CPU.

/// A sum of products B A, each of its own rank, that is known by its factors.
public struct LowRankSum {
  private let outputs: Int
  private let inputs: Int
  private var left: [Double] = []
  private var right: [Double] = []

  /// A sum of nothing, (`outputs`, `inputs`).
  public init(outputs: Int, inputs: Int) {
    precondition(outputs > 0 && inputs > 0, "a product of \(outputs) by \(inputs)")
    self.outputs = outputs
    self.inputs = inputs
  }

  /// Adds `scale` * B A.
  ///
  /// - Parameters:
  ///   - b: (outputs, loraRank), row-major.
  ///   - a: (loraRank, inputs), row-major.
  public mutating func add(b: Floats, a: Floats, loraRank: Int, scale: Double) {
    for rank in 0..<loraRank {
      for output in 0..<outputs { left.append(scale * Double(b[output * loraRank + rank])) }
      for input in 0..<inputs { right.append(Double(a[rank * inputs + input])) }
    }
  }

  /// Writes the factors of the `loraRank` largest singular values: B takes the singular values, the
  /// rows of A are orthonormal, and the largest element of each is positive, so that the signs are
  /// unique; zeros where the sum has a smaller rank.
  ///
  /// - Parameters:
  ///   - b: (outputs, loraRank), row-major; overwritten.
  ///   - a: (loraRank, inputs), row-major; overwritten.
  public func truncate(toB b: MutableFloats, a: MutableFloats, loraRank: Int) {
    let inner = left.count / outputs
    b.update(repeating: 0, count: outputs * loraRank)
    a.update(repeating: 0, count: loraRank * inputs)
    guard inner > 0 else { return }
    let qrLeft = HouseholderQR(ColumnMatrix(rows: outputs, columns: inner, values: left))
    let qrRight = HouseholderQR(ColumnMatrix(rows: inputs, columns: inner, values: right))
    let core = qrLeft.triangle.times(qrRight.triangle.transposed)
    let v = Self.rightSingularVectors(core, atMost: loraRank)
    let rows = qrRight.expanded(v)
    let columns = qrLeft.expanded(core.times(v))
    for rank in 0..<v.columns {
      var largest = 0.0
      for input in 0..<inputs where abs(rows[input, rank]) > abs(largest) {
        largest = rows[input, rank]
      }
      let sign: Double = largest < 0 ? -1 : 1
      for input in 0..<inputs { a[rank * inputs + input] = Float(sign * rows[input, rank]) }
      for output in 0..<outputs {
        b[output * loraRank + rank] = Float(sign * columns[output, rank])
      }
    }
  }

  /// The right singular vectors of the largest singular values as columns, in descending order;
  /// fewer if the matrix has a smaller rank.
  private static func rightSingularVectors(_ core: ColumnMatrix, atMost count: Int) -> ColumnMatrix
  {
    var turned = HouseholderQR(core).triangle.transposed
    turned.orthogonalizeColumns()
    let size = turned.rows
    let norms = (0..<turned.columns).map { column in
      turned.values.withUnsafeBufferPointer {
        let start = $0.baseAddress! + column * size
        return dot(start, start, count: size).squareRoot()
      }
    }
    let order = norms.indices.sorted { (norms[$1], $0) < (norms[$0], $1) }
    // A column within the rounding of the largest is one of a zero singular value.
    let least = (norms.max() ?? 0) * Double(size) * 0x1p-52
    let kept = order.prefix(count).filter { norms[$0] > least }
    var result = ColumnMatrix(rows: size, columns: kept.count)
    for (rank, column) in kept.enumerated() {
      for row in 0..<size { result[row, rank] = turned[row, column] / norms[column] }
    }
    return result
  }
}
