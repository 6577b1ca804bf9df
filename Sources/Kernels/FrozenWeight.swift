// The weight of a frozen linear layer in the precision that its products are computed in.
//
// A bf16 weight is kept twice, once for each direction, in the order that oneDNN's products read it:
// the forward product's inner dimension is the weight's columns, the backward product's its rows.
// Together the two take about what the fp32 weight takes.

internal import CDNNLShim

/// A frozen weight, (outputs, inputs) in either form.
public enum FrozenWeight: @unchecked Sendable {
  /// Row-major.
  case fp32(Floats)
  /// Packed; only where `BF16.unavailableReason` is nil.
  case bf16(PackedWeight)
}

/// A weight rounded to bf16 and packed for both directions, in memory that belongs to someone else.
///
/// The order depends on the CPU and on oneDNN's version: pack at run time, never write it to a file.
public struct PackedWeight: @unchecked Sendable {
  let forward: UnsafeRawPointer
  let backward: UnsafeRawPointer

  /// The packed weight (outputs, inputs) that `pack` wrote to `memory`.
  public init(_ memory: UnsafeRawPointer, inputs: Int, outputs: Int) {
    forward = memory
    backward = memory + Self.oneWayByteCount(inner: inputs, columns: outputs)
  }

  /// Bytes of a packed weight, a multiple of 64.
  public static func byteCount(inputs: Int, outputs: Int) -> Int {
    oneWayByteCount(inner: inputs, columns: outputs)
      + oneWayByteCount(inner: outputs, columns: inputs)
  }

  /// Writes `weight` (outputs, inputs), row-major, to `memory` of `byteCount` bytes.
  public static func pack(
    _ weight: Floats, inputs: Int, outputs: Int, to memory: UnsafeMutableRawPointer
  ) {
    let forward = ProductSize(rows: 1, inner: inputs, columns: outputs, accumulation: .overwrite)
    BF16.check(
      cdnnl_pack(memory, weight, Int64(inputs), Int64(outputs), 1, Int64(inputs)), forward)
    let backward = ProductSize(rows: 1, inner: outputs, columns: inputs, accumulation: .overwrite)
    BF16.check(
      cdnnl_pack(
        memory + oneWayByteCount(inner: inputs, columns: outputs), weight, Int64(outputs),
        Int64(inputs), Int64(inputs), 1), backward)
  }

  private static func oneWayByteCount(inner: Int, columns: Int) -> Int {
    let size = ProductSize(rows: 1, inner: inner, columns: columns, accumulation: .overwrite)
    var bytes = 0
    BF16.check(cdnnl_packed_bytes(Int64(inner), Int64(columns), &bytes), size)
    return (bytes + 63) / 64 * 64
  }
}

/// `output` (T, O) = `input` (T, I) * `weight`^T, `weight` being (O, I).
public func linearForward(
  output: MutableFloats, input: Floats, weight: FrozenWeight, tokens: Int, inputs: Int,
  outputs: Int, _ accumulation: Accumulation = .overwrite
) {
  switch weight {
  case .fp32(let weight):
    linearForward(
      output: output, input: input, weight: weight, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
  case .bf16(let packed):
    BF16.product(
      output, input, packed: packed.forward, rows: tokens, inner: inputs, columns: outputs,
      accumulation)
  }
}

/// `dInput` (T, I) = `dOutput` (T, O) * `weight`, `weight` being (O, I).
public func linearBackwardInput(
  dInput: MutableFloats, dOutput: Floats, weight: FrozenWeight, tokens: Int, inputs: Int,
  outputs: Int, _ accumulation: Accumulation = .overwrite
) {
  switch weight {
  case .fp32(let weight):
    linearBackwardInput(
      dInput: dInput, dOutput: dOutput, weight: weight, tokens: tokens, inputs: inputs,
      outputs: outputs, accumulation)
  case .bf16(let packed):
    BF16.product(
      dInput, dOutput, packed: packed.backward, rows: tokens, inner: outputs, columns: inputs,
      accumulation)
  }
}
