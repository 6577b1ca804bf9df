// A frozen matrix that is rounded to bf16 and packed for both directions.
//
// It is kept twice, once for each direction, in the order that oneDNN's products read it: the
// forward product's inner dimension is the matrix's columns, the backward product's its rows.
// Together the two take about what the fp32 matrix takes.

internal import CDNNLShim

/// A packed matrix, (outputs, inputs), in memory that belongs to someone else.
///
/// The order depends on the CPU and on oneDNN's version: pack at run time, never write it to a
/// file.
package struct BF16Matrix: FrozenMatrix, @unchecked Sendable {
  private let forward: UnsafeRawPointer
  private let backward: UnsafeRawPointer
  private let inputs: Int
  private let outputs: Int

  /// In experiment files `bf16`.
  package static let format = MatrixFormat(
    name: "bf16",
    packing: MatrixFormat.Packing(
      byteCount: { byteCount(inputs: $0, outputs: $1) },
      pack: { pack($0, inputs: $1, outputs: $2, to: $3) },
      matrix: { BF16Matrix($0, inputs: $1, outputs: $2) }),
    unavailableReason: { BF16.unavailableReason })

  /// The packed matrix that `pack` wrote to `memory`.
  package init(_ memory: UnsafeRawPointer, inputs: Int, outputs: Int) {
    forward = memory
    backward = memory + Self.oneWayByteCount(inner: inputs, columns: outputs)
    (self.inputs, self.outputs) = (inputs, outputs)
  }

  /// None: the packed form is another one.
  package var floats: Floats? { nil }

  /// Pieces of at most 128 rows.
  package func forward(
    output: MutableFloats, input: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    BF16.product(
      output, input, packed: forward, rows: tokens, inner: inputs, columns: outputs, accumulation)
  }

  /// Pieces of at most 128 rows.
  package func backwardInput(
    dInput: MutableFloats, dOutput: Floats, tokens: Int, _ accumulation: Accumulation
  ) {
    BF16.product(
      dInput, dOutput, packed: backward, rows: tokens, inner: outputs, columns: inputs,
      accumulation)
  }

  /// Bytes of a packed matrix, a multiple of 64.
  package static func byteCount(inputs: Int, outputs: Int) -> Int {
    oneWayByteCount(inner: inputs, columns: outputs)
      + oneWayByteCount(inner: outputs, columns: inputs)
  }

  /// Writes `matrix` (outputs, inputs), row-major, to `memory` of `byteCount` bytes.
  package static func pack(
    _ matrix: Floats, inputs: Int, outputs: Int, to memory: UnsafeMutableRawPointer
  ) {
    let forward = ProductSize(rows: 1, inner: inputs, columns: outputs, accumulation: .overwrite)
    BF16.check(
      cdnnl_pack(memory, matrix, Int64(inputs), Int64(outputs), 1, Int64(inputs)), forward)
    let backward = ProductSize(rows: 1, inner: outputs, columns: inputs, accumulation: .overwrite)
    BF16.check(
      cdnnl_pack(
        memory + oneWayByteCount(inner: inputs, columns: outputs), matrix, Int64(outputs),
        Int64(inputs), Int64(inputs), 1), backward)
  }

  private static func oneWayByteCount(inner: Int, columns: Int) -> Int {
    let size = ProductSize(rows: 1, inner: inner, columns: columns, accumulation: .overwrite)
    var bytes = 0
    BF16.check(cdnnl_packed_bytes(Int64(inner), Int64(columns), &bytes), size)
    return (bytes + 63) / 64 * 64
  }
}
