// Matrix products over Float buffers: `cblas_sgemm`, or a kernel of ours where a dimension is small,
// with the shapes of a linear layer spelled out.
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
}

/// `out` (rows, columns) = `alpha` * op(`a`) op(`b`), all row-major with a stride per matrix.
/// - Precondition: strides are at least the stored matrices' widths.
@inline(__always)
public func matmul(
  _ out: MutableFloats, stride: Int, rows: Int, columns: Int, inner: Int,
  _ a: Floats, strideA: Int, transposeA: Bool = false,
  _ b: Floats, strideB: Int, transposeB: Bool = false,
  alpha: Float = 1, _ accumulation: Accumulation = .overwrite
) {
  guard rows > 0, columns > 0 else { return }
  precondition(inner > 0, "a product needs an inner dimension of at least 1, found \(inner)")
  if isSmallProduct(rows: rows, columns: columns, inner: inner, transposeA: transposeA) {
    return ck_small_product(
      out, Int64(stride), Int64(rows), Int64(columns), Int64(inner), a,
      transposeA ? 1 : Int64(strideA), transposeA ? Int64(strideA) : 1, b, Int64(strideB),
      transposeB ? 1 : 0, alpha, accumulation == .add ? 1 : 0)
  }
  // void cblas_sgemm(layout, TransA, TransB, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc)
  cblas_sgemm(
    CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
    blasint(rows), blasint(columns), blasint(inner), alpha, a, blasint(strideA), b,
    blasint(strideB), accumulation.rawValue, out, blasint(stride))
}

private let hasSmallProduct = ck_has_small_product() != 0

/// Whether a product is faster without packing its operands: LoRA's products with its rank, the heads
/// of attention and the gradients of narrow matrices (measured by `cellm-bench kernel`).
private func isSmallProduct(rows: Int, columns: Int, inner: Int, transposeA: Bool) -> Bool {
  hasSmallProduct && (min(columns, inner) <= 64 || (transposeA && rows <= 64))
}

/// `output` (T, O) = `scale` * `input` (T, I) * `weight`^T, `weight` being (O, I).
public func linearForward(
  output: MutableFloats, outputStride: Int? = nil, input: Floats, inputStride: Int? = nil,
  weight: Floats, tokens: Int, inputs: Int, outputs: Int, scale: Float = 1,
  _ accumulation: Accumulation = .overwrite
) {
  matmul(
    output, stride: outputStride ?? outputs, rows: tokens, columns: outputs, inner: inputs,
    input, strideA: inputStride ?? inputs, weight, strideB: inputs, transposeB: true,
    alpha: scale, accumulation)
}

/// `dInput` (T, I) = `scale` * `dOutput` (T, O) * `weight`, `weight` being (O, I).
public func linearBackwardInput(
  dInput: MutableFloats, dInputStride: Int? = nil, dOutput: Floats, dOutputStride: Int? = nil,
  weight: Floats, tokens: Int, inputs: Int, outputs: Int, scale: Float = 1,
  _ accumulation: Accumulation = .overwrite
) {
  matmul(
    dInput, stride: dInputStride ?? inputs, rows: tokens, columns: inputs, inner: outputs,
    dOutput, strideA: dOutputStride ?? outputs, weight, strideB: inputs, alpha: scale,
    accumulation)
}

/// `dWeight` (O, I) += `scale` * `dOutput`^T (O, T) * `input` (T, I).
public func linearBackwardWeight(
  dWeight: MutableFloats, dOutput: Floats, dOutputStride: Int? = nil, input: Floats,
  inputStride: Int? = nil, tokens: Int, inputs: Int, outputs: Int, scale: Float = 1
) {
  guard tokens > 0 else { return }
  matmul(
    dWeight, stride: inputs, rows: outputs, columns: inputs, inner: tokens,
    dOutput, strideA: dOutputStride ?? outputs, transposeA: true,
    input, strideB: inputStride ?? inputs, alpha: scale, .add)
}

/// The BLAS library that the products run on.
public enum BLAS {
  /// Sets the threads of one product; 1 keeps every rank on its own core.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(count))
  }

  /// The library's own description: version, build options and the CPU kernels that it chose.
  public static var description: String {
    String(cString: openblas_get_config()) + " core " + String(cString: openblas_get_corename())
  }
}
