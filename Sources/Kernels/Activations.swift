// Activations of the feed-forward part, plain and gated, forward and backward.

internal import CKernels

/// An elementwise activation, by Hugging Face's names.
public enum Activation: String, Sendable, CaseIterable {
  /// x * Phi(x), with the error function (Hendrycks & Gimpel 2016).
  case gelu
  /// The tanh approximation of `gelu`.
  case geluTanh = "gelu_new"
  /// max(x, 0).
  case relu
  /// x * sigmoid(x).
  case silu
  /// tanh(x), BERT's pooler.
  case tanh

  var code: Int32 {
    switch self {
    case .gelu: Int32(CK_GELU)
    case .geluTanh: Int32(CK_GELU_TANH)
    case .relu: Int32(CK_RELU)
    case .silu: Int32(CK_SILU)
    case .tanh: Int32(CK_TANH)
    }
  }
}

/// `out = f(input)` over `count` elements; `out` may be `input`.
public func activationForward(
  out: MutableFloats, input: Floats, count: Int, _ activation: Activation
) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "activation_forward", .elements(count),
      [.memory(out), .memory(input), .long(count), .int(Int(activation.code))])
  }
  ck_activation_forward(out, input, Int64(count), activation.code)
}

/// `dInput = dOut * f'(input)` over `count` elements; `dInput` may be `dOut`.
public func activationBackward(
  dInput: MutableFloats, dOut: Floats, input: Floats, count: Int, _ activation: Activation
) {
  if let device = KernelDevices.owner(of: dInput) {
    return device.launch(
      "activation_backward", .elements(count),
      [
        .memory(dInput), .memory(dOut), .memory(input), .long(count), .int(Int(activation.code)),
      ])
  }
  ck_activation_backward(dInput, dOut, input, Int64(count), activation.code)
}

/// `out = f(gate) * up` over `count` elements (Shazeer 2020; SwiGLU where f is SiLU).
public func gatedForward(
  out: MutableFloats, gate: Floats, up: Floats, count: Int, _ activation: Activation
) {
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "gated_forward", .elements(count),
      [.memory(out), .memory(gate), .memory(up), .long(count), .int(Int(activation.code))])
  }
  ck_gated_forward(out, gate, up, Int64(count), activation.code)
}

/// `dGate = dOut * up * f'(gate)` and `dUp = dOut * f(gate)`; either output may be `dOut`.
public func gatedBackward(
  dGate: MutableFloats, dUp: MutableFloats, dOut: Floats, gate: Floats, up: Floats, count: Int,
  _ activation: Activation
) {
  if let device = KernelDevices.owner(of: dUp) {
    return device.launch(
      "gated_backward", .elements(count),
      [
        .memory(dGate), .memory(dUp), .memory(dOut), .memory(gate), .memory(up), .long(count),
        .int(Int(activation.code)),
      ])
  }
  ck_gated_backward(dGate, dUp, dOut, gate, up, Int64(count), activation.code)
}
