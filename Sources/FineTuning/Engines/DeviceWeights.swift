// What a device keeps of one model beside the buffers of a step: the frozen weights, the trainable
// vector and its gradient.

package import Adapters
internal import Kernels
package import Transformers

/// A model's weights, parameters and gradient on a device.
package final class DeviceWeights {
  private let device: any KernelDevice
  private let plan: BufferPlan
  private let parameters: MutableFloats
  private let gradient: MutableFloats
  private let count: Int
  private var frozen: [UnsafeRawPointer] = []
  private var replaced: [UnsafeRawPointer] = []
  private var received: [Float]

  /// Copies the weights; with full fine-tuning they are the parameters.
  init(
    model: PretrainedModel, layout: TrainableLayout, device: any KernelDevice
  ) {
    self.device = device
    let count = layout.parameterCount
    self.count = count
    plan = BufferPlan(on: device) {
      _ = $0.take(count)
      _ = $0.take(count)
    }
    parameters = plan.take(count)
    gradient = plan.take(count)
    received = [Float](repeating: 0, count: count)
    guard layout.adaptation != .full else { return }
    for range in model.floatRanges {
      device.mirror(range.start, byteCount: 4 * range.count)
      frozen.append(range.start)
    }
    if let packed = model.packedMemory, let start = packed.baseAddress {
      device.mirror(start, byteCount: packed.count)
      frozen.append(start)
    }
  }

  deinit { for start in frozen + replaced { device.removeMirror(of: start) } }

  /// Bytes that a device needs for a model and a micro-batch: weights, parameters, gradient, and
  /// the buffers of a step; and those of the largest piece.
  package static func byteCount(
    model: PretrainedModel, layout: TrainableLayout, task: any Task, capacity: Int,
    longestSequence: Int
  ) -> (total: Int, largest: Int) {
    let tensors = layout.adaptation == .full ? [] : model.floatRanges.map { 4 * $0.count }
    // A packed matrix is widened as a whole while its product is computed.
    let packed = model.packedMemory.map { [$0.count, 4 * largestMatrix(of: model)] } ?? []
    let buffers = AdaptedModel.bufferBytes(
      configuration: model.configuration, layout: layout, task: task, capacity: capacity,
      longestSequence: longestSequence, isOnDevice: true)
    let pieces = tensors + packed + [8 * layout.parameterCount, buffers]
    return (pieces.reduce(0, +), pieces.max() ?? 0)
  }

  /// Weights of the largest linear layer.
  private static func largestMatrix(of model: PretrainedModel) -> Int {
    model.weights.linears.reduce(0) { max($0, $1.inputs * $1.outputs) }
  }

  /// Copies the linear layers of a model whose values were replaced.
  func replaceLinears(of model: PretrainedModel) {
    for start in replaced { device.removeMirror(of: start) }
    replaced = []
    for linear in model.weights.linears {
      guard let values = linear.weight.floats, !isPart(values, of: model) else { continue }
      device.mirror(values, byteCount: 4 * linear.inputs * linear.outputs)
      replaced.append(values)
    }
  }

  /// Copies the trainable vector to the device.
  func place(_ values: Floats) -> Floats {
    write(UnsafeBufferPointer(start: values, count: count), to: parameters)
    return Floats(parameters)
  }

  /// The gradient on the device, of zeros.
  func clearedGradient() -> MutableFloats {
    clear(gradient, count: count)
    return gradient
  }

  /// Adds the gradient to one of the host.
  func addGradient(to sum: MutableFloats) {
    received.withUnsafeMutableBufferPointer { values in
      device.read(gradient, byteCount: 4 * count, to: values.baseAddress!)
      add(sum, values.baseAddress!, count: count)
    }
  }

  /// Whether the values are those of the model's files, which were copied as whole tensors.
  private func isPart(_ values: Floats, of model: PretrainedModel) -> Bool {
    model.floatRanges.contains { $0.start <= values && values < $0.start + $0.count }
  }
}
