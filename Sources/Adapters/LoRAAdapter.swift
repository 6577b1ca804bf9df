// LoRA (Hu et al. 2021, equation 3) on groups of linear layers, forward and backward.
//
//   h = dropout(x) A^T,  y += scale * h B^T
//   dB += scale * dy^T h,  dh = scale * dy B,  dA += dh^T dropout(x),  dx += dropout'(dh A)
//
// The A's of a group are one matrix (see TrainableLayout), so h of q, k and v is one product. A module
// that holds several layers has one A and one h, and each layer has its rows of B.
// Like the reference, dropout draws its own mask for each module; then h takes a product each.

public import Kernels
public import RandomStreams
public import Transformers

/// LoRA over a trainable vector that the caller owns.
///
/// Set `parameters` (and for a backward pass `gradient`) before a pass; both are the whole trainable
/// vector. Gradients are added.
public final class LoRAAdapter: LinearAdapter {
  /// Order of the vector.
  public let layout: TrainableLayout
  /// The trainable vector, `layout.parameterCount` floats.
  public var parameters: Floats?
  /// Its gradient, to which the backward pass adds.
  public var gradient: MutableFloats?
  /// The key of this pass's dropout masks; nil switches dropout off (evaluation).
  public var dropoutKey: RandomKey?

  private let capacity: Int
  /// Where each placement's h starts in `buffers.hidden`.
  private let hiddenOffsets: [Int]
  private let plan: BufferPlan
  private let buffers: LoRABuffers
  private var dHidden: MutableFloats { buffers.dHidden }
  private var dropped: MutableFloats? { buffers.dropped }
  private var masks: MutableFloats? { buffers.masks }

  /// An adapter for micro-batches up to `capacity` tokens.
  ///
  /// - Parameter device: whose memory its buffers are; nil for the host's.
  package init(layout: TrainableLayout, capacity: Int, device: (any KernelDevice)? = nil) {
    self.layout = layout
    self.capacity = capacity
    var offsets: [Int] = []
    var total = 0
    for placement in layout.placements {
      offsets.append(total)
      total += (placement?.rows ?? 0) * capacity
    }
    hiddenOffsets = offsets
    plan = BufferPlan(on: device) { _ = LoRABuffers($0, layout: layout, capacity: capacity) }
    buffers = LoRABuffers(plan, layout: layout, capacity: capacity)
  }

  /// Bytes of the buffers of an adapter of this size.
  package static func bufferBytes(layout: TrainableLayout, capacity: Int) -> Int {
    4 * BufferPlan.count { _ = LoRABuffers($0, layout: layout, capacity: capacity) }.asked
  }

  /// Whether any layer of the group carries a pair.
  public func isAdapted(_ group: LinearGroup, layer: Int) -> Bool {
    layout.placement(group, layer: layer) != nil
  }

  /// Whether this layer carries a pair.
  public func writesOutput(of role: LinearRole, layer: Int) -> Bool {
    parameters != nil
      && layout.placement(role.group, layer: layer)?.pairs.contains {
        $0.slices.contains { $0.role == role }
      } == true
  }

  /// h = scale * x A^T, then y = h B^T or y += h B^T, for every adapted layer of the group.
  public func forward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, outputs: [MutableFloats],
    _ accumulation: Accumulation
  ) {
    guard let placement = layout.placement(group, layer: layer), let parameters else { return }
    precondition(tokens <= capacity, "\(tokens) tokens over \(capacity)")
    let rank = layout.lora.loraRank
    let h = hidden(group, layer)
    if dropoutKey != nil && dropped != nil {
      for (index, pair) in placement.pairs.enumerated() {
        drop(input, placement, pair, layer, tokens)
        linearForward(
          output: h + index * rank, outputStride: placement.rows, input: dropped!,
          weight: parameters + placement.aOffset + index * rank * placement.inputs,
          tokens: tokens, inputs: placement.inputs, outputs: rank)
      }
    } else {
      linearForward(
        output: h, input: input, weight: parameters + placement.aOffset, tokens: tokens,
        inputs: placement.inputs, outputs: placement.rows)
    }
    // The scale goes into h: it is kept for the gradient of B, and products need no factor.
    scale(h, by: layout.lora.scale, count: tokens * placement.rows)
    for (index, pair) in placement.pairs.enumerated() {
      for slice in pair.slices {
        linearForward(
          output: outputs[slice.index], input: h + index * rank, inputStride: placement.rows,
          weight: parameters + slice.bOffset, tokens: tokens, inputs: rank,
          outputs: slice.outputs, accumulation)
      }
    }
  }

  /// Adds the gradients of A and B, and writes that of the input where it is asked for.
  public func backward(
    _ group: LinearGroup, layer: Int, input: Floats, tokens: Int, dOutputs: [Floats],
    dInput: MutableFloats?
  ) {
    guard let placement = layout.placement(group, layer: layer), let parameters, let gradient
    else { preconditionFailure("no gradient to add to for \(group) of layer \(layer)") }
    let rank = layout.lora.loraRank
    let h = hidden(group, layer)
    for (index, pair) in placement.pairs.enumerated() {
      var accumulation = Accumulation.overwrite
      for slice in pair.slices {
        linearBackwardWeight(
          dWeight: gradient + slice.bOffset, dOutput: dOutputs[slice.index],
          input: h + index * rank, inputStride: placement.rows, tokens: tokens, inputs: rank,
          outputs: slice.outputs)
        linearBackwardInput(
          dInput: dHidden + index * rank, dInputStride: placement.rows,
          dOutput: dOutputs[slice.index], weight: parameters + slice.bOffset, tokens: tokens,
          inputs: rank, outputs: slice.outputs, accumulation)
        accumulation = .add
      }
    }
    scale(dHidden, by: layout.lora.scale, count: tokens * placement.rows)
    guard dropoutKey != nil && dropped != nil else {
      linearBackwardWeight(
        dWeight: gradient + placement.aOffset, dOutput: dHidden, input: input, tokens: tokens,
        inputs: placement.inputs, outputs: placement.rows)
      if let dInput {
        linearBackwardInput(
          dInput: dInput, dOutput: dHidden, weight: parameters + placement.aOffset,
          tokens: tokens, inputs: placement.inputs, outputs: placement.rows)
      }
      return
    }
    if let dInput { clear(dInput, count: tokens * placement.inputs) }
    for (index, pair) in placement.pairs.enumerated() {
      let offset = placement.aOffset + index * rank * placement.inputs
      drop(input, placement, pair, layer, tokens)
      linearBackwardWeight(
        dWeight: gradient + offset, dOutput: dHidden + index * rank,
        dOutputStride: placement.rows, input: dropped!, tokens: tokens,
        inputs: placement.inputs, outputs: rank)
      if let dInput {
        linearBackwardInput(
          dInput: dropped!, dOutput: dHidden + index * rank, dOutputStride: placement.rows,
          weight: parameters + offset, tokens: tokens, inputs: placement.inputs, outputs: rank)
        addProduct(dInput, dropped!, masks!, count: tokens * placement.inputs)
      }
    }
  }

  private func hidden(_ group: LinearGroup, _ layer: Int) -> MutableFloats {
    buffers.hidden + hiddenOffsets[layout.placementIndex(group, layer: layer)]
  }

  /// Fills `masks` with 0 or 1 / (1 - p) and `dropped` with the masked input. The mask of a
  /// module is a function of the key, the layer and its role alone: the backward pass draws it again.
  private func drop(
    _ input: Floats, _ placement: GroupPlacement, _ pair: GroupPlacement.Pair, _ layer: Int,
    _ tokens: Int
  ) {
    guard let key = dropoutKey, let dropped, let masks else { return }
    // The seed, the micro-batch and the linear layer make the Philox key; the rest is its counter.
    let linears = layout.layerCount * LinearRole.allCases.count
    let place = UInt64(
      key.microBatch * linears + layer * LinearRole.allCases.count + pair.role.rawValue + 1)
    var stream = RandomStream(
      seed: key.seed ^ (place &* 0x9E37_79B9_7F4A_7C15), purpose: .dropout, round: key.round,
      client: key.client, step: key.step)
    let threshold = UInt32((Double(layout.lora.dropout) * 4_294_967_296).rounded())
    let kept = 1 / (1 - layout.lora.dropout)
    let count = tokens * placement.inputs
    fill(masks, count: count) { drawn in
      var element = 0
      while element < count {
        let bits = stream.next()
        drawn[element] = UInt32(truncatingIfNeeded: bits) < threshold ? 0 : kept
        if element + 1 < count {
          drawn[element + 1] = UInt32(truncatingIfNeeded: bits >> 32) < threshold ? 0 : kept
        }
        element += 2
      }
    }
    multiply(dropped, input, masks, count: count)
  }
}

/// The buffers of an adapter.
private struct LoRABuffers {
  /// h of each group, (capacity, rows), in the layout's order of placements.
  let hidden: MutableFloats
  /// The gradient of one group's h.
  let dHidden: MutableFloats
  /// A group's input under its mask, and the mask; nil without dropout.
  let dropped: MutableFloats?
  let masks: MutableFloats?

  init(_ plan: BufferPlan, layout: TrainableLayout, capacity: Int) {
    let rows = layout.placements.compactMap { $0?.rows }
    hidden = plan.take(rows.reduce(0, +) * capacity)
    dHidden = plan.take((rows.max() ?? 0) * capacity)
    let inputs = layout.placements.compactMap { $0?.inputs }.max() ?? 0
    dropped = layout.lora.dropout > 0 ? plan.take(inputs * capacity) : nil
    masks = layout.lora.dropout > 0 ? plan.take(inputs * capacity) : nil
  }
}
