// What the kernel tests share: seeded values, shapes, and comparisons with a bound in units of
// n * epsilon.

import Kernels

/// A small linear congruential generator: tests need reproducible values, not good ones.
struct TestValues {
  var state: UInt64

  init(_ seed: UInt64) { state = seed &* 2 &+ 1 }

  /// A value in -1 ..< 1.
  mutating func next() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(Int32(truncatingIfNeeded: state >> 32)) / 2_147_483_648
  }

  mutating func array(_ count: Int, scale: Float = 1) -> [Float] {
    (0..<count).map { _ in next() * scale }
  }
}

/// Rows and columns: none, one, not a multiple of a vector's width, and wide.
let matrixShapes = [(0, 5), (1, 1), (3, 7), (2, 16), (5, 33), (4, 576), (2, 1537)]

/// max |a - b| over max(1, max |b|).
func difference(_ a: [Float], _ b: [Double]) -> Double {
  precondition(a.count == b.count)
  let largest = b.reduce(1) { max($0, abs($1)) }
  return zip(a, b).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } / largest
}

/// Central difference of `f` along each element of `x`, in double precision.
func numericalGradient(_ x: [Double], step: Double = 1e-5, _ f: ([Double]) -> Double) -> [Double] {
  x.indices.map { index in
    var moved = x
    moved[index] = x[index] + step
    let above = f(moved)
    moved[index] = x[index] - step
    return (above - f(moved)) / (2 * step)
  }
}

/// Float32's unit roundoff.
let epsilon = Double(Float.ulpOfOne)
