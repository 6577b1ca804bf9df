// RMSNorm and LayerNorm over the rows of a (tokens, channels) buffer, forward and backward.
// The gradients of the weights are functions of their own: with frozen weights nobody calls them.

internal import CKernels

/// RMSNorm (Zhang & Sennrich 2019): `out = input * rstd * weight`.
///
/// `out`, `input` are (tokens, channels); `rstd` is (tokens), kept for `rmsNormBackward`.
public func rmsNormForward(
  out: MutableFloats, rstd: MutableFloats, input: Floats, weight: Floats, tokens: Int,
  channels: Int, epsilon: Float
) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "rms_norm_forward", .rows(tokens),
      [
        .memory(out), .memory(rstd), .memory(input), .memory(weight), .int(channels),
        .float(epsilon),
      ])
  }
  ck_rms_norm_forward(out, rstd, input, weight, Int64(tokens), Int64(channels), epsilon)
}

/// The gradient of RMSNorm's input; all buffers are (tokens, channels) but `rstd`.
///
/// Overwriting, `dInput` may be `dOut` itself.
public func rmsNormBackward(
  dInput: MutableFloats, dOut: Floats, input: Floats, weight: Floats, rstd: Floats, tokens: Int,
  channels: Int, _ accumulation: Accumulation
) {
  if let device = KernelDevices.owner(of: dInput) {
    return device.launch(
      "rms_norm_backward", .rows(tokens),
      [
        .memory(dInput), .memory(dOut), .memory(input), .memory(weight), .memory(rstd),
        .int(channels), .int(Int(accumulation.flag)),
      ])
  }
  ck_rms_norm_backward(
    dInput, dOut, input, weight, rstd, Int64(tokens), Int64(channels),
    accumulation.flag)
}

/// LayerNorm (Ba et al. 2016): `out = (input - mean) * rstd * weight + bias`; no bias is one of 0.
///
/// `out`, `input` are (tokens, channels); `mean`, `rstd` are (tokens), kept for the backward pass.
public func layerNormForward(
  out: MutableFloats, mean: MutableFloats, rstd: MutableFloats, input: Floats, weight: Floats,
  bias: Floats?, tokens: Int, channels: Int, epsilon: Float
) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "layer_norm_forward", .rows(tokens),
      [
        .memory(out), .memory(mean), .memory(rstd), .memory(input), .memory(weight),
        .memory(bias ?? weight), .int(bias == nil ? 0 : 1), .int(channels), .float(epsilon),
      ])
  }
  guard let bias else {
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: channels) { zeros in
      zeros.initialize(repeating: 0)
      ck_layer_norm_forward(
        out, mean, rstd, input, weight, zeros.baseAddress!, Int64(tokens), Int64(channels), epsilon)
    }
  }
  ck_layer_norm_forward(
    out, mean, rstd, input, weight, bias, Int64(tokens), Int64(channels), epsilon)
}

/// The gradient of LayerNorm's input; all buffers are (tokens, channels) but `mean` and `rstd`.
///
/// Overwriting, `dInput` may be `dOut` itself.
public func layerNormBackward(
  dInput: MutableFloats, dOut: Floats, input: Floats, weight: Floats, mean: Floats, rstd: Floats,
  tokens: Int, channels: Int, _ accumulation: Accumulation
) {
  if let device = KernelDevices.owner(of: dInput) {
    return device.launch(
      "layer_norm_backward", .rows(tokens),
      [
        .memory(dInput), .memory(dOut), .memory(input), .memory(weight), .memory(mean),
        .memory(rstd), .int(channels), .int(Int(accumulation.flag)),
      ])
  }
  ck_layer_norm_backward(
    dInput, dOut, input, weight, mean, rstd, Int64(tokens), Int64(channels),
    accumulation.flag)
}

/// `dWeight` (channels) += the gradient of RMSNorm's weight.
///
/// `dOut`, `input` are (tokens, channels); `rstd` is what `rmsNormForward` kept.
public func rmsNormBackwardWeight(
  dWeight: MutableFloats, dOut: Floats, input: Floats, rstd: Floats, tokens: Int, channels: Int
) {
  if let device = KernelDevices.owner(of: dWeight) {
    return device.launch(
      "rms_norm_weight_gradient", .elements(channels),
      [
        .memory(dWeight), .memory(dOut), .memory(input), .memory(rstd), .int(tokens),
        .int(channels),
      ])
  }
  ck_rms_norm_weight_gradient(dWeight, dOut, input, rstd, Int64(tokens), Int64(channels))
}

/// `dWeight` and, if there is a bias, `dBias` (channels) += the gradients of LayerNorm's weight and
/// bias.
///
/// `dOut`, `input` are (tokens, channels); `mean`, `rstd` are what `layerNormForward` kept.
public func layerNormBackwardWeight(
  dWeight: MutableFloats, dBias: MutableFloats?, dOut: Floats, input: Floats, mean: Floats,
  rstd: Floats, tokens: Int, channels: Int
) {
  if let device = KernelDevices.owner(of: dWeight) {
    return device.launch(
      "layer_norm_weight_gradient", .elements(channels),
      [
        .memory(dWeight), .memory(dBias ?? dWeight), .int(dBias == nil ? 0 : 1), .memory(dOut),
        .memory(input), .memory(mean), .memory(rstd), .int(tokens), .int(channels),
      ])
  }
  guard let dBias else {
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: channels) { unused in
      unused.initialize(repeating: 0)
      ck_layer_norm_weight_gradient(
        dWeight, unused.baseAddress!, dOut, input, mean, rstd, Int64(tokens), Int64(channels))
    }
  }
  ck_layer_norm_weight_gradient(
    dWeight, dBias, dOut, input, mean, rstd, Int64(tokens), Int64(channels))
}
