// Matrix products over Float buffers, with the shapes of a linear layer spelled out.
//
// A linear layer is `output = input * weight^T`, with `input` (T, I), `weight` (O, I) as PyTorch
// stores it, `output` (T, O). Gradients of frozen weights are never formed.

internal import CKernels
internal import COpenBLAS

/// A read-only run of floats.
public typealias Floats = UnsafePointer<Float>
/// A writable run of floats.
public typealias MutableFloats = UnsafeMutablePointer<Float>

/// What a kernel does with the values that its output held before.
public enum Accumulation: Float, Sendable {
  /// They are overwritten.
  case overwrite = 0
  /// The result is added to them.
  case add = 1

  /// The argument `add` of a kernel.
  var flag: Int32 { self == .add ? 1 : 0 }
}

/// Computes `out` (rows, columns) = op(`a`) op(`b`), all row-major with a stride per matrix.
///
/// With `ProductLibrary.own`, each 576 steps of `inner` are one chain of fused multiply-adds from
/// 0, and the chains are added in ascending order, on every CPU.
/// - Precondition: strides are at least the stored matrices' widths.
public func matmul(
  _ out: MutableFloats, stride: Int, rows: Int, columns: Int, inner: Int,
  _ a: Floats, strideA: Int, transposeA: Bool = false,
  _ b: Floats, strideB: Int, transposeB: Bool = false, _ accumulation: Accumulation = .overwrite
) {
  guard rows > 0, columns > 0 else { return }
  precondition(inner > 0, "a product needs an inner dimension of at least 1, found \(inner)")
  if let device = KernelDevices.owner(of: out) {
    return device.launch(
      "product", .tiles(columns: columns, rows: rows),
      [
        .memory(out), .int(stride), .int(rows), .int(columns), .int(inner), .memory(a),
        .int(transposeA ? 1 : strideA), .int(transposeA ? strideA : 1), .memory(b),
        .int(transposeB ? 1 : strideB), .int(transposeB ? strideB : 1),
        .int(Int(accumulation.flag)),
      ])
  }
  guard ProductLibrary.current == .openblas else {
    return ck_product(
      out, Int64(stride), Int64(rows), Int64(columns), Int64(inner), a,
      transposeA ? 1 : Int64(strideA), transposeA ? Int64(strideA) : 1, b, Int64(strideB),
      transposeB ? 1 : 0, accumulation.flag)
  }
  // void cblas_sgemm(layout, TransA, TransB, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc)
  cblas_sgemm(
    CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
    blasint(rows), blasint(columns), blasint(inner), 1, a, blasint(strideA), b,
    blasint(strideB), accumulation.rawValue, out, blasint(stride))
}

/// Computes `output` (T, O) = `input` (T, I) * `weight`^T, `weight` being (O, I).
public func linearForward(
  output: MutableFloats, outputStride: Int? = nil, input: Floats, inputStride: Int? = nil,
  weight: Floats, tokens: Int, inputs: Int, outputs: Int,
  _ accumulation: Accumulation = .overwrite
) {
  matmul(
    output, stride: outputStride ?? outputs, rows: tokens, columns: outputs, inner: inputs,
    input, strideA: inputStride ?? inputs, weight, strideB: inputs, transposeB: true,
    accumulation)
}

/// Computes `dInput` (T, I) = `dOutput` (T, O) * `weight`, `weight` being (O, I).
public func linearBackwardInput(
  dInput: MutableFloats, dInputStride: Int? = nil, dOutput: Floats, dOutputStride: Int? = nil,
  weight: Floats, tokens: Int, inputs: Int, outputs: Int,
  _ accumulation: Accumulation = .overwrite
) {
  matmul(
    dInput, stride: dInputStride ?? inputs, rows: tokens, columns: inputs, inner: outputs,
    dOutput, strideA: dOutputStride ?? outputs, weight, strideB: inputs, accumulation)
}

/// Adds `scale` * B A to `matrix` (O, I), B being (O, r) and A (r, I): LoRA's part of a weight.
///
/// B takes the scale first, as h does in a step.
public func addLowRankProduct(
  to matrix: MutableFloats, b: Floats, a: Floats, loraRank: Int, scale: Float, outputs: Int,
  inputs: Int
) {
  let scaled = (0..<outputs * loraRank).map { b[$0] * scale }
  matmul(
    matrix, stride: inputs, rows: outputs, columns: inputs, inner: loraRank, scaled,
    strideA: loraRank, a, strideB: inputs, .add)
}

/// Adds to `dWeight` (O, I) the product `dOutput`^T (O, T) * `input` (T, I).
public func linearBackwardWeight(
  dWeight: MutableFloats, dOutput: Floats, dOutputStride: Int? = nil, input: Floats,
  inputStride: Int? = nil, tokens: Int, inputs: Int, outputs: Int
) {
  guard tokens > 0 else { return }
  matmul(
    dWeight, stride: inputs, rows: outputs, columns: inputs, inner: tokens,
    dOutput, strideA: dOutputStride ?? outputs, transposeA: true,
    input, strideB: inputStride ?? inputs, .add)
}
