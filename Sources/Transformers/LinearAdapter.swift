// What may be added to frozen linear layers while they run. LoRA (target Adapters) is one.

public import Kernels

/// A trainable addition to linear layers that share an input.
///
/// The engine calls `forward` right after a group's frozen products and `backward` at the matching
/// point on the way back; `tokens` is the same in both.
public protocol LinearAdapter: AnyObject {
  /// Whether any layer of the group is adapted; `layer` is ignored for groups after the blocks.
  func isAdapted(_ group: LinearGroup, layer: Int) -> Bool

  /// Adds to `outputs`, one (tokens, outputs of the role) buffer for each of the group's roles.
  func forward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, outputs: [MutableFloats])

  /// Adds the gradients of its own parameters and, where given, of the input to `dInput`.
  func backward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, dOutputs: [Floats],
    dInput: MutableFloats?)
}
