// Rotary position embedding (Su et al. 2021), in the rotate-half form of GPT-NeoX and Llama.

internal import CKernels

/// Which way a rotation goes: `backward` undoes `forward`, and is its gradient.
public enum RotaryDirection: Float, Sendable {
  /// By the positions' angles.
  case forward = 1
  /// By the opposite angles.
  case backward = -1
}

/// Rotates `x` (tokens, heads * headSize) in place.
///
/// `cosines` and `sines` are (positions, headSize / 2); `positions` is (tokens).
/// - Precondition: `headSize` is even.
public func rotary(
  _ x: MutableFloats, cosines: Floats, sines: Floats, positions: UnsafePointer<Int32>, tokens: Int,
  heads: Int, headSize: Int, _ direction: RotaryDirection
) {
  precondition(headSize % 2 == 0, "rotary positions need an even head size, found \(headSize)")
  ck_rotary(
    x, cosines, sines, positions, Int64(tokens), Int64(heads), Int64(headSize), direction.rawValue)
}
