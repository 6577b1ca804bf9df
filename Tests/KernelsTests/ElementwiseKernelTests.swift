// Activations, gated products, norms, rotary positions, cross-entropy and sums, each against a
// double-precision reference and central finite differences of it.

import Foundation
import Kernels
import Testing

func referenceActivation(_ kind: Activation, _ x: Double) -> Double {
  switch kind {
  case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
  case .geluTanh:
    0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  case .relu: max(x, 0)
  case .silu: x / (1 + exp(-x))
  case .tanh: tanh(x)
  }
}

@Suite("Activations")
struct ActivationTests {
  @Test("each activation matches its definition, far out too", arguments: Activation.allCases)
  func forward(_ kind: Activation) {
    let inputs = (-4000...4000).map { Float($0) / 50 } + [-1e30, 1e30, 0]
    var out = [Float](repeating: 0, count: inputs.count)
    activationForward(out: &out, input: inputs, count: inputs.count, kind)
    for (x, y) in zip(inputs, out) {
      let expected = referenceActivation(kind, Double(x))
      #expect(abs(Double(y) - expected) <= 8 * epsilon * max(1, abs(expected)), "f(\(x))")
    }
  }

  @Test("each derivative matches finite differences", arguments: Activation.allCases)
  func backward(_ kind: Activation) {
    let inputs = (-400...400).map { Float($0) / 25 + 0.013 }
    let ones = [Float](repeating: 1, count: inputs.count)
    var slope = [Float](repeating: 0, count: inputs.count)
    activationBackward(dInput: &slope, dOut: ones, input: inputs, count: inputs.count, kind)
    let expected = inputs.map { x in
      (referenceActivation(kind, Double(x) + 1e-6) - referenceActivation(kind, Double(x) - 1e-6))
        / 2e-6
    }
    #expect(difference(slope, expected) < 1e-6)
  }

  @Test("gated products and both gradients", arguments: [0, 1, 7, 16, 100])
  func gated(_ count: Int) {
    var values = TestValues(3)
    let gate = values.array(count, scale: 4)
    let up = values.array(count, scale: 2)
    let dOut = values.array(count)
    var out = [Float](repeating: 0, count: count)
    gatedForward(out: &out, gate: gate, up: up, count: count, .silu)
    func reference(_ g: [Double], _ u: [Double]) -> [Double] {
      zip(g, u).map { referenceActivation(.silu, $0) * $1 }
    }
    func loss(_ g: [Double], _ u: [Double]) -> Double {
      zip(reference(g, u), dOut).reduce(0) { $0 + $1.0 * Double($1.1) }
    }
    let g = gate.map(Double.init)
    let u = up.map(Double.init)
    #expect(difference(out, reference(g, u)) < 8 * epsilon)
    var dGate = [Float](repeating: 0, count: count)
    var dUp = dOut
    dUp.withUnsafeMutableBufferPointer { both in
      guard let base = both.baseAddress, count > 0 else { return }
      gatedBackward(
        dGate: &dGate, dUp: base, dOut: base, gate: gate, up: up, count: count, .silu)
    }
    #expect(difference(dGate, numericalGradient(g) { loss($0, u) }) < 1e-6)
    #expect(difference(dUp, numericalGradient(u) { loss(g, $0) }) < 1e-6)
  }
}

@Suite("Norms")
struct NormTests {
  static func reference(
    _ x: [Double], weight: [Float], bias: [Float]?, channels: Int
  ) -> [Double] {
    var out: [Double] = []
    for row in stride(from: 0, to: x.count, by: channels) {
      let values = Array(x[row..<row + channels])
      let mean = bias == nil ? 0 : values.reduce(0, +) / Double(channels)
      let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(channels)
      let rstd = 1 / (square + 1e-5).squareRoot()
      for (index, value) in values.enumerated() {
        out.append((value - mean) * rstd * Double(weight[index]) + Double(bias?[index] ?? 0))
      }
    }
    return out
  }

  @Test("RMSNorm and its gradient", arguments: matrixShapes)
  func rms(_ tokens: Int, _ channels: Int) {
    check(tokens, channels, isLayerNorm: false)
  }

  @Test("LayerNorm and its gradient", arguments: matrixShapes)
  func layer(_ tokens: Int, _ channels: Int) {
    check(tokens, channels, isLayerNorm: true)
  }

  func check(_ tokens: Int, _ channels: Int, isLayerNorm: Bool) {
    var values = TestValues(UInt64(tokens * 10_000 + channels))
    let count = tokens * channels
    let input = values.array(count, scale: 3)
    let weight = values.array(channels)
    let bias = isLayerNorm ? values.array(channels) : nil
    let dOut = values.array(count)
    var out = [Float](repeating: .nan, count: count)
    var mean = [Float](repeating: .nan, count: tokens)
    var rstd = mean
    let start = values.array(count)
    var added = start
    var written = dOut
    let weightStart = values.array(channels)
    var dWeight = weightStart
    var dBias = [Float](repeating: 0, count: channels)
    if let bias {
      layerNormForward(
        out: &out, mean: &mean, rstd: &rstd, input: input, weight: weight, bias: bias,
        tokens: tokens, channels: channels, epsilon: 1e-5)
      layerNormBackward(
        dInput: &added, dOut: dOut, input: input, weight: weight, mean: mean, rstd: rstd,
        tokens: tokens, channels: channels, .add)
      layerNormBackwardWeight(
        dWeight: &dWeight, dBias: &dBias, dOut: dOut, input: input, mean: mean, rstd: rstd,
        tokens: tokens, channels: channels)
      written.withUnsafeMutableBufferPointer {
        guard let base = $0.baseAddress else { return }
        layerNormBackward(
          dInput: base, dOut: base, input: input, weight: weight, mean: mean, rstd: rstd,
          tokens: tokens, channels: channels, .overwrite)
      }
    } else {
      rmsNormForward(
        out: &out, rstd: &rstd, input: input, weight: weight, tokens: tokens, channels: channels,
        epsilon: 1e-5)
      rmsNormBackward(
        dInput: &added, dOut: dOut, input: input, weight: weight, rstd: rstd, tokens: tokens,
        channels: channels, .add)
      rmsNormBackwardWeight(
        dWeight: &dWeight, dOut: dOut, input: input, rstd: rstd, tokens: tokens,
        channels: channels)
      written.withUnsafeMutableBufferPointer {
        guard let base = $0.baseAddress else { return }
        rmsNormBackward(
          dInput: base, dOut: base, input: input, weight: weight, rstd: rstd, tokens: tokens,
          channels: channels, .overwrite)
      }
    }
    let x = input.map(Double.init)
    let expected = Self.reference(x, weight: weight, bias: bias, channels: max(channels, 1))
    // Values of a row of n elements carry the rounding of a sum of n terms.
    #expect(difference(out, expected) < Double(channels + 8) * epsilon)
    let slope = rowGradients(x, dOut, channels) {
      Self.reference($0, weight: weight, bias: bias, channels: channels)
    }
    // The output is linear in weight and bias: with weights of 1 and no bias it is what they scale.
    let normalized = Self.reference(
      x, weight: [Float](repeating: 1, count: channels),
      bias: isLayerNorm ? [Float](repeating: 0, count: channels) : nil, channels: max(channels, 1))
    var weightSlope = weightStart.map(Double.init)
    var biasSlope = [Double](repeating: 0, count: channels)
    for (index, value) in normalized.enumerated() {
      weightSlope[index % channels] += Double(dOut[index]) * value
      biasSlope[index % channels] += Double(dOut[index])
    }
    #expect(difference(dWeight, weightSlope) < Double(tokens + 8) * 4 * epsilon)
    if isLayerNorm { #expect(difference(dBias, biasSlope) < Double(tokens + 8) * 4 * epsilon) }
    #expect(difference(written, slope) < 2e-5)
    #expect(difference(added, zip(slope, start).map { $0 + Double($1) }) < 2e-5)
  }

  /// Finite differences row by row (rows do not mix), over the first columns of wide rows.
  func rowGradients(
    _ x: [Double], _ dOut: [Float], _ channels: Int, _ f: ([Double]) -> [Double]
  ) -> [Double] {
    var all: [Double] = []
    for row in stride(from: 0, to: x.count, by: channels) {
      let upstream = dOut[row..<row + channels]
      all += numericalGradient(Array(x[row..<row + channels]), step: 1e-4) { values in
        zip(f(values), upstream).reduce(0) { $0 + $1.0 * Double($1.1) }
      }
    }
    return all
  }
}

@Suite("Rotary positions")
struct RotaryTests {
  @Test("rotation matches the definition and its backward undoes it", arguments: [2, 6, 16, 64])
  func rotation(_ headSize: Int) {
    let heads = 3
    let positions: [Int32] = [0, 1, 5, 2]
    let half = headSize / 2
    var values = TestValues(UInt64(headSize))
    let x = values.array(positions.count * heads * headSize)
    var cosines: [Float] = []
    var sines: [Float] = []
    for position in 0..<6 {
      for pair in 0..<half {
        let angle = Double(position) / pow(100, Double(2 * pair) / Double(headSize))
        cosines.append(Float(cos(angle)))
        sines.append(Float(sin(angle)))
      }
    }
    var y = x
    rotary(
      &y, cosines: cosines, sines: sines, rows: positions, tokens: positions.count,
      heads: heads, headSize: headSize, .forward)
    for (token, position) in positions.enumerated() {
      for head in 0..<heads {
        for pair in 0..<half {
          let i = (token * heads + head) * headSize + pair
          let angle = Double(position) / pow(100, Double(2 * pair) / Double(headSize))
          let a = Double(x[i]) * cos(angle) - Double(x[i + half]) * sin(angle)
          let b = Double(x[i + half]) * cos(angle) + Double(x[i]) * sin(angle)
          #expect(abs(Double(y[i]) - a) < 4 * epsilon && abs(Double(y[i + half]) - b) < 4 * epsilon)
        }
      }
    }
    rotary(
      &y, cosines: cosines, sines: sines, rows: positions, tokens: positions.count,
      heads: heads, headSize: headSize, .backward)
    #expect(difference(y, x.map(Double.init)) < 8 * epsilon)
  }
}

@Suite("Cross-entropy")
struct CrossEntropyTests {
  static func losses(_ x: [Double], _ targets: [Int32], _ columns: Int) -> [Double] {
    targets.enumerated().map { row, target in
      guard target >= 0 && target < columns else { return 0 }
      let values = x[row * columns..<(row + 1) * columns]
      let largest = values.max()!
      let sum = values.reduce(0) { $0 + exp($1 - largest) }
      return log(sum) + largest - values[values.startIndex + Int(target)]
    }
  }

  @Test("loss, prediction and gradient", arguments: [1, 2, 5, 31, 32, 33, 500])
  func all(_ columns: Int) {
    var values = TestValues(UInt64(columns))
    let targets: [Int32] = [0, Int32(columns - 1), -1, Int32(columns / 2), Int32(columns)]
    let logits = values.array(targets.count * columns, scale: 20)
    var work = logits
    var losses = [Float](repeating: .nan, count: targets.count)
    var predictions = [Int32](repeating: -7, count: targets.count)
    crossEntropy(
      logits: &work, targets: targets, losses: &losses, predictions: &predictions,
      rows: targets.count, columns: columns, gradientScale: nil)
    #expect(work == logits)
    let x = logits.map(Double.init)
    #expect(difference(losses, Self.losses(x, targets, columns)) < Double(columns + 40) * epsilon)
    for row in targets.indices {
      let values = logits[row * columns..<(row + 1) * columns]
      #expect(Int(predictions[row]) == values.firstIndex(of: values.max()!)! - row * columns)
    }
    crossEntropy(
      logits: &work, targets: targets, losses: &losses, predictions: &predictions,
      rows: targets.count, columns: columns, gradientScale: 0.25)
    var slope: [Double] = []
    for (row, target) in targets.enumerated() {
      slope += numericalGradient(Array(x[row * columns..<(row + 1) * columns])) {
        0.25 * Self.losses($0, [target], columns)[0]
      }
    }
    #expect(difference(work, slope) < 2e-6)
  }
}

@Suite("Sums and checks")
struct SumTests {
  @Test("bias, its gradient and sums", arguments: matrixShapes)
  func bias(_ tokens: Int, _ channels: Int) {
    var values = TestValues(9)
    let x = values.array(tokens * channels)
    let bias = values.array(channels)
    var y = x
    addBias(&y, bias: bias, tokens: tokens, channels: channels)
    for index in x.indices { #expect(y[index] == x[index] + bias[index % channels]) }
    var slope = bias
    biasGradient(dBias: &slope, dOut: x, tokens: tokens, channels: channels)
    let expected = (0..<channels).map { channel in
      (0..<tokens).reduce(Double(bias[channel])) { $0 + Double(x[$1 * channels + channel]) }
    }
    #expect(difference(slope, expected) < Double(tokens + 1) * epsilon)
    var z = x
    add(&z, x, count: x.count)
    #expect(z == x.map { $0 + $0 })
  }

  @Test(
    "one value that is not finite is found wherever it stands", arguments: [1, 15, 16, 17, 100])
  func finite(_ count: Int) {
    let zeros = [Float](repeating: 0, count: count)
    #expect(allFinite(zeros, count: count))
    for bad in [Float.nan, .infinity, -.infinity] {
      for index in [0, count / 2, count - 1] {
        var values = zeros
        values[index] = bad
        #expect(!allFinite(values, count: count))
      }
    }
  }
}
