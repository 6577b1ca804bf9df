// Products on both sides of the choice between sgemm and the kernel without packing: every
// transposition, strides wider than the matrices, and an inner dimension of more than one block.

import Kernels
import Testing

@Suite("Matrix products")
struct MatrixProductTests {
  static let shapes = [
    (1, 1, 1), (3, 17, 300), (8, 32, 16), (13, 48, 257), (48, 200, 70), (70, 80, 90),
    (100, 64, 513),
    (77, 129, 16),
  ]

  @Test(
    "every transposition equals the definition and leaves what lies between rows", arguments: shapes
  )
  func product(_ rows: Int, _ columns: Int, _ inner: Int) {
    var values = TestValues(UInt64(rows + columns + inner))
    for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
      let strideA = (transposeA ? rows : inner) + 3
      let strideB = (transposeB ? inner : columns) + 5
      let stride = columns + 2
      let a = values.array((transposeA ? inner : rows) * strideA)
      let b = values.array((transposeB ? columns : inner) * strideB)
      let start = values.array(rows * stride)
      for accumulation in [Accumulation.overwrite, .add] {
        var expected = start.map(Double.init)
        for r in 0..<rows {
          for c in 0..<columns {
            var sum = 0.0
            for k in 0..<inner {
              sum +=
                Double(a[transposeA ? k * strideA + r : r * strideA + k])
                * Double(b[transposeB ? c * strideB + k : k * strideB + c])
            }
            expected[r * stride + c] =
              (accumulation == .add ? expected[r * stride + c] : 0) + sum
          }
        }
        var out = start
        matmul(
          &out, stride: stride, rows: rows, columns: columns, inner: inner, a, strideA: strideA,
          transposeA: transposeA, b, strideB: strideB, transposeB: transposeB,
          accumulation)
        #expect(difference(out, expected) < Double(inner + 2) * epsilon)
      }
    }
  }
}
