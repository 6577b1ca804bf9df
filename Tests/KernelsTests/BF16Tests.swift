// Rounding to bf16, and products in bf16 where the build and the CPU have them.

import Dispatch
import Kernels
import Testing

/// bf16's unit roundoff: 8 bits of significand (one of them implicit), rounded to the nearest.
private let roundoff = 0x1p-8

/// What `x` is in bf16.
private func rounded(_ x: [Float]) -> [Float] {
  var halves = [UInt16](repeating: 0, count: x.count)
  BF16.round(&halves, x, count: x.count)
  return halves.map { Float(bitPattern: UInt32($0) << 16) }
}

@Suite("Rounding to bf16")
struct BF16RoundingTests {
  @Test("to the nearest, ties to even")
  func nearest() {
    let step: Float = 0x1p-7  // between bf16 numbers from 1 to 2
    let cases: [(Float, Float)] = [
      (0, 0), (-0.0, -0.0), (1, 1), (1 + step, 1 + step), (1 + step * 0.49, 1),
      (1 + step * 0.5, 1), (1 + step * 0.51, 1 + step), (1 + step * 1.5, 1 + step * 2),
      (-1 - step * 1.5, -1 - step * 2), (0x1p-130, 0x1p-130), (.infinity, .infinity),
      (-.infinity, -.infinity), (.greatestFiniteMagnitude, .infinity),
      (.leastNonzeroMagnitude, 0),
    ]
    let found = rounded(cases.map(\.0))
    for (index, (input, expected)) in cases.enumerated() {
      #expect(found[index].bitPattern == expected.bitPattern, "\(input)")
    }
    #expect(rounded([.nan])[0].isNaN)
    #expect(rounded([Float(bitPattern: 0x7F80_0001)])[0].isNaN, "a NaN in its low bits alone")
    #expect(
      rounded([Float(bitPattern: 0xFFFF_FFFF)])[0].isNaN, "a NaN that rounding would overflow")
  }

  @Test("within half a unit in the last place", arguments: [0, 1, 15, 16, 17, 1000])
  func bound(_ count: Int) {
    var values = TestValues(UInt64(count))
    let x = values.array(count, scale: 3)
    for (a, b) in zip(rounded(x), x) {
      #expect(abs(Double(a) - Double(b)) <= roundoff * abs(Double(b)))
    }
  }
}

@Suite(
  "Products in bf16",
  .enabled(if: BF16.unavailableReason == nil, "\(BF16.unavailableReason ?? "")"))
struct BF16ProductTests {
  /// Rows on both sides of each kind of piece; inner and outer sizes odd, and those of a model.
  static let shapes = [
    (0, 3, 4), (1, 1, 1), (5, 7, 3), (15, 64, 20), (16, 33, 17), (17, 576, 192), (130, 64, 20),
    (300, 61, 100), (143, 192, 576),
  ]

  private static func packed(_ weight: [Float], inputs: Int, outputs: Int) -> any FrozenMatrix {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: BF16Matrix.byteCount(inputs: inputs, outputs: outputs), alignment: 64)
    BF16Matrix.pack(weight, inputs: inputs, outputs: outputs, to: memory)
    return BF16Matrix(memory, inputs: inputs, outputs: outputs)
  }

  /// Checks `found` = start + a (rows, inner) b (inner, columns), b being given by element.
  ///
  /// Against the product of the rounded factors only fp32's sum may err: (n + 2) epsilon sum |a b|.
  /// Against the exact product each factor adds a unit roundoff: (1 + u)^2 - 1 = 2 u + u^2.
  private func check(
    _ found: [Float], start: [Float]?, _ a: [Float], rows: Int, inner: Int, columns: Int,
    _ b: (_ inner: Int, _ column: Int) -> (exact: Float, rounded: Float)
  ) {
    let halves = rounded(a)
    var worst = 0.0
    for row in 0..<rows {
      for column in 0..<columns {
        let before = Double(start?[row * columns + column] ?? 0)
        var (sum, exact, magnitude) = (before, before, abs(before))
        for k in 0..<inner {
          let factor = b(k, column)
          sum += Double(halves[row * inner + k]) * Double(factor.rounded)
          exact += Double(a[row * inner + k]) * Double(factor.exact)
          magnitude += abs(Double(a[row * inner + k]) * Double(factor.exact))
        }
        let got = Double(found[row * columns + column])
        let sumBound = Double(inner + 2) * epsilon * magnitude * (1 + 4 * roundoff)
        let bound = (2 * roundoff + roundoff * roundoff) * magnitude + sumBound
        if !(abs(got - sum) <= sumBound && abs(got - exact) <= bound) {
          worst = max(worst, abs(got - sum) / sumBound)
        }
      }
    }
    #expect(worst == 0, "off by \(worst) times the bound")
  }

  @Test("both directions, written and added", arguments: shapes)
  func products(_ tokens: Int, _ inputs: Int, _ outputs: Int) {
    var values = TestValues(UInt64(tokens + inputs))
    let x = values.array(tokens * inputs)
    let w = values.array(outputs * inputs)
    let dY = values.array(tokens * outputs)
    let wRounded = rounded(w)
    let weight = Self.packed(w, inputs: inputs, outputs: outputs)
    for accumulation in [Accumulation.overwrite, .add] {
      let start = values.array(tokens * outputs)
      var y = start
      weight.forward(output: &y, input: x, tokens: tokens, accumulation)
      check(
        y, start: accumulation == .add ? start : nil, x, rows: tokens, inner: inputs,
        columns: outputs
      ) { (w[$1 * inputs + $0], wRounded[$1 * inputs + $0]) }
      let dStart = values.array(tokens * inputs)
      var dX = dStart
      weight.backwardInput(dInput: &dX, dOutput: dY, tokens: tokens, accumulation)
      check(
        dX, start: accumulation == .add ? dStart : nil, dY, rows: tokens, inner: outputs,
        columns: inputs
      ) { (w[$0 * inputs + $1], wRounded[$0 * inputs + $1]) }
    }
  }

  @Test("the same bits again, and on several threads at once")
  func sameBits() {
    let (tokens, inputs, outputs) = (147, 320, 96)
    var values = TestValues(5)
    let x = values.array(tokens * inputs)
    let weight = Self.packed(
      values.array(outputs * inputs), inputs: inputs, outputs: outputs)
    @Sendable func product() -> [Float] {
      var y = [Float](repeating: 0, count: tokens * outputs)
      weight.forward(output: &y, input: x, tokens: tokens, .overwrite)
      return y
    }
    let expected = product()
    #expect(product() == expected)
    DispatchQueue.concurrentPerform(iterations: 16) { _ in
      #expect(product() == expected)
    }
  }
}
