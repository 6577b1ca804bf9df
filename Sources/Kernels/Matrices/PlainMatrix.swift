// A frozen matrix as it lies in a model's file or in a vector of weights: row-major fp32.

/// A row-major matrix, (outputs, inputs), in memory that belongs to someone else.
package struct PlainMatrix: FrozenMatrix, @unchecked Sendable {
  private let values: Floats
  private let inputs: Int
  private let outputs: Int

  /// In experiment files `fp32`.
  package static let format = MatrixFormat(name: "fp32")

  /// The matrix at `values`.
  package init(_ values: Floats, inputs: Int, outputs: Int) {
    (self.values, self.inputs, self.outputs) = (values, inputs, outputs)
  }

  /// The matrix itself.
  package var floats: Floats? { values }

  /// One product.
  package func forward(
    output: MutableFloats, input: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    linearForward(
      output: output, input: input, weight: values, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
  }

  /// One product.
  package func backwardInput(
    dInput: MutableFloats, dOutput: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    linearBackwardInput(
      dInput: dInput, dOutput: dOutput, weight: values, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
  }
}
