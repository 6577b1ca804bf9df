// A device computes the bits of the CPU, or it is not used: every kernel on a few hundred values,
// among them subnormal numbers, on the device and on the CPU.

/// The self-test of a device.
package enum DeviceSelfTest {
  /// One kernel.
  package struct Case: Sendable {
    /// The name of the kernel, and of the kind of call if there are several.
    package let name: String
    /// Computes it in memory of the host or of a device and gives what it wrote.
    let run: @Sendable (SelfTestMemory) -> [(MutableFloats, Int)]
  }

  /// All kernels.
  package static let cases: [Case] =
    products + blocks + norms + activations + attention + losses + elementwise + rows

  /// The kernels that gave other bits than the CPU, with the number of values that differ.
  package static func differences(on device: any KernelDevice) -> [(name: String, count: Int)] {
    cases.compactMap { test in
      let count = differences(test, on: device)
      return count > 0 ? (test.name, count) : nil
    }
  }

  /// The number of values in which a kernel's result differs from the CPU's.
  package static func differences(_ test: Case, on device: any KernelDevice) -> Int {
    let memories = (SelfTestMemory(device: nil), SelfTestMemory(device: device))
    let expected = test.run(memories.0).map { values(at: $0.0, count: $0.1) }
    let found = test.run(memories.1).map { values(at: $0.0, count: $0.1) }
    return zip(expected.joined(), found.joined()).count { $0.bitPattern != $1.bitPattern }
  }
}

extension DeviceSelfTest {
  private static func product(
    _ name: String, rows: Int, columns: Int, inner: Int, transposeA: Bool = false,
    transposeB: Bool = false, _ accumulation: Accumulation = .overwrite
  ) -> Case {
    Case(name: "product " + name) { memory in
      let out = memory.floats(rows * columns)
      let a = memory.floats(rows * inner)
      let b = memory.floats(inner * columns)
      matmul(
        out, stride: columns, rows: rows, columns: columns, inner: inner, a,
        strideA: transposeA ? rows : inner, transposeA: transposeA, b,
        strideB: transposeB ? inner : columns, transposeB: transposeB, accumulation)
      return [(out, rows * columns)]
    }
  }

  private static let products = [
    product("forward", rows: 19, columns: 70, inner: 96, transposeB: true),
    product("backward", rows: 67, columns: 21, inner: 600),
    product("of weights", rows: 16, columns: 80, inner: 33, transposeA: true, .add),
    product("of long rows", rows: 3, columns: 5, inner: 1200, transposeB: true, .add),
    Case(name: "product of parts of rows") { memory in
      let out = memory.floats(150 * 200)
      matmul(
        out + 7, stride: 200, rows: 150, columns: 140, inner: 40, memory.floats(150 * 50),
        strideA: 50, memory.floats(140 * 45), strideB: 45, transposeB: true, .add)
      return [(out, 150 * 200)]
    },
  ]

  private static let blocks = [MatrixFormat.q8_0, .q4_0, .q4_1].map { format in
    Case(name: "product \(format.rawValue)") { memory in
      let packing = format.packing!
      let (inputs, outputs) = (64, 21)
      let packed = memory.mirrored(byteCount: packing.byteCount(inputs, outputs)) { place in
        packing.pack(memory.values(inputs * outputs), inputs, outputs, place)
      }
      let matrix = packing.matrix(packed, inputs, outputs)
      let (output, dInput) = (memory.floats(9 * outputs), memory.floats(9 * inputs))
      matrix.forward(output: output, input: memory.floats(9 * inputs), tokens: 9, .overwrite)
      matrix.backwardInput(
        dInput: dInput, dOutput: memory.floats(9 * outputs), tokens: 9, .add)
      return [(output, 9 * outputs), (dInput, 9 * inputs)]
    }
  }

  private static let norms = [
    Case(name: "rms_norm_forward") { memory in
      let (out, rstd) = (memory.floats(5 * 50), memory.floats(5))
      rmsNormForward(
        out: out, rstd: rstd, input: memory.floats(250), weight: memory.floats(50), tokens: 5,
        channels: 50, epsilon: 1e-5)
      return [(out, 250), (rstd, 5)]
    },
    Case(name: "rms_norm_backward") { memory in
      let (first, second) = (memory.floats(250), memory.floats(250))
      let (input, weight, rstd) = (memory.floats(250), memory.floats(50), memory.floats(5))
      let dOut = memory.floats(250)
      rmsNormBackward(
        dInput: first, dOut: dOut, input: input, weight: weight, rstd: rstd, tokens: 5,
        channels: 50, .add)
      rmsNormBackward(
        dInput: second, dOut: second, input: input, weight: weight, rstd: rstd, tokens: 5,
        channels: 50, .overwrite)
      return [(first, 250), (second, 250)]
    },
    Case(name: "layer_norm_forward") { memory in
      let (out, mean, rstd) = (memory.floats(250), memory.floats(5), memory.floats(5))
      let (input, weight) = (memory.floats(250), memory.floats(50))
      layerNormForward(
        out: out, mean: mean, rstd: rstd, input: input, weight: weight, bias: memory.floats(50),
        tokens: 5, channels: 50, epsilon: 1e-5)
      let plain = memory.floats(250)
      layerNormForward(
        out: plain, mean: mean, rstd: rstd, input: input, weight: weight, bias: nil, tokens: 5,
        channels: 50, epsilon: 1e-5)
      return [(out, 250), (mean, 5), (rstd, 5), (plain, 250)]
    },
    Case(name: "layer_norm_backward") { memory in
      let (first, second) = (memory.floats(250), memory.floats(250))
      let (input, weight, dOut) = (memory.floats(250), memory.floats(50), memory.floats(250))
      let (mean, rstd) = (memory.floats(5), memory.floats(5))
      layerNormBackward(
        dInput: first, dOut: dOut, input: input, weight: weight, mean: mean, rstd: rstd, tokens: 5,
        channels: 50, .add)
      layerNormBackward(
        dInput: second, dOut: second, input: input, weight: weight, mean: mean, rstd: rstd,
        tokens: 5, channels: 50, .overwrite)
      return [(first, 250), (second, 250)]
    },
    Case(name: "rms_norm_weight_gradient") { memory in
      let dWeight = memory.floats(50)
      rmsNormBackwardWeight(
        dWeight: dWeight, dOut: memory.floats(550), input: memory.floats(550),
        rstd: memory.floats(11), tokens: 11, channels: 50)
      return [(dWeight, 50)]
    },
    Case(name: "layer_norm_weight_gradient") { memory in
      let (dWeight, dBias, plain) = (memory.floats(50), memory.floats(50), memory.floats(50))
      let (dOut, input) = (memory.floats(550), memory.floats(550))
      let (mean, rstd) = (memory.floats(11), memory.floats(11))
      layerNormBackwardWeight(
        dWeight: dWeight, dBias: dBias, dOut: dOut, input: input, mean: mean, rstd: rstd,
        tokens: 11, channels: 50)
      layerNormBackwardWeight(
        dWeight: plain, dBias: nil, dOut: dOut, input: input, mean: mean, rstd: rstd, tokens: 11,
        channels: 50)
      return [(dWeight, 50), (dBias, 50), (plain, 50)]
    },
  ]

  private static let activations = Activation.allCases.flatMap { kind in
    [
      Case(name: "activation_forward \(kind.rawValue)") { memory in
        let out = memory.floats(300)
        activationForward(out: out, input: wide(memory), count: 300, kind)
        return [(out, 300)]
      },
      Case(name: "activation_backward \(kind.rawValue)") { memory in
        let d = memory.floats(300)
        activationBackward(dInput: d, dOut: d, input: wide(memory), count: 300, kind)
        return [(d, 300)]
      },
      Case(name: "gated_forward \(kind.rawValue)") { memory in
        let out = memory.floats(300)
        gatedForward(out: out, gate: wide(memory), up: memory.floats(300), count: 300, kind)
        return [(out, 300)]
      },
      Case(name: "gated_backward \(kind.rawValue)") { memory in
        let (dGate, dUp) = (memory.floats(300), memory.floats(300))
        gatedBackward(
          dGate: dGate, dUp: dUp, dOut: dUp, gate: wide(memory), up: memory.floats(300),
          count: 300, kind)
        return [(dGate, 300), (dUp, 300)]
      },
    ]
  }

  /// Values from -24 to 24, so that functions reach their ends.
  private static func wide(_ memory: SelfTestMemory) -> MutableFloats {
    memory.place(memory.values(300).map { $0 * 12 })
  }

  private static func attention(
    _ name: String, lengths: [Int], heads: Int = 4, headSize: Int = 20, isCausal: Bool,
    window: AttentionWindow? = nil, lastQueryOnly: Bool = false
  ) -> Case {
    Case(name: "attention " + name) { memory in
      let shape = AttentionShape(
        heads: heads, keyValueHeads: heads / 2, headSize: headSize, isCausal: isCausal,
        window: window)
      var spans: [AttentionSpan] = []
      var start = 0
      for (index, length) in lengths.enumerated() {
        spans.append(
          AttentionSpan(
            start: start, length: length, queryStart: lastQueryOnly ? length - 1 : 0,
            queryCount: lastQueryOnly ? 1 : length, outputStart: lastQueryOnly ? index : start))
        start += length
      }
      let (tokens, longest) = (start, lengths.max() ?? 1)
      let queries = lastQueryOnly ? lengths.count : tokens
      let (wide, narrow) = (shape.queryStride, shape.keyStride)
      let (query, key, value) = (
        memory.floats(tokens * wide), memory.floats(tokens * narrow),
        memory.floats(tokens * narrow)
      )
      let (out, sums) = (memory.floats(queries * wide), memory.floats(queries * heads))
      let scratch = memory.floats(
        max(
          shape.scratchCount(longest: longest),
          shape.deviceScratchCount(longest: longest, queries: queries)))
      attentionForward(
        out: out, logSumExp: sums, query: query, key: key, value: value, spans: spans,
        tokens: tokens, queries: queries, shape: shape, scratch: scratch)
      let (dQuery, dKey, dValue) = (
        memory.floats(tokens * wide), memory.floats(tokens * narrow),
        memory.floats(tokens * narrow)
      )
      attentionBackward(
        dQuery: dQuery, dKey: dKey, dValue: dValue, dOut: memory.floats(queries * wide), out: out,
        logSumExp: sums, query: query, key: key, value: value, spans: spans, tokens: tokens,
        queries: queries, shape: shape, scratch: scratch)
      return [
        (out, queries * wide), (sums, queries * heads), (dQuery, tokens * wide),
        (dKey, tokens * narrow), (dValue, tokens * narrow),
      ]
    }
  }

  private static let attention = [
    attention("causal", lengths: [3, 50], isCausal: true),
    attention("bidirectional", lengths: [140, 1], isCausal: false),
    attention(
      "in a causal window", lengths: [70, 5], isCausal: true,
      window: AttentionWindow(before: 9, after: 0)),
    attention(
      "in a window", lengths: [80], isCausal: false,
      window: AttentionWindow(before: 16, after: 16)),
    attention("of the last token", lengths: [40, 33, 2], isCausal: true, lastQueryOnly: true),
    attention(
      "of the last token in a window", lengths: [90, 2], isCausal: true,
      window: AttentionWindow(before: 30, after: 0), lastQueryOnly: true),
    // Chains of more than 576 steps.
    attention("of many keys", lengths: [600], heads: 2, headSize: 3, isCausal: false),
    attention("of long heads", lengths: [3], heads: 2, headSize: 580, isCausal: true),
    Case(name: "rotary") { memory in
      let x = memory.floats(7 * 3 * 24)
      let rows: [Int32] = [0, 1, 2, 3, 0, 1, 5]
      rotary(
        x, cosines: memory.floats(6 * 8), sines: memory.floats(6 * 8), rows: rows, tokens: 7,
        heads: 3, headSize: 24, rotated: 16, .backward)
      return [(x, 504)]
    },
  ]

  private static let losses = [true, false].flatMap { hasGradient in
    [
      Case(name: "cross_entropy" + (hasGradient ? "" : " alone")) { memory in
        let (logits, losses) = (memory.floats(6 * 70), memory.floats(6))
        let predictions = memory.floats(6)
        let targets: [Int32] = [3, -1, 69, 0, 70, 33]
        predictions.withMemoryRebound(to: Int32.self, capacity: 6) {
          crossEntropy(
            logits: logits, targets: targets, losses: losses, predictions: $0, rows: 6,
            columns: 70, gradientScale: hasGradient ? 0.25 : nil)
        }
        return [(logits, 420), (losses, 6), (predictions, 6)]
      },
      Case(name: "binary_cross_entropy" + (hasGradient ? "" : " alone")) { memory in
        let (logits, losses) = (memory.floats(6 * 37), memory.floats(6))
        binaryCrossEntropy(
          logits: logits, targets: memory.values(6 * 37).map { $0 > 0 ? 1 : 0 }, losses: losses,
          rows: 6, columns: 37, gradientScale: hasGradient ? 0.25 : nil)
        return [(logits, 222), (losses, 6)]
      },
    ]
  }

  private static let elementwise = [
    Case(name: "add_bias") { memory in
      let x = memory.floats(300)
      addBias(x, bias: memory.floats(60), tokens: 5, channels: 60)
      // Channels of several work-groups.
      let wide = memory.floats(2 * 700)
      addBias(wide, bias: memory.floats(700), tokens: 2, channels: 700)
      return [(x, 300), (wide, 1400)]
    },
    Case(name: "bias_gradient") { memory in
      let dBias = memory.floats(60)
      biasGradient(dBias: dBias, dOut: memory.floats(300), tokens: 5, channels: 60)
      return [(dBias, 60)]
    },
    Case(name: "add") { memory in
      let x = memory.floats(300)
      add(x, memory.floats(300), count: 300)
      return [(x, 300)]
    },
    Case(name: "scale") { memory in
      let x = memory.floats(300)
      scale(x, by: 0.3, count: 300)
      return [(x, 300)]
    },
    Case(name: "multiply") { memory in
      let out = memory.floats(300)
      multiply(out, memory.floats(300), memory.floats(300), count: 300)
      return [(out, 300)]
    },
    Case(name: "add_product") { memory in
      let out = memory.floats(300)
      addProduct(out, memory.floats(300), memory.floats(300), count: 300)
      return [(out, 300)]
    },
    Case(name: "one_plus") { memory in
      let out = memory.floats(300)
      onePlus(out, memory.floats(300), count: 300)
      return [(out, 300)]
    },
    Case(name: "fill") { memory in
      let x = memory.floats(300)
      clear(x, count: 299)
      return [(x, 300)]
    },
  ]

  private static let rows = [
    Case(name: "gather_rows") { memory in
      let out = memory.floats(3 * 70)
      gatherRows(out, from: memory.floats(6 * 70), [5, 0, 2], channels: 70)
      return [(out, 210)]
    },
    Case(name: "scatter_rows") { memory in
      let out = memory.floats(6 * 70)
      scatterRows(out, from: memory.floats(3 * 70), [5, 0, 2], channels: 70)
      return [(out, 420)]
    },
    Case(name: "add_gathered_rows") { memory in
      let out = memory.floats(3 * 70)
      addRows(out, from: memory.floats(6 * 70), [5, 0, 5], channels: 70)
      return [(out, 210)]
    },
    Case(name: "add_scattered_rows") { memory in
      let table = memory.floats(6 * 70)
      addRows(table, [5, 0, 5, 5], from: memory.floats(4 * 70), channels: 70)
      return [(table, 420)]
    },
    Case(name: "mean_rows") { memory in
      let out = memory.floats(2 * 70)
      meanRows(out, of: memory.floats(7 * 70), offsets: [0, 3, 7], channels: 70)
      return [(out, 140)]
    },
    Case(name: "spread_rows") { memory in
      let out = memory.floats(7 * 70)
      spreadRows(out, of: memory.floats(2 * 70), offsets: [0, 3, 7], channels: 70)
      return [(out, 490)]
    },
  ]
}
