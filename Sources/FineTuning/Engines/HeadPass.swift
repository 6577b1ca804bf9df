// A task's view of one micro-batch: its hidden states, the buffers after the last block, the
// parameters, and the layers of the model after the blocks.

package import Adapters
package import Kernels
package import Transformers

/// One pass through the head: everything after the blocks.
package struct HeadPass {
  /// The engine, after the blocks' forward pass.
  package let engine: TransformerEngine
  /// The adapter; nil if all weights are trained.
  package let adapter: LoRAAdapter?
  /// Order of the trainable vector.
  package let layout: TrainableLayout
  /// Hidden states and everything after them.
  package let buffers: HeadBuffers
  /// The trainable vector.
  package let parameters: Floats
  /// Its gradient, to which is added; nil if the pass goes no way back.
  package let gradient: MutableFloats?
  /// Factor of the gradient.
  package let lossScale: Float

  /// Shape and kinds of the model.
  package var configuration: ModelConfiguration { engine.model.configuration }
  /// The weights that the pass computes with.
  package var weights: ModelWeights { engine.weights }

  /// A linear layer of the model with its bias.
  package func linear(
    _ linear: LinearWeights, output: MutableFloats, input: Floats, tokens: Int
  ) {
    linear.weight.forward(output: output, input: input, tokens: tokens, .overwrite)
    if let bias = linear.bias {
      addBias(output, bias: bias, tokens: tokens, channels: linear.outputs)
    }
  }

  /// A linear layer after the blocks, with its bias and then its adapter.
  package func linear(
    _ linear: LinearWeights, of group: LinearGroup, output: MutableFloats, input: Floats,
    tokens: Int
  ) {
    self.linear(linear, output: output, input: input, tokens: tokens)
    adapter?.forward(
      group, layer: 0, input: input, tokens: tokens, outputs: [output], .add)
  }
}

/// Buffers between the last block and the loss.
package struct HeadBuffers {
  /// Hidden states, (T', C), and their gradient.
  package let hidden: MutableFloats
  /// The gradient of `hidden`.
  package let dHidden: MutableFloats
  /// The vector of each sequence that the head reads, (sequences, C), or a transform of T' rows.
  package let pooled: MutableFloats
  /// The gradient of `pooled`.
  package let dPooled: MutableFloats
  /// Before the activation of the pooler or the transform, (T', C).
  package let before: MutableFloats
  /// The mean of each row of a norm, (T').
  package let mean: MutableFloats
  /// 1 / the deviation of each row of a norm, (T').
  package let rstd: MutableFloats
  /// As many as the task asks for.
  package let logits: MutableFloats
  /// The loss of each item, (T).
  package let losses: MutableFloats
  /// The prediction of each item, (T).
  package let predictions: UnsafeMutablePointer<Int32>

  /// Takes them from a plan, for micro-batches of at most `capacity` tokens.
  init(_ plan: BufferPlan, configuration: ModelConfiguration, task: any Task, capacity: Int) {
    let wide = capacity * configuration.channels
    hidden = plan.take(wide)
    dHidden = plan.take(wide)
    pooled = plan.take(wide)
    dPooled = plan.take(wide)
    before = plan.take(wide)
    mean = plan.take(capacity)
    rstd = plan.take(capacity)
    logits = plan.take(task.logitCount(configuration: configuration, capacity: capacity))
    losses = plan.take(capacity)
    predictions = plan.takeIntegers(capacity)
  }
}
