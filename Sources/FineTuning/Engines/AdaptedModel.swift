// A transformer with a head, frozen with LoRA or trained itself, on one thread of a CPU: loss,
// gradient and logits of packed micro-batches as a function of the trainable vector.

package import Adapters
package import Federation
package import Kernels
package import RandomStreams
package import Transformers

/// One model, its adapter and its head on one thread; memory is allocated once.
///
/// The model keeps no parameters: every call takes the trainable vector (`layout.parameterCount`).
/// With full fine-tuning that vector is the weights, and the pretrained model only says their
/// shapes.
package final class AdaptedModel: StepEngine {
  /// The pretrained model; only one of the same configuration can take its place.
  package var model: PretrainedModel {
    didSet {
      engine.model = model
      deviceWeights?.replaceLinears(of: model)
    }
  }
  /// Order of the trainable vector.
  package let layout: TrainableLayout
  /// The task of the head.
  package let task: any Task
  /// Most tokens of a micro-batch.
  package let capacity: Int

  /// True if gradients go back through the blocks.
  private let goesThroughBlocks: Bool
  private let adapter: LoRAAdapter?
  private let engine: TransformerEngine
  private let plan: BufferPlan
  private let buffers: HeadBuffers
  /// The copies of parameters and weights on a device; nil if the CPU computes.
  private let deviceWeights: DeviceWeights?

  /// A model for micro-batches up to `capacity` tokens of sequences up to `longestSequence`.
  ///
  /// - Parameter firstTrained: the first coordinate that is trained. If it belongs to the head, then
  ///   only the head's gradients are computed.
  /// - Parameter device: what computes; nil for the CPU.
  /// - Precondition: the layout is the task's; no device computes bf16.
  package init(
    model: PretrainedModel, layout: TrainableLayout, task: any Task, capacity: Int,
    longestSequence: Int, firstTrained: Int = 0, device: (any KernelDevice)? = nil
  ) {
    precondition(layout.taskHead == task.head, "a layout of another task")
    precondition(device == nil || model.precision != .bf16, "no device computes bf16")
    self.model = model
    self.layout = layout
    self.task = task
    self.capacity = capacity
    goesThroughBlocks = firstTrained < layout.head?.start ?? .max
    adapter =
      switch layout.adaptation {
      case .lora: LoRAAdapter(layout: layout, capacity: capacity, device: device)
      case .full: nil
      }
    engine = TransformerEngine(
      model: model, capacity: capacity, longestSequence: longestSequence, adapter: adapter,
      device: device)
    deviceWeights = device.map {
      DeviceWeights(model: model, layout: layout, device: $0)
    }
    func take(_ plan: BufferPlan) -> HeadBuffers {
      HeadBuffers(plan, configuration: model.configuration, task: task, capacity: capacity)
    }
    plan = BufferPlan(on: device) { _ = take($0) }
    buffers = take(plan)
  }

  /// Bytes that one model allocates beside the weights: activations, LoRA's h, the head's buffers.
  package static func bufferBytes(
    configuration: ModelConfiguration, layout: TrainableLayout, task: any Task, capacity: Int,
    longestSequence: Int, isOnDevice: Bool = false
  ) -> Int {
    TransformerEngine.bufferBytes(
      configuration: configuration, capacity: capacity, longestSequence: longestSequence,
      isOnDevice: isOnDevice)
      + (layout.adaptation == .full
        ? 0 : LoRAAdapter.bufferBytes(layout: layout, capacity: capacity))
      + 4
      * BufferPlan.count {
        _ = HeadBuffers($0, configuration: configuration, task: task, capacity: capacity)
      }.asked
  }

  /// Adds the gradient of a micro-batch. A device's bits are the CPU's if `gradient` is zero
  /// before.
  package func addGradient(
    of batch: PackedSequences, labels: [Int32], parameters: Floats, gradient: MutableFloats,
    lossScale: Float, dropout: RandomKey? = nil
  ) -> [ExampleOutcome] {
    let parameters = deviceWeights?.place(parameters) ?? parameters
    let sum = deviceWeights?.clearedGradient() ?? gradient
    place(parameters, gradient: sum, dropout: dropout)
    engine.forward(batch, rows: task.rows, keep: true, hidden: buffers.hidden)
    let outcomes = task.outcomes(
      batch, labels: labels, pass(parameters, gradient: sum, lossScale: lossScale))
    if goesThroughBlocks { engine.backward(dHidden: buffers.dHidden) }
    deviceWeights?.addGradient(to: gradient)
    return outcomes
  }

  /// Losses and predictions of a micro-batch, without dropout.
  package func evaluate(_ batch: PackedSequences, labels: [Int32], parameters: Floats)
    -> [ExampleOutcome]
  {
    task.outcomes(batch, labels: labels, runForward(batch, parameters))
  }

  /// The logits of a micro-batch: (sequences, labels), or (tokens, V) for language modelling.
  package func logits(_ batch: PackedSequences, parameters: Floats) -> [Float] {
    task.logits(batch, runForward(batch, parameters))
  }

  private func runForward(_ batch: PackedSequences, _ parameters: Floats) -> HeadPass {
    let parameters = deviceWeights?.place(parameters) ?? parameters
    place(parameters, gradient: nil, dropout: nil)
    engine.forward(batch, rows: task.rows, keep: false, hidden: buffers.hidden)
    return pass(parameters, gradient: nil, lossScale: 0)
  }

  private func pass(
    _ parameters: Floats, gradient: MutableFloats?, lossScale: Float
  ) -> HeadPass {
    HeadPass(
      engine: engine, adapter: adapter, layout: layout, buffers: buffers, parameters: parameters,
      gradient: gradient, lossScale: lossScale)
  }

  /// Points adapter and engine to this pass's parameters and gradient.
  private func place(_ parameters: Floats, gradient: MutableFloats?, dropout: RandomKey?) {
    if let adapter {
      adapter.parameters = parameters
      adapter.gradient = gradient
      adapter.dropoutKey = layout.lora.dropout > 0 ? dropout : nil
    }
    if let base = layout.base {
      engine.weights = base.weights(in: parameters)
      engine.gradients = gradient.map { WeightGradients(parameters: parameters, gradient: $0) }
    }
  }
}
