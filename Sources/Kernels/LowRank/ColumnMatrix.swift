// Double matrices whose arithmetic has the same bits on every CPU: plain additions,
// multiplications, divisions and square roots in a fixed order. Sums run over eight lanes.

/// A column-major matrix in Double.
struct ColumnMatrix {
  let rows: Int
  let columns: Int
  var values: [Double]

  /// A matrix of zeros.
  init(rows: Int, columns: Int) {
    self.init(rows: rows, columns: columns, values: Array(repeating: 0, count: rows * columns))
  }

  /// A matrix of these values, column by column.
  init(rows: Int, columns: Int, values: [Double]) {
    precondition(values.count == rows * columns)
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[column * rows + row] }
    set { values[column * rows + row] = newValue }
  }

  /// The matrix with rows and columns exchanged.
  var transposed: ColumnMatrix {
    var result = ColumnMatrix(rows: columns, columns: rows)
    for column in 0..<columns {
      for row in 0..<rows { result[column, row] = self[row, column] }
    }
    return result
  }

  /// The product with `other` (columns, n): each element is a sum in ascending order of the inner
  /// dimension.
  func times(_ other: ColumnMatrix) -> ColumnMatrix {
    precondition(columns == other.rows)
    var result = ColumnMatrix(rows: rows, columns: other.columns)
    values.withUnsafeBufferPointer { left in
      result.values.withUnsafeMutableBufferPointer { out in
        guard let left = left.baseAddress, let out = out.baseAddress else { return }
        for column in 0..<other.columns {
          for k in 0..<columns {
            addMultiple(
              of: left + k * rows, by: other[k, column], to: out + column * rows, count: rows)
          }
        }
      }
    }
    return result
  }
}

/// The sum of x_i y_i: element i goes to lane i mod 8, each lane in ascending order, then lane j
/// takes lanes j + 4, j + 2, j + 1.
func dot(_ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, count: Int) -> Double {
  var lanes = SIMD8<Double>()
  let (a, b) = (UnsafeRawPointer(x), UnsafeRawPointer(y))
  var index = 0
  while index + 8 <= count {
    lanes +=
      a.loadUnaligned(fromByteOffset: index * 8, as: SIMD8<Double>.self)
      * b.loadUnaligned(fromByteOffset: index * 8, as: SIMD8<Double>.self)
    index += 8
  }
  for lane in 0..<(count - index) { lanes[lane] += x[index + lane] * y[index + lane] }
  let four = lanes.lowHalf + lanes.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

/// y += factor * x.
func addMultiple(
  of x: UnsafePointer<Double>, by factor: Double, to y: UnsafeMutablePointer<Double>, count: Int
) {
  for index in 0..<count { y[index] += factor * x[index] }
}

/// A QR decomposition by Householder reflections (Golub & Van Loan, algorithm 5.2.1): reflection k
/// is 1 - factor_k v_k v_k^T, and v_k lies below the diagonal of column k of `packed`.
struct HouseholderQR {
  private var packed: ColumnMatrix
  private var factors: [Double] = []
  private var diagonal: [Double] = []

  /// Decomposes `matrix`.
  init(_ matrix: ColumnMatrix) {
    packed = matrix
    let (rows, columns) = (matrix.rows, matrix.columns)
    packed.values.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      for k in 0..<min(rows, columns) {
        let (v, count) = (base + k * rows + k, rows - k)
        let norm = dot(v, v, count: count).squareRoot()
        guard norm > 0 else {
          factors.append(0)
          diagonal.append(0)
          continue
        }
        // The sign that adds no cancellation.
        let image = v[0] > 0 ? -norm : norm
        v[0] -= image
        let factor = 2 / dot(v, v, count: count)
        for column in (k + 1)..<max(columns, k + 1) {
          let target = base + column * rows + k
          addMultiple(
            of: v, by: -factor * dot(v, target, count: count), to: target, count: count)
        }
        factors.append(factor)
        diagonal.append(image)
      }
    }
  }

  /// The upper triangle, (min(rows, columns), columns).
  var triangle: ColumnMatrix {
    var result = ColumnMatrix(rows: diagonal.count, columns: packed.columns)
    for column in 0..<packed.columns {
      for row in 0..<min(column, result.rows) { result[row, column] = packed[row, column] }
      if column < result.rows { result[column, column] = diagonal[column] }
    }
    return result
  }

  /// Q times `matrix` (min(rows, columns), n).
  func expanded(_ matrix: ColumnMatrix) -> ColumnMatrix {
    var result = ColumnMatrix(rows: packed.rows, columns: matrix.columns)
    for column in 0..<matrix.columns {
      for row in 0..<matrix.rows { result[row, column] = matrix[row, column] }
    }
    packed.values.withUnsafeBufferPointer { from in
      result.values.withUnsafeMutableBufferPointer { to in
        guard let from = from.baseAddress, let to = to.baseAddress else { return }
        for k in (0..<factors.count).reversed() where factors[k] != 0 {
          let (v, count) = (from + k * packed.rows + k, packed.rows - k)
          for column in 0..<matrix.columns {
            let target = to + column * packed.rows + k
            addMultiple(
              of: v, by: -factors[k] * dot(v, target, count: count), to: target, count: count)
          }
        }
      }
    }
    return result
  }
}

extension ColumnMatrix {
  /// Turns the columns until each pair is orthogonal (one-sided Jacobi: Hestenes 1958; Demmel &
  /// Veselic 1992): afterwards column j is the left singular vector u_j times its singular value,
  /// in no order.
  mutating func orthogonalizeColumns() {
    let (rows, columns) = (rows, columns)
    values.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, columns > 1 else { return }
      for _ in 0..<60 {
        var turned = false
        for i in 0..<(columns - 1) {
          for j in (i + 1)..<columns {
            if Self.orthogonalize(base + i * rows, base + j * rows, count: rows) { turned = true }
          }
        }
        if !turned { return }
      }
    }
  }

  /// Turns two columns; returns whether they were not orthogonal yet.
  private static func orthogonalize(
    _ x: UnsafeMutablePointer<Double>, _ y: UnsafeMutablePointer<Double>, count: Int
  ) -> Bool {
    let (a, b, c) = (
      dot(x, x, count: count), dot(y, y, count: count), dot(x, y, count: count)
    )
    guard abs(c) > 1e-15 * Double(count).squareRoot() * (a.squareRoot() * b.squareRoot()) else {
      return false
    }
    let zeta = (b - a) / (2 * c)
    let t = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
    let cosine = 1 / (1 + t * t).squareRoot()
    let sine = cosine * t
    for index in 0..<count {
      let (u, v) = (x[index], y[index])
      x[index] = cosine * u - sine * v
      y[index] = sine * u + cosine * v
    }
    return true
  }
}
