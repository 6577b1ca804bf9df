// Gradients of the model's own weights, where they are trained: of linear layers, norms and embeddings.
//
//   dW += dy^T x,  db += sum of dy        norms: dg += sum of dy * normalized x,  db += sum of dy
//
// The weights lie in one vector and their gradients in another of the same order, so that a weight's
// place is its gradient's. What the model uses twice (a token embedding that is the language head too)
// gets the sum of both.

public import Kernels

/// Where the gradients of weights that are trained go.
public struct WeightGradients {
  private let parameters: Floats
  private let gradient: MutableFloats

  /// Gradients are added to `gradient`, in the order of `parameters`, of which all weights are parts.
  public init(parameters: Floats, gradient: MutableFloats) {
    self.parameters = parameters
    self.gradient = gradient
  }

  /// The gradient of the weight that starts here.
  func place(of weight: Floats) -> MutableFloats { gradient + (weight - parameters) }

  /// Adds a linear layer's: `dOutput` is (tokens, outputs), `input` (tokens, inputs).
  public func add(_ linear: LinearWeights, dOutput: Floats, input: Floats, tokens: Int) {
    guard let weight = linear.weight.floats else {
      preconditionFailure("packed weights are frozen")
    }
    linearBackwardWeight(
      dWeight: place(of: weight), dOutput: dOutput, input: input, tokens: tokens,
      inputs: linear.inputs, outputs: linear.outputs)
    if let bias = linear.bias {
      biasGradient(
        dBias: place(of: bias), dOut: dOutput, tokens: tokens, channels: linear.outputs)
    }
  }

  /// Adds a norm's: `dOut` and `input` are (tokens, channels); `mean` only counts for LayerNorm.
  public func add(
    _ norm: NormWeights, dOut: Floats, input: Floats, mean: Floats, rstd: Floats, tokens: Int,
    channels: Int
  ) {
    if norm.kind.isLayer {
      layerNormBackwardWeight(
        dWeight: place(of: norm.weight), dBias: norm.bias.map(place(of:)), dOut: dOut,
        input: input, mean: mean, rstd: rstd, tokens: tokens, channels: channels)
    } else {
      rmsNormBackwardWeight(
        dWeight: place(of: norm.weight), dOut: dOut, input: input, rstd: rstd, tokens: tokens,
        channels: channels)
    }
  }
}
