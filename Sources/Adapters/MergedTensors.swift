// The tensors of a full model with an adapter merged in, W + scale * B A, or as full fine-tuning
// left them: one list for all formats of files. Values are computed when they are asked for.

internal import Kernels
internal import Safetensors
internal import Transformers

/// A tensor of a merged model.
struct MergedTensor {
  /// The full name in transformers.
  let name: String
  /// Its shape; a matrix of a linear layer is (outputs, inputs).
  let shape: [Int]
  /// The number format in the files of the pretrained model, or F32 for what was trained.
  let stored: ElementType
  /// True if the files of transformers hold it transposed (Conv1D of GPT-2).
  let isStoredTransposed: Bool
  /// The values, rows of outputs.
  let values: () throws -> [Float]

  /// The shape in the files of transformers.
  var storedShape: [Int] { isStoredTransposed ? shape.reversed() : shape }

  /// The values as the files of transformers hold them.
  func storedValues() throws -> [Float] {
    let values = try values()
    return isStoredTransposed
      ? transposed(values, rows: shape[0], columns: shape[1]) : values
  }
}

/// All tensors of a model, with the adapter of a vector merged or with the vector's weights.
struct MergedTensors {
  /// The tensors: those of the files in their order, then those that were trained as a whole.
  let all: [MergedTensor]

  /// - Parameter base: weights that take the place of the model's in the adapted layers.
  /// - Throws: `SafetensorsError` where the model's files cannot be read.
  init(
    model: PretrainedModel, base: MergedBase?, layout: TrainableLayout, vector: [Float]
  ) throws {
    let configuration = model.configuration
    let merged = base?.byName(layout, configuration) ?? [:]
    let files = try SafetensorsCollection(directory: model.directory)
    var tensors: [MergedTensor] = []
    let replaced = layout.replacedSegments(model)
    let outdated = Set(replaced.keys).union(layout.copiesOfTrained(model))
    for tensor in files.tensors {
      let full = configuration.fullName(ofTensor: tensor.name)
      if outdated.contains(full) { continue }
      switch tensor.elementType {
      case .f32, .f16, .bf16: break
      default: continue  // position_ids of old checkpoints, which no model reads
      }
      let isTransposed = tensor.shape.count == 2 && configuration.isStoredTransposed(full)
      tensors.append(
        MergedTensor(
          name: full, shape: isTransposed ? tensor.shape.reversed() : tensor.shape,
          stored: tensor.elementType, isStoredTransposed: isTransposed,
          values: {
            var values: [Float]
            if let rows = merged[full] {
              values = rows
            } else {
              let stored = try files.readFloats(named: tensor.name)
              values =
                isTransposed
                ? transposed(stored, rows: tensor.shape[0], columns: tensor.shape[1]) : stored
            }
            layout.addProduct(to: &values, tensor: full, vector: vector, model: model)
            return values
          }))
    }
    for (name, segment) in replaced.sorted(by: {
      ($0.value.range.lowerBound, $0.key) < ($1.value.range.lowerBound, $1.key)
    }) {
      tensors.append(
        MergedTensor(
          name: name, shape: segment.shape, stored: .f32,
          isStoredTransposed: segment.shape.count == 2 && configuration.isStoredTransposed(name),
          values: { Array(vector[segment.range]) }))
    }
    all = tensors
  }
}

private func transposed(_ values: [Float], rows: Int, columns: Int) -> [Float] {
  [Float](unsafeUninitializedCapacity: values.count) { buffer, count in
    let out = UnsafeMutableBufferPointer(rebasing: buffer[..<values.count])
    transpose(values, rows: rows, columns: columns, into: out)
    count = values.count
  }
}

extension TrainableLayout {
  /// The segments that take the place of the model's own tensors, by their names in
  /// model.safetensors: the head, and with full fine-tuning all weights.
  fileprivate func replacedSegments(_ model: PretrainedModel) -> [String: TrainableSegment] {
    var found: [String: TrainableSegment] = [:]
    for segment in segments {
      switch segment.kind {
      case .loraA, .loraB: continue
      case .base:
        found[segment.name] = segment
        // transformers adds this one where the head is not tied.
        if let head = model.configuration.names.languageHead, segment.name == head.bias,
          let copy = head.biasCopy, !model.tiesLanguageHead
        {
          found[copy] = segment
        }
      case .headDenseWeight, .headDenseBias, .headWeight, .headBias:
        found[segment.modelName] = segment
      }
    }
    return found
  }

  /// Tensors that a file may hold a second time under these names, and that are outdated once the
  /// first is trained.
  fileprivate func copiesOfTrained(_ model: PretrainedModel) -> [String] {
    guard adaptation == .full, let head = model.configuration.names.languageHead else { return [] }
    let hasBias = segments.contains { $0.name == head.bias }
    return (hasBias ? [head.biasCopy].compactMap { $0 } : [])
      + (model.tiesLanguageHead ? [head.output + ".weight"] : [])
  }

  /// Adds scale * B A to `weight` if `tensor`, a full name, is the weight of an adapted layer.
  func addProduct(
    to weight: inout [Float], tensor: String, vector: [Float], model: PretrainedModel
  ) {
    for segment in segments {
      guard case .loraB(let role) = segment.kind else { continue }
      let module = model.configuration.moduleName(of: role, layer: segment.layer ?? 0)
      guard tensor == module + ".weight" else { continue }
      guard let a = segments.first(where: { $0.kind == .loraA(role) && $0.layer == segment.layer })
      else { preconditionFailure("\(segment.name) has no A") }
      vector.withUnsafeBufferPointer { values in
        let base = values.baseAddress!
        weight.withUnsafeMutableBufferPointer { out in
          addLowRankProduct(
            to: out.baseAddress!, b: base + segment.range.lowerBound, a: base + a.range.lowerBound,
            loraRank: segment.shape[1], scale: lora.scale, outputs: segment.shape[0],
            inputs: a.shape[1])
        }
      }
    }
  }
}
