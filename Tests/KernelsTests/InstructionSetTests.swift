// The bits of all instruction sets that this CPU has. A test changes the instruction set of the process;
// other tests that run at the same time may use it, which changes nothing if these tests pass.

import Kernels
import Testing

@Suite("Instruction sets", .serialized)
struct InstructionSetTests {
  /// Calls `body` with each supported instruction set, and restores the one in use.
  private func withEach(_ body: (InstructionSet) -> Void) {
    let before = InstructionSet.current
    defer { before.use() }
    for set in InstructionSet.allCases where set.isSupported {
      set.use()
      body(set)
    }
  }

  @Test(
    "a product is a sum of chains of fused multiply-adds over 576 steps, in ascending order",
    arguments: [(1, 1, 1), (13, 97, 5), (50, 33, 1200), (6, 16, 576), (25, 100, 577), (7, 250, 40)])
  func product(_ rows: Int, _ columns: Int, _ inner: Int) {
    var values = TestValues(UInt64(rows * columns + inner))
    for (transposeA, transposeB) in [(false, false), (false, true), (true, false), (true, true)] {
      let a = values.array(rows * inner)
      let b = values.array(inner * columns)
      let start = values.array(rows * columns)
      for accumulation in [Accumulation.overwrite, .add] {
        var expected = start
        for r in 0..<rows {
          for c in 0..<columns {
            for first in stride(from: 0, to: inner, by: 576) {
              var sum: Float = 0
              for k in first..<min(first + 576, inner) {
                sum.addProduct(
                  a[transposeA ? k * rows + r : r * inner + k],
                  b[transposeB ? c * inner + k : k * columns + c])
              }
              let isFirst = first == 0 && accumulation == .overwrite
              expected[r * columns + c] = isFirst ? sum : expected[r * columns + c] + sum
            }
          }
        }
        withEach { set in
          var out = start
          matmul(
            &out, stride: columns, rows: rows, columns: columns, inner: inner, a,
            strideA: transposeA ? rows : inner, transposeA: transposeA, b,
            strideB: transposeB ? inner : columns, transposeB: transposeB, accumulation)
          #expect(out.map(\.bitPattern) == expected.map(\.bitPattern), "\(set)")
        }
      }
    }
  }

  @Test(
    "vector kernels have the same bits",
    arguments: [(1, 1), (3, 31), (2, 32), (5, 33), (4, 100), (7, 576)])
  func vectors(_ rows: Int, _ columns: Int) {
    let count = rows * columns
    var values = TestValues(UInt64(count))
    let x = values.array(count, scale: 6)
    let y = values.array(count, scale: 3)
    let weight = values.array(columns)
    let bias = values.array(columns)
    let targets = (0..<rows).map { Int32($0 * 7 % (columns + 1)) }
    var all: [[UInt32]] = []
    withEach { _ in
      var results: [[Float]] = []
      func filled(_ count: Int, _ body: (MutableFloats) -> Void) {
        var out = [Float](repeating: 0.25, count: count)
        out.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
        results.append(out)
      }
      for activation in Activation.allCases {
        filled(count) { activationForward(out: $0, input: x, count: count, activation) }
        filled(count) {
          activationBackward(dInput: $0, dOut: y, input: x, count: count, activation)
        }
        filled(count) { gatedForward(out: $0, gate: x, up: y, count: count, activation) }
        filled(2 * count) {
          gatedBackward(
            dGate: $0, dUp: $0 + count, dOut: y, gate: x, up: y, count: count, activation)
        }
      }
      filled(count + rows) {
        rmsNormForward(
          out: $0, rstd: $0 + count, input: x, weight: weight, tokens: rows, channels: columns,
          epsilon: 1e-5)
      }
      filled(count + 2 * rows) {
        layerNormForward(
          out: $0, mean: $0 + count, rstd: $0 + count + rows, input: x, weight: weight, bias: bias,
          tokens: rows, channels: columns, epsilon: 1e-5)
      }
      filled(count + rows) { out in
        out.update(from: x, count: count)
        attentionSoftmax(
          scores: out, logSumExp: out + count, rows: rows, columns: columns, visible: 1, scale: 0.3)
      }
      filled(count + rows) { out in
        out.update(from: x, count: count)
        var predictions = [Int32](repeating: 0, count: rows)
        crossEntropy(
          logits: out, targets: targets, losses: out + count, predictions: &predictions, rows: rows,
          columns: columns, gradientScale: 0.5)
      }
      filled(columns) { biasGradient(dBias: $0, dOut: x, tokens: rows, channels: columns) }
      all.append(results.flatMap { $0 }.map(\.bitPattern))
    }
    for bits in all.dropFirst() { #expect(bits == all[0]) }
    #expect(all[0].contains { Float(bitPattern: $0) != 0.25 })
  }

  @Test("a name that does not exist, and one that the CPU lacks, are refused with a line")
  func names() {
    #expect(
      InstructionSet.use(named: "sse")?.hasPrefix(
        "CELLM_ISA=sse: unknown instruction set; this CPU has fma") == true)
    #expect(InstructionSet.use(named: InstructionSet.current.rawValue) == nil)
    for set in InstructionSet.allCases where !set.isSupported {
      #expect(
        InstructionSet.use(named: set.rawValue)?.hasPrefix(
          "CELLM_ISA=\(set.rawValue): this CPU has only fma") == true)
    }
  }
}
