// Rotary position embedding (Su et al. 2021), in the rotate-half form of GPT-NeoX and Llama.

internal import CKernels

/// Which way a rotation goes: `backward` is the gradient of `forward`, the transposed rotation.
public enum RotaryDirection: Float, Sendable {
  /// By the positions' angles.
  case forward = 1
  /// By the opposite angles.
  case backward = -1
}

/// Rotates the first `rotated` channels of each head of `x` (tokens, heads * headSize) in place; all
/// unless told otherwise.
///
/// `cosines` and `sines` are (rows, rotated / 2); `rows` (tokens) is the row of each token.
/// - Precondition: `rotated` is even and at most `headSize`.
public func rotary(
  _ x: MutableFloats, cosines: Floats, sines: Floats, rows: UnsafePointer<Int32>, tokens: Int,
  heads: Int, headSize: Int, rotated: Int? = nil, _ direction: RotaryDirection
) {
  let rotated = rotated ?? headSize
  precondition(
    rotated % 2 == 0 && rotated <= headSize,
    "rotary positions of \(rotated) channels; an even number up to \(headSize) was expected")
  if let device = KernelDevices.owner(of: x) {
    guard rotated > 0 else { return }
    return device.launch(
      "rotary", .matrix(columns: rotated / 2, rows: heads, planes: tokens),
      [
        .memory(x), .memory(cosines), .memory(sines),
        .integers(Array(UnsafeBufferPointer(start: rows, count: tokens))), .int(heads),
        .int(headSize), .int(rotated), .float(direction.rawValue),
      ])
  }
  ck_rotary(
    x, cosines, sines, rows, Int64(tokens), Int64(heads), Int64(headSize), Int64(rotated),
    direction.rawValue)
}
