// Frozen matrices: the table of formats, and the products of the plain one. Products in bf16 are
// checked in BF16Tests.

import Kernels
import Testing

@Suite("Frozen matrices")
struct FrozenMatrixTests {
  @Test("names are those of experiment files, and fp32 is always there and never packed")
  func table() {
    #expect(MatrixFormat.allCases.map(\.rawValue) == ["fp32", "bf16", "q8_0", "q4_0", "q4_1"])
    for format in MatrixFormat.allCases {
      #expect(MatrixFormat(rawValue: format.rawValue) == format)
    }
    #expect(MatrixFormat(rawValue: "int8") == nil)
    #expect(MatrixFormat.fp32.packing == nil && MatrixFormat.fp32.unavailableReason == nil)
    #expect(MatrixFormat.bf16.packing != nil)
    #expect(MatrixFormat.bf16.unavailableReason == BF16.unavailableReason)
  }

  @Test("a plain matrix multiplies as a linear layer, written or added, to the bit")
  func plain() {
    let (tokens, inputs, outputs) = (5, 7, 3)
    var values = TestValues(1)
    let weight = values.array(inputs * outputs)
    weight.withUnsafeBufferPointer { weight in
      let matrix = PlainMatrix(weight.baseAddress!, inputs: inputs, outputs: outputs)
      #expect(matrix.floats == weight.baseAddress)
      expectProducts(
        of: matrix, weight: weight.baseAddress!, tokens: tokens, inputs: inputs, outputs: outputs,
        &values)
    }
  }
}

/// The products of `matrix` in both directions, written and added, have the bits of those with the
/// fp32 `weight` (outputs, inputs).
func expectProducts(
  of matrix: any FrozenMatrix, weight: Floats, tokens: Int, inputs: Int, outputs: Int,
  _ values: inout TestValues
) {
  let (x, dY) = (values.array(tokens * inputs), values.array(tokens * outputs))
  for accumulation in [Accumulation.overwrite, .add] {
    var (found, expected) = (dY, dY)
    matrix.forward(output: &found, input: x, tokens: tokens, accumulation)
    linearForward(
      output: &expected, input: x, weight: weight, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
    #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
    var (dFound, dExpected) = (x, x)
    matrix.backwardInput(dInput: &dFound, dOutput: dY, tokens: tokens, accumulation)
    linearBackwardInput(
      dInput: &dExpected, dOutput: dY, weight: weight, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
    #expect(dFound.map(\.bitPattern) == dExpected.map(\.bitPattern))
  }
}
