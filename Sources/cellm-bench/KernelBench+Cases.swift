// The kernels that `cellm-bench kernel` runs, with the shapes of a training step.

import Kernels

extension KernelBench {
  /// Frozen layers forward and backward, LoRA's six products, attention, the vocabulary.
  var products: [Product] {
    let query = heads * headSize
    let key = keyValueHeads * headSize
    let layers = [
      ("query", channels, query), ("key", channels, key), ("attention_output", query, channels),
      ("gate", channels, intermediate), ("down", intermediate, channels),
    ]
    var all = layers.flatMap { name, inputs, outputs in
      frozen(name, inputs: inputs, outputs: outputs)
    }
    all += layers.flatMap { name, inputs, outputs in
      lora(name, inputs: inputs, outputs: outputs)
    }
    let rows = min(128, tokens)
    all.append(
      Product(
        name: "vocabulary_forward", operations: 2 * Double(rows * channels * vocabulary),
        buffers: [rows * channels, vocabulary * channels, rows * vocabulary]
      ) { [channels, vocabulary] b in
        linearForward(
          output: b[2], input: b[0], weight: b[1], tokens: rows, inputs: channels,
          outputs: vocabulary)
      })
    return all + attention
  }

  private func frozen(_ name: String, inputs: Int, outputs: Int) -> [Product] {
    let operations = 2 * Double(tokens * inputs * outputs)
    let buffers = [tokens * inputs, outputs * inputs, tokens * outputs]
    return [
      Product(name: "frozen_forward_\(name)", operations: operations, buffers: buffers) {
        [tokens] b in
        linearForward(
          output: b[2], input: b[0], weight: b[1], tokens: tokens, inputs: inputs,
          outputs: outputs)
      },
      Product(name: "frozen_backward_\(name)", operations: operations, buffers: buffers) {
        [tokens] b in
        linearBackwardInput(
          dInput: b[0], dOutput: b[2], weight: b[1], tokens: tokens, inputs: inputs,
          outputs: outputs)
      },
    ]
  }

  private func lora(_ name: String, inputs: Int, outputs: Int) -> [Product] {
    let rank = loraRank
    let tokens = tokens
    let buffers = [tokens * inputs, tokens * outputs, tokens * rank, inputs * rank, outputs * rank]
    func product(
      _ kind: String, _ width: Int, _ body: @escaping ([MutableFloats]) -> Void
    ) -> Product {
      Product(
        name: "lora_\(kind)_\(name)", operations: 2 * Double(tokens * rank * width),
        buffers: buffers, body: body)
    }
    return [
      product("hidden", inputs) { b in
        linearForward(
          output: b[2], input: b[0], weight: b[3], tokens: tokens, inputs: inputs, outputs: rank)
      },
      product("output", outputs) { b in
        linearForward(
          output: b[1], input: b[2], weight: b[4], tokens: tokens, inputs: rank, outputs: outputs,
          .add)
      },
      product("dB", outputs) { b in
        linearBackwardWeight(
          dWeight: b[4], dOutput: b[1], input: b[2], tokens: tokens, inputs: rank,
          outputs: outputs)
      },
      product("dHidden", outputs) { b in
        linearBackwardInput(
          dInput: b[2], dOutput: b[1], weight: b[4], tokens: tokens, inputs: rank,
          outputs: outputs)
      },
      product("dA", inputs) { b in
        linearBackwardWeight(
          dWeight: b[3], dOutput: b[2], input: b[0], tokens: tokens, inputs: inputs,
          outputs: rank)
      },
      product("dInput", inputs) { b in
        linearBackwardInput(
          dInput: b[0], dOutput: b[2], weight: b[3], tokens: tokens, inputs: inputs,
          outputs: rank, .add)
      },
    ]
  }

  /// Attention of a whole micro-batch; operations over visible keys, and none for recomputing.
  private var attention: [Product] {
    let shape = AttentionShape(
      heads: heads, keyValueHeads: keyValueHeads, headSize: headSize, isCausal: true)
    let spans = stride(from: 0, to: tokens - length + 1, by: length).map {
      AttentionSpan(start: $0, length: length, queryStart: 0, queryCount: length, outputStart: $0)
    }
    let rows = spans.count * length
    let query = rows * heads * headSize
    let key = rows * keyValueHeads * headSize
    let pair = 4 * Double(query) * Double(length + 1) / 2
    // query, key, value, out, logSumExp, scratch; dQuery, dKey, dValue, dOut
    let buffers = [
      query, key, key, query, heads * rows, shape.scratchCount(longest: length), query, key, key,
      query,
    ]
    return [
      Product(name: "attention_forward", operations: pair, buffers: buffers) { b in
        attentionForward(
          out: b[3], logSumExp: b[4], query: b[0], key: b[1], value: b[2], spans: spans,
          tokens: rows, queries: rows, shape: shape, scratch: b[5])
      },
      Product(name: "attention_backward", operations: 2 * pair, buffers: buffers) { b in
        attentionBackward(
          dQuery: b[6], dKey: b[7], dValue: b[8], dOut: b[9], out: b[3], logSumExp: b[4],
          query: b[0], key: b[1], value: b[2], spans: spans, tokens: rows, queries: rows,
          shape: shape, scratch: b[5])
      },
    ]
  }

  /// Everything but products.
  var vectorKernels: [VectorKernel] { activations + norms + others }

  /// A kernel whose cost is `floats` floats read or written for each element.
  private func kernel(
    _ name: String, _ elements: Int, floats: Int, _ buffers: [Int],
    _ body: @escaping ([MutableFloats]) -> Void
  ) -> VectorKernel {
    VectorKernel(
      name: name, elements: elements, bytes: 4 * floats * elements, buffers: buffers, body: body)
  }

  private var activations: [VectorKernel] {
    let wide = tokens * intermediate
    let each = [Activation.gelu, .geluTanh, .relu, .silu].flatMap { kind in
      [
        kernel("\(kind)_forward", wide, floats: 2, [wide, wide]) { b in
          activationForward(out: b[0], input: b[1], count: wide, kind)
        },
        kernel("\(kind)_backward_in_place", wide, floats: 3, [wide, wide]) { b in
          activationBackward(dInput: b[0], dOut: b[0], input: b[1], count: wide, kind)
        },
      ]
    }
    return each + [
      kernel("swiglu_forward", wide, floats: 3, [wide, wide, wide]) { b in
        gatedForward(out: b[0], gate: b[1], up: b[2], count: wide, .silu)
      },
      kernel("swiglu_backward_in_place", wide, floats: 5, [wide, wide, wide, wide]) { b in
        gatedBackward(
          dGate: b[0], dUp: b[1], dOut: b[1], gate: b[2], up: b[3], count: wide, .silu)
      },
    ]
  }

  private var norms: [VectorKernel] {
    let (tokens, channels) = (tokens, channels)
    let all = tokens * channels
    let buffers = [all, all, all, channels, tokens, tokens]
    return [
      kernel("rms_norm_forward", all, floats: 2, buffers) { b in
        rmsNormForward(
          out: b[0], rstd: b[4], input: b[1], weight: b[3], tokens: tokens, channels: channels,
          epsilon: 1e-5)
      },
      kernel("rms_norm_backward_add", all, floats: 4, buffers) { b in
        rmsNormBackward(
          dInput: b[0], dOut: b[1], input: b[2], weight: b[3], rstd: b[4], tokens: tokens,
          channels: channels, .add)
      },
      kernel("layer_norm_forward", all, floats: 2, buffers) { b in
        layerNormForward(
          out: b[0], mean: b[4], rstd: b[5], input: b[1], weight: b[3], bias: b[3],
          tokens: tokens, channels: channels, epsilon: 1e-5)
      },
      kernel("layer_norm_backward_in_place", all, floats: 3, buffers) { b in
        layerNormBackward(
          dInput: b[0], dOut: b[0], input: b[2], weight: b[3], mean: b[4], rstd: b[5],
          tokens: tokens, channels: channels, .overwrite)
      },
    ]
  }

  private var others: [VectorKernel] {
    let (tokens, channels, heads, headSize) = (tokens, channels, heads, headSize)
    let (vocabulary, length) = (vocabulary, length)
    let all = tokens * channels
    let rows = min(128, tokens)
    let positions = (0..<tokens).map { Int32($0 % length) }
    let targets = (0..<rows).map { Int32(($0 * 7919) % vocabulary) }
    var predictions = [Int32](repeating: 0, count: rows)
    let query = tokens * heads * headSize
    return [
      kernel(
        "rotary", query, floats: 2, [query, length * headSize / 2, length * headSize / 2]
      ) { b in
        rotary(
          b[0], cosines: b[1], sines: b[2], rows: positions, tokens: tokens, heads: heads,
          headSize: headSize, .forward)
      },
      kernel(
        "softmax_causal_tile", length * (length + 1) / 2, floats: 2, [length * length, length]
      ) { b in
        attentionSoftmax(
          scores: b[0], logSumExp: b[1], rows: length, columns: length, visible: 1, scale: 0.125)
      },
      kernel("softmax_full_tile", length * length, floats: 2, [length * length, length]) { b in
        attentionSoftmax(
          scores: b[0], logSumExp: b[1], rows: length, columns: length, visible: length,
          scale: 0.125)
      },
      kernel("cross_entropy_gradient", rows * vocabulary, floats: 2, [rows * vocabulary, rows]) {
        b in
        crossEntropy(
          logits: b[0], targets: targets, losses: b[1], predictions: &predictions, rows: rows,
          columns: vocabulary, gradientScale: 1)
      },
      kernel("cross_entropy_loss", rows * vocabulary, floats: 1, [rows * vocabulary, rows]) { b in
        crossEntropy(
          logits: b[0], targets: targets, losses: b[1], predictions: &predictions, rows: rows,
          columns: vocabulary, gradientScale: nil)
      },
      kernel("add_bias", all, floats: 2, [all, channels]) { b in
        addBias(b[0], bias: b[1], tokens: tokens, channels: channels)
      },
      kernel("bias_gradient", all, floats: 1, [all, channels]) { b in
        biasGradient(dBias: b[1], dOut: b[0], tokens: tokens, channels: channels)
      },
      kernel("add", all, floats: 3, [all, all]) { b in add(b[0], b[1], count: all) },
      kernel("all_finite", all, floats: 1, [all]) { b in _ = allFinite(b[0], count: all) },
    ]
  }
}
