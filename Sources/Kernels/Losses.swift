// Cross-entropy over rows of logits, and its gradient in place.

internal import CKernels

/// Softmax cross-entropy of each row of `logits` (rows, columns).
///
/// A target outside `0..<columns` does not count: its loss and gradient are zero. `losses[r]` is
/// -log p(target); `predictions[r]` the first largest logit's column. With `gradientScale`, `logits`
/// becomes (p - onehot) * scale; without, it is left as it was.
public func crossEntropy(
  logits: MutableFloats, targets: UnsafePointer<Int32>, losses: MutableFloats,
  predictions: UnsafeMutablePointer<Int32>, rows: Int, columns: Int, gradientScale: Float?
) {
  precondition(columns > 0, "logits need at least one column")
  if let device = KernelDevices.owner(of: logits) {
    return device.launch(
      "cross_entropy", .rows(rows),
      [
        .memory(logits), .integers(Array(UnsafeBufferPointer(start: targets, count: rows))),
        .memory(losses), .memory(predictions), .int(columns), .float(gradientScale ?? 0),
        .int(gradientScale == nil ? 0 : 1),
      ])
  }
  ck_cross_entropy(
    logits, targets, losses, predictions, Int64(rows), Int64(columns), gradientScale ?? 0,
    gradientScale == nil ? 0 : 1)
}

/// Binary cross-entropy of each row of `logits` (rows, columns): the sum over its columns of
/// -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)).
///
/// `targets` (rows, columns) holds 0 and 1. With `gradientScale`, `logits` becomes
/// (sigmoid(x) - t) * scale; without, it is left as it was.
public func binaryCrossEntropy(
  logits: MutableFloats, targets: [Float], losses: MutableFloats, rows: Int, columns: Int,
  gradientScale: Float?
) {
  if let device = KernelDevices.owner(of: logits) {
    return device.launch(
      "binary_cross_entropy", .rows(rows),
      [
        .memory(logits), .floats(targets), .memory(losses), .int(columns),
        .float(gradientScale ?? 0), .int(gradientScale == nil ? 0 : 1),
      ])
  }
  ck_binary_cross_entropy(
    logits, targets, losses, Int64(rows), Int64(columns), gradientScale ?? 0,
    gradientScale == nil ? 0 : 1)
}
