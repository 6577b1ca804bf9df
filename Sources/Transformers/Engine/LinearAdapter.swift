// What may be added to frozen linear layers while they run. LoRA (target Adapters) is one.

public import Kernels

/// A trainable addition to linear layers that share an input.
///
/// The engine calls it before a group's frozen products, which are then added (sgemm clears an output
/// that it does not add to, and what is small fills the cache that the product goes on with), and at
/// the matching point on the way back; `tokens` is the same in both.
public protocol LinearAdapter: AnyObject {
  /// Whether any layer of the group is adapted; `layer` is ignored for groups after the blocks.
  func isAdapted(_ group: LinearGroup, layer: Int) -> Bool

  /// Whether `forward` writes to the output of this layer; `layer` as above.
  func writesOutput(of role: LinearRole, layer: Int) -> Bool

  /// Writes or adds to the `outputs` of adapted roles; one (tokens, outputs of the role) buffer is
  /// given for each of the group's roles.
  func forward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, outputs: [MutableFloats],
    _ accumulation: Accumulation)

  /// Adds the gradients of its own parameters and, where given, overwrites `dInput` by that of the
  /// input. Only for adapted groups.
  func backward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, dOutputs: [Floats],
    dInput: MutableFloats?)
}
