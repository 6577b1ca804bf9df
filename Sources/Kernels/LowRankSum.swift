// The best approximation of given rank of a sum of low-rank products, without forming the sum:
//
//   S = sum_k B_k A_k = L R^T,  L = [B_1 ... B_K] (O, m),  R = [A_1^T ... A_K^T] (I, m)
//   L = Q_L T_L,  R = Q_R T_R (QR),  T_L T_R^T = U s V^T (SVD, at most m x m)
//   best rank-r factors of S:  B = Q_L U_r s_r (O, r),  A = V_r^T Q_R^T (r, I)
//
// (Eckart & Young 1936.) LAPACK in OpenBLAS, in Double, so that the factors are exact to Float.

internal import COpenBLAS

/// A column-major matrix as LAPACK has it.
private struct Matrix {
  let rows: Int
  let columns: Int
  var values: [Double]

  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    values = [Double](repeating: 0, count: rows * columns)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[column * rows + row] }
    set { values[column * rows + row] = newValue }
  }
}

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
  /// rows of A are orthonormal, and the largest element of each is positive, so that the factors do
  /// not depend on LAPACK's choice of signs; zeros where the sum has a smaller rank.
  ///
  /// - Parameters:
  ///   - b: (outputs, loraRank), row-major; overwritten.
  ///   - a: (loraRank, inputs), row-major; overwritten.
  public func truncate(toB b: MutableFloats, a: MutableFloats, loraRank: Int) {
    let inner = left.count / outputs
    let (qLeft, tLeft) = Self.qr(rows: outputs, columns: inner, left)
    let (qRight, tRight) = Self.qr(rows: inputs, columns: inner, right)
    let (p, q) = (tLeft.rows, tRight.rows)
    var core = Matrix(rows: p, columns: q)
    if inner > 0 {
      cblas_dgemm(
        CblasColMajor, CblasNoTrans, CblasTrans, blasint(p), blasint(q), blasint(inner), 1,
        tLeft.values, blasint(p), tRight.values, blasint(q), 0, &core.values, blasint(p))
    }
    let (u, singular, vT) = Self.svd(core)
    let found = min(loraRank, singular.count)
    b.update(repeating: 0, count: outputs * loraRank)
    a.update(repeating: 0, count: loraRank * inputs)
    for rank in 0..<found {
      var row = [Double](repeating: 0, count: inputs)
      for input in 0..<inputs {
        for k in 0..<q { row[input] += qRight[input, k] * vT[rank, k] }
      }
      let largest = row.reduce(0) { abs($1) > abs($0) ? $1 : $0 }
      let sign: Double = largest < 0 ? -1 : 1
      for input in 0..<inputs { a[rank * inputs + input] = Float(sign * row[input]) }
      for output in 0..<outputs {
        var sum = 0.0
        for k in 0..<p { sum += qLeft[output, k] * u[k, rank] }
        b[output * loraRank + rank] = Float(sign * sum * singular[rank])
      }
    }
  }

  /// Q (rows, min) and the upper triangular T (min, columns).
  private static func qr(rows: Int, columns: Int, _ values: [Double]) -> (q: Matrix, t: Matrix) {
    let least = min(rows, columns)
    var triangle = Matrix(rows: least, columns: columns)
    var q = Matrix(rows: rows, columns: least)
    guard least > 0 else { return (q, triangle) }
    var packed = values
    var tau = [Double](repeating: 0, count: least)
    lapack("dgeqrf") { work, length, status in
      var (m, n) = (blasint(rows), blasint(columns))
      var leading = m
      // dgeqrf(M, N, A, LDA, TAU, WORK, LWORK, INFO)
      dgeqrf_(&m, &n, &packed, &leading, &tau, work, &length, &status)
    }
    for column in 0..<columns {
      for row in 0...min(column, least - 1) { triangle[row, column] = packed[column * rows + row] }
    }
    q.values = Array(packed[0..<(rows * least)])
    lapack("dorgqr") { work, length, status in
      var (m, n, k) = (blasint(rows), blasint(least), blasint(least))
      var leading = m
      // dorgqr(M, N, K, A, LDA, TAU, WORK, LWORK, INFO)
      dorgqr_(&m, &n, &k, &q.values, &leading, &tau, work, &length, &status)
    }
    return (q, triangle)
  }

  private static func svd(_ matrix: Matrix) -> (u: Matrix, singular: [Double], vT: Matrix) {
    let least = min(matrix.rows, matrix.columns)
    var u = Matrix(rows: matrix.rows, columns: least)
    var vT = Matrix(rows: least, columns: matrix.columns)
    var singular = [Double](repeating: 0, count: least)
    guard least > 0 else { return (u, singular, vT) }
    var copy = matrix.values
    var integers = [blasint](repeating: 0, count: 8 * least)
    lapack("dgesdd") { work, length, status in
      var job = CChar(UInt8(ascii: "S"))
      var (m, n) = (blasint(matrix.rows), blasint(matrix.columns))
      var (leading, leadingU, leadingV) = (m, m, blasint(least))
      // dgesdd(JOBZ, M, N, A, LDA, S, U, LDU, VT, LDVT, WORK, LWORK, IWORK, INFO)
      dgesdd_(
        &job, &m, &n, &copy, &leading, &singular, &u.values, &leadingU, &vT.values, &leadingV, work,
        &length, &integers, &status)
    }
    return (u, singular, vT)
  }

  /// Calls a LAPACK routine twice, first to ask for the length of its work array.
  private static func lapack(
    _ name: String,
    _ body: (_ work: UnsafeMutablePointer<Double>, _ length: inout blasint, inout blasint) -> Void
  ) {
    var (query, length, status) = (0.0, blasint(-1), blasint(0))
    body(&query, &length, &status)
    precondition(status == 0, "\(name) says \(status) of its arguments")
    length = blasint(query)
    var work = [Double](repeating: 0, count: max(1, Int(length)))
    body(&work, &length, &status)
    precondition(status == 0, "\(name) says \(status)")
  }
}
