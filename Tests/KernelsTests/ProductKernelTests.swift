// Matrix products and attention against double-precision references and finite differences.

import Foundation
import Kernels
import Testing

@Suite("Linear layers")
struct LinearTests {
  static let shapes = [(0, 3, 4), (1, 1, 1), (5, 7, 3), (16, 33, 17), (130, 64, 20)]

  @Test("forward and both gradients", arguments: shapes)
  func linear(_ tokens: Int, _ inputs: Int, _ outputs: Int) {
    var values = TestValues(UInt64(tokens + 1))
    let x = values.array(tokens * inputs)
    let w = values.array(outputs * inputs)
    let start = values.array(tokens * outputs)
    let dY = values.array(tokens * outputs)
    var y = start
    linearForward(
      output: &y, input: x, weight: w, tokens: tokens, inputs: inputs, outputs: outputs, .add)
    var expected = start.map(Double.init)
    var dX = [Double](repeating: 0, count: x.count)
    var dW = w.map(Double.init)
    for t in 0..<tokens {
      for o in 0..<outputs {
        for i in 0..<inputs {
          expected[t * outputs + o] += Double(x[t * inputs + i]) * Double(w[o * inputs + i])
          dX[t * inputs + i] += Double(dY[t * outputs + o]) * Double(w[o * inputs + i])
          dW[o * inputs + i] += Double(dY[t * outputs + o]) * Double(x[t * inputs + i])
        }
      }
    }
    let bound = Double(inputs + outputs + tokens) * epsilon
    #expect(difference(y, expected) < bound)
    var gotX = [Float](repeating: .nan, count: x.count)
    linearBackwardInput(
      dInput: &gotX, dOutput: dY, weight: w, tokens: tokens, inputs: inputs, outputs: outputs)
    #expect(difference(gotX, dX) < bound)
    var gotW = w
    linearBackwardWeight(
      dWeight: &gotW, dOutput: dY, input: x, tokens: tokens, inputs: inputs, outputs: outputs)
    #expect(difference(gotW, dW) < bound)
  }
}

/// Attention over one list of spans in double precision, straight from the definition.
func referenceAttention(
  _ q: [Double], _ k: [Double], _ v: [Double], _ spans: [AttentionSpan], _ shape: AttentionShape
) -> [Double] {
  let size = shape.headSize
  let rows = spans.map { $0.outputStart + $0.queryCount }.max() ?? 0
  var out = [Double](repeating: 0, count: rows * shape.heads * size)
  for span in spans {
    for head in 0..<shape.heads {
      let pair = head / (shape.heads / shape.keyValueHeads)
      for query in 0..<span.queryCount {
        let position = span.queryStart + query
        let keys = shape.isCausal ? position + 1 : span.length
        let row = ((span.start + position) * shape.heads + head) * size
        let scores = (0..<keys).map { key -> Double in
          let other = ((span.start + key) * shape.keyValueHeads + pair) * size
          return (0..<size).reduce(0) { $0 + q[row + $1] * k[other + $1] }
            / Double(size).squareRoot()
        }
        let largest = scores.max()!
        let weights = scores.map { exp($0 - largest) }
        let sum = weights.reduce(0, +)
        for key in 0..<keys {
          let other = ((span.start + key) * shape.keyValueHeads + pair) * size
          for channel in 0..<size {
            out[((span.outputStart + query) * shape.heads + head) * size + channel] +=
              weights[key] / sum * v[other + channel]
          }
        }
      }
    }
  }
  return out
}

/// A case of attention: the shape, the spans, and rows of input.
struct AttentionCase: CustomTestStringConvertible {
  var testDescription: String
  var shape: AttentionShape
  var spans: [AttentionSpan]
  var tokens: Int

  static let all: [AttentionCase] = [true, false].flatMap { causal -> [AttentionCase] in
    let grouped = AttentionShape(heads: 4, keyValueHeads: 2, headSize: 6, isCausal: causal)
    let plain = AttentionShape(heads: 2, keyValueHeads: 2, headSize: 3, isCausal: causal)
    let kind = causal ? "causal" : "bidirectional"
    return [
      AttentionCase(
        testDescription: "\(kind), three sequences, grouped", shape: grouped,
        spans: [
          .init(start: 0, length: 1, queryStart: 0, queryCount: 1, outputStart: 0),
          .init(start: 1, length: 5, queryStart: 0, queryCount: 5, outputStart: 1),
          .init(start: 6, length: 3, queryStart: 0, queryCount: 3, outputStart: 6),
        ], tokens: 9),
      AttentionCase(
        testDescription: "\(kind), only the last queries", shape: plain,
        spans: [
          .init(start: 0, length: 4, queryStart: 3, queryCount: 1, outputStart: 0),
          .init(start: 4, length: 2, queryStart: 1, queryCount: 1, outputStart: 1),
        ], tokens: 6),
      AttentionCase(
        testDescription: "\(kind), only the first queries", shape: plain,
        spans: [
          .init(start: 0, length: 4, queryStart: 0, queryCount: 1, outputStart: 0),
          .init(start: 4, length: 2, queryStart: 0, queryCount: 1, outputStart: 1),
        ], tokens: 6),
      AttentionCase(
        testDescription: "\(kind), longer than a tile", shape: plain,
        spans: [.init(start: 0, length: 150, queryStart: 0, queryCount: 150, outputStart: 0)],
        tokens: 150),
    ]
  }
}

@Suite("Attention")
struct AttentionTests {
  @Test("forward and the three gradients", arguments: AttentionCase.all)
  func attention(_ test: AttentionCase) {
    let shape = test.shape
    let wide = shape.heads * shape.headSize
    let narrow = shape.keyValueHeads * shape.headSize
    let queries = test.spans.map { $0.outputStart + $0.queryCount }.max()!
    var values = TestValues(UInt64(test.tokens))
    let q = values.array(test.tokens * wide, scale: 2)
    let k = values.array(test.tokens * narrow, scale: 2)
    let v = values.array(test.tokens * narrow)
    let dOut = values.array(queries * wide)
    var out = [Float](repeating: .nan, count: queries * wide)
    var logSumExp = [Float](repeating: .nan, count: queries * shape.heads)
    var scratch = [Float](repeating: .nan, count: shape.scratchCount(longest: test.tokens))
    attentionForward(
      out: &out, logSumExp: &logSumExp, query: q, key: k, value: v, spans: test.spans,
      tokens: test.tokens, queries: queries, shape: shape, scratch: &scratch)
    let (qd, kd, vd) = (q.map(Double.init), k.map(Double.init), v.map(Double.init))
    #expect(difference(out, referenceAttention(qd, kd, vd, test.spans, shape)) < 2e-6)
    var dQ = [Float](repeating: .nan, count: q.count)
    var dK = [Float](repeating: .nan, count: k.count)
    var dV = [Float](repeating: .nan, count: v.count)
    attentionBackward(
      dQuery: &dQ, dKey: &dK, dValue: &dV, dOut: dOut, out: out, logSumExp: logSumExp, query: q,
      key: k, value: v, spans: test.spans, tokens: test.tokens, queries: queries, shape: shape,
      scratch: &scratch)
    // Long sequences: differences along every 29th element, the others are like them.
    let every = test.tokens > 20 ? 29 : 1
    func loss(_ q: [Double], _ k: [Double], _ v: [Double]) -> Double {
      zip(referenceAttention(q, k, v, test.spans, shape), dOut).reduce(0) {
        $0 + $1.0 * Double($1.1)
      }
    }
    func check(_ got: [Float], _ x: [Double], _ f: ([Double]) -> Double) {
      for index in stride(from: 0, to: x.count, by: every) {
        var moved = x
        moved[index] += 1e-5
        let above = f(moved)
        moved[index] -= 2e-5
        let slope = (above - f(moved)) / 2e-5
        #expect(abs(Double(got[index]) - slope) < 2e-5, "element \(index)")
      }
    }
    check(dQ, qd) { loss($0, kd, vd) }
    check(dK, kd) { loss(qd, $0, vd) }
    check(dV, vd) { loss(qd, kd, $0) }
  }
}
