// The norms of every kind, forward and backward.

package import Kernels

extension TransformerEngine {
  /// Normalizes the rows of `input` (tokens, channels), C channels unless told otherwise. `mean` is
  /// written by LayerNorm alone.
  package func normForward(
    _ norm: NormWeights, out: MutableFloats, mean: MutableFloats, rstd: MutableFloats,
    input: Floats, tokens: Int, channels: Int? = nil
  ) {
    let channels = channels ?? configuration.channels
    let epsilon = configuration.normEpsilon
    if norm.kind.isLayer {
      layerNormForward(
        out: out, mean: mean, rstd: rstd, input: input, weight: norm.weight, bias: norm.bias,
        tokens: tokens, channels: channels, epsilon: epsilon)
    } else {
      rmsNormForward(
        out: out, rstd: rstd, input: input, weight: factor(norm, channels), tokens: tokens,
        channels: channels, epsilon: epsilon)
    }
  }

  /// Writes or adds the gradient of a norm's input, and adds that of its weights if they are trained.
  package func normBackward(
    _ norm: NormWeights, dInput: MutableFloats, dOut: Floats, input: Floats, mean: Floats,
    rstd: Floats, tokens: Int, channels: Int? = nil, _ accumulation: Accumulation
  ) {
    let channels = channels ?? configuration.channels
    gradients?.add(
      norm, dOut: dOut, input: input, mean: mean, rstd: rstd, tokens: tokens, channels: channels)
    if norm.kind.isLayer {
      layerNormBackward(
        dInput: dInput, dOut: dOut, input: input, weight: norm.weight, mean: mean, rstd: rstd,
        tokens: tokens, channels: channels, accumulation)
    } else {
      rmsNormBackward(
        dInput: dInput, dOut: dOut, input: input, weight: factor(norm, channels), rstd: rstd,
        tokens: tokens, channels: channels, accumulation)
    }
  }

  /// What RMSNorm multiplies by: the weight, or 1 + the weight.
  private func factor(_ norm: NormWeights, _ channels: Int) -> Floats {
    guard norm.kind == .rootMeanSquareAroundOne, let factor = scratch.normFactor else {
      return norm.weight
    }
    onePlus(factor, norm.weight, count: channels)
    return Floats(factor)
  }
}
