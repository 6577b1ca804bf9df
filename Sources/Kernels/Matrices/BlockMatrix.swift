// A frozen matrix in blocks of 32 weights with one scale, in the layout of GGUF (Q8_0, Q4_0, Q4_1).
//
// Products widen a tile of the matrix at a time and go on as with fp32, so the bits are those of a
// product with the widened matrix. One copy serves both directions.

internal import CKernels

/// A matrix (outputs, inputs) in blocks along its rows, in memory that belongs to someone else.
package struct BlockMatrix: FrozenMatrix, @unchecked Sendable {
  private let blocks: UnsafeRawPointer
  private let inputs: Int
  private let outputs: Int
  private let format: Int32

  /// 8-bit codes: 34 bytes for 32 weights.
  package static let q8_0 = matrixFormat("q8_0", Int32(CK_Q8_0))
  /// 4-bit codes around zero: 18 bytes for 32 weights.
  package static let q4_0 = matrixFormat("q4_0", Int32(CK_Q4_0))
  /// 4-bit codes from a smallest value: 20 bytes for 32 weights.
  package static let q4_1 = matrixFormat("q4_1", Int32(CK_Q4_1))

  private static func matrixFormat(_ name: String, _ format: Int32) -> MatrixFormat {
    MatrixFormat(
      name: name,
      packing: MatrixFormat.Packing(
        inputMultiple: Int(CK_BLOCK_WEIGHTS),
        byteCount: { inputs, outputs in
          (inputs * outputs / Int(CK_BLOCK_WEIGHTS) * Int(ck_block_bytes(format)) + 63) / 64 * 64
        },
        pack: { ck_round_to_blocks($3, $0, Int64($1 * $2), format) },
        matrix: { BlockMatrix(blocks: $0, inputs: $1, outputs: $2, format: format) }))
  }

  /// None: products widen it.
  package var floats: Floats? { nil }

  /// The product with the widened matrix.
  package func forward(
    output: MutableFloats, input: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    if let device = KernelDevices.owner(of: output) {
      return linearForward(
        output: output, input: input, weight: widened(on: device), tokens: tokens, inputs: inputs,
        outputs: outputs, accumulation)
    }
    ck_block_product(
      output, input, blocks, Int64(tokens), Int64(outputs), Int64(inputs), format, 0,
      accumulation.flag)
  }

  /// The product with the widened matrix.
  package func backwardInput(
    dInput: MutableFloats, dOutput: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    if let device = KernelDevices.owner(of: dInput) {
      return linearBackwardInput(
        dInput: dInput, dOutput: dOutput, weight: widened(on: device), tokens: tokens,
        inputs: inputs, outputs: outputs, accumulation)
    }
    ck_block_product(
      dInput, dOutput, blocks, Int64(tokens), Int64(outputs), Int64(inputs), format, 1,
      accumulation.flag)
  }

  /// The weights in fp32 in a device's scratch memory.
  private func widened(on device: any KernelDevice) -> Floats {
    let count = inputs * outputs
    let memory = device.scratch(byteCount: 4 * count).assumingMemoryBound(to: Float.self)
    device.launch(
      "widen_blocks", .elements(count),
      [.memory(memory), .memory(blocks), .long(count), .int(Int(format))])
    return Floats(memory)
  }

  /// The weights in fp32, row-major (outputs, inputs).
  package func widened() -> [Float] {
    [Float](unsafeUninitializedCapacity: inputs * outputs) { buffer, count in
      count = inputs * outputs
      if count > 0 { ck_widen_blocks(buffer.baseAddress!, blocks, Int64(count), format) }
    }
  }
}
