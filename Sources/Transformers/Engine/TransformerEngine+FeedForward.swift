// The feed-forward half of a block, forward and backward.
//
// Pre-norm:  output = middle + down(f(gate(n)) * up(n)), n = norm(middle).
// Post-norm: n = norm(middle); output = norm(n + down(f(up(n)))).
// A branch norm normalizes down's result before it is added.

internal import Kernels

extension TransformerEngine {
  /// Writes the block's output (T', C) from its `middle`.
  func feedForwardForward(layer: Int, output: MutableFloats) {
    let slot = slot(layer)
    let block = weights.blocks[layer]
    let count = rowCount(layer)
    let channels = configuration.channels
    let input = feedForwardInput(layer: layer, slot)
    forward(
      .feedForwardInput, layer: layer, input: input, tokens: count,
      outputs: slot.gate.map { [$0, slot.up] } ?? [slot.up], .overwrite)
    activate(slot, count: count)
    let sum = slot.sum ?? output
    copy(
      configuration.normPlacement == .pre ? Floats(slot.middle) : input, to: sum,
      count: count * channels)
    forward(
      .feedForwardOutput, layer: layer, input: scratch.activated, tokens: count,
      branch: slot.branches?.feedForward, norm: block.feedForwardBranchNorm, to: sum)
    if configuration.normPlacement == .post, let norm = block.feedForwardNorm {
      normForward(
        norm, out: output, mean: slot.feedForwardMean,
        rstd: slot.feedForwardRstd, input: sum, tokens: count)
    }
  }

  /// The input of gate and up: a norm of `middle`, recomputed in the backward pass, or `middle`.
  private func feedForwardInput(layer: Int, _ slot: BlockActivations) -> Floats {
    let block = weights.blocks[layer]
    let isPre = configuration.normPlacement == .pre
    guard let norm = isPre ? block.feedForwardNorm : block.attentionNorm else {
      return Floats(slot.middle)
    }
    normForward(
      norm, out: scratch.normalized,
      mean: isPre ? slot.feedForwardMean : slot.attentionMean,
      rstd: isPre ? slot.feedForwardRstd : slot.attentionRstd, input: slot.middle,
      tokens: rowCount(layer))
    return Floats(scratch.normalized)
  }

  /// `scratch.activated` (T', I), the input of down; recomputed in the backward pass.
  private func activate(_ slot: BlockActivations, count: Int) {
    let elements = count * configuration.intermediateSize
    if let gate = slot.gate {
      gatedForward(
        out: scratch.activated, gate: gate, up: slot.up, count: elements,
        configuration.activation)
    } else {
      activationForward(
        out: scratch.activated, input: slot.up, count: elements, configuration.activation)
    }
  }

  /// Takes `scratch.dStream` from the gradient of the block's output to that of `middle`.
  ///
  /// - Parameter stop: the lowest adapted group, if it is in this block.
  /// - Returns: whether the backward pass ends here.
  func feedForwardBackward(layer: Int, stopAt stop: LinearGroup?)
    -> Bool
  {
    let slot = slot(layer)
    let block = weights.blocks[layer]
    let count = rowCount(layer)
    let channels = configuration.channels
    let elements = count * configuration.intermediateSize
    if configuration.normPlacement == .post, let norm = block.feedForwardNorm {
      normBackward(
        norm, dInput: scratch.dStream, dOut: scratch.dStream,
        input: slot.sum!, mean: slot.feedForwardMean, rstd: slot.feedForwardRstd, tokens: count,
        .overwrite)
    }
    let goesOn = stop != .feedForwardOutput
    if needsInput(of: .feedForwardOutput, layer: layer) { activate(slot, count: count) }
    let dBranch = branchGradient(
      slot.branches?.feedForward, norm: block.feedForwardBranchNorm, tokens: count)
    backward(
      .feedForwardOutput, layer: layer, input: Floats(scratch.activated), tokens: count,
      dOutputs: [dBranch], dInput: goesOn ? scratch.dUp : nil)
    guard goesOn else { return true }
    if let gate = slot.gate {
      gatedBackward(
        dGate: scratch.dGate, dUp: scratch.dUp, dOut: scratch.dUp, gate: gate, up: slot.up,
        count: elements, configuration.activation)
    } else {
      activationBackward(
        dInput: scratch.dUp, dOut: scratch.dUp, input: slot.up, count: elements,
        configuration.activation)
    }
    let dOutputs = slot.gate == nil ? [scratch.dUp] : [scratch.dGate, scratch.dUp]
    let needsInput = stop != .feedForwardInput
    backward(
      .feedForwardInput, layer: layer, input: feedForwardInput(layer: layer, slot), tokens: count,
      dOutputs: dOutputs.map { Floats($0) }, dInput: needsInput ? scratch.dNormalized : nil)
    guard needsInput else { return true }
    if configuration.normPlacement == .pre, let norm = block.feedForwardNorm {
      normBackward(
        norm, dInput: scratch.dStream, dOut: scratch.dNormalized, input: slot.middle,
        mean: slot.feedForwardMean, rstd: slot.feedForwardRstd, tokens: count, .add)
      return false
    }
    add(scratch.dStream, scratch.dNormalized, count: count * channels)
    if configuration.normPlacement == .post, let norm = block.attentionNorm {
      normBackward(
        norm, dInput: scratch.dStream, dOut: scratch.dStream, input: slot.middle,
        mean: slot.attentionMean, rstd: slot.attentionRstd, tokens: count, .overwrite)
    }
    return false
  }
}
