// The trainable vector of full fine-tuning: every weight that the task computes with, then the head.
//
// Order: token embedding (position and type embedding, their norm), for each block its linear layers
// (query, key, value, attention output, gate, up, down; weight, bias) and its two norms; the final norm;
// pooler or language head; the classification head. All as in model.safetensors, under those names. What
// the task has no use for (a pooler that is not pooled with, another task's head) is not in it; a language
// head that is the token embedding is there once.

public import Kernels
public import Transformers

/// What is trained beside the task's head.
public enum Adaptation: Sendable, Equatable {
  /// Factors that are added to frozen matrices.
  case lora(LoRAConfiguration)
  /// All weights.
  case full
}

/// Where the model's own weights lie in a trainable vector.
package struct BaseWeightLayout: Sendable, Equatable {
  let segments: [TrainableSegment]
  let configuration: ModelConfiguration
  let parts: ModelParts
  private let offsets: [String: Int]

  init(model: PretrainedModel, head: TaskHead) {
    configuration = model.configuration
    parts = ModelParts(
      hasPooler: head.usesPooler(of: configuration) && model.parts.hasPooler,
      languageHead: head.usesLanguageHead ? model.parts.languageHead : nil)
    var segments: [TrainableSegment] = []
    // Only names and shapes are looked at.
    let anything = MutableFloats.allocate(capacity: 1)
    defer { anything.deallocate() }
    _ = ModelWeights(
      configuration: configuration, parts: parts,
      floats: { name, shape in
        let start = segments.last?.range.upperBound ?? 0
        segments.append(
          TrainableSegment(
            name: name, kind: .base, layer: nil, shape: shape,
            range: start..<start + shape.reduce(1, *)))
        return Floats(anything)
      })
    self.segments = segments
    offsets = Dictionary(uniqueKeysWithValues: segments.map { ($0.name, $0.range.lowerBound) })
  }

  /// The weights that a vector holds; valid as long as its memory.
  package func weights(in vector: Floats) -> ModelWeights {
    ModelWeights(
      configuration: configuration, parts: parts,
      floats: { name, _ in
        guard let offset = offsets[name] else { preconditionFailure("no tensor \(name)") }
        return vector + offset
      })
  }
}

extension TrainableLayout {
  /// Where the pretrained values of the model's own weights are, with the ranges of the vector that
  /// they belong to; empty with LoRA. Valid as long as the model.
  /// - Precondition: the model is the layout's, in fp32.
  public func pretrainedRanges(of model: PretrainedModel) -> [(range: Range<Int>, values: Floats)] {
    segments.filter { $0.kind == .base }.map { segment in
      guard let values = model.values(ofTensor: segment.name) else {
        preconditionFailure("\(segment.name) is not kept in fp32")
      }
      return (segment.range, values)
    }
  }

  /// The vector of full fine-tuning in which nothing is trained: the weights of `model`, and zero
  /// for the head.
  /// - Throws: `ModelError` where the model's tensors are not the layout's.
  public func untrainedWeights(of model: PretrainedModel) throws -> [Float] {
    let own = try TrainableLayout(model: model, adaptation: adaptation, head: taskHead)
    guard own.segments == segments else {
      throw ModelError(path: model.directory, reason: "is of another shape than what was trained")
    }
    var vector = [Float](repeating: 0, count: parameterCount)
    for (range, values) in own.pretrainedRanges(of: model) {
      vector.replaceSubrange(range, with: UnsafeBufferPointer(start: values, count: range.count))
    }
    return vector
  }

  /// The weights of `model` and the head that it stores, as a vector of full fine-tuning.
  /// - Throws: `ModelError` where the model stores no such head.
  public func weights(of model: PretrainedModel) throws -> [Float] {
    var vector = [Float](repeating: 0, count: parameterCount)
    for (range, values) in pretrainedRanges(of: model) {
      vector.replaceSubrange(range, with: UnsafeBufferPointer(start: values, count: range.count))
    }
    guard let head else { return vector }
    guard let stored = model.classificationHead, stored.labels == head.weight.shape[0] else {
      throw ModelError(
        path: model.directory,
        reason: "holds no classification head of \(head.weight.shape[0]) labels")
    }
    if let dense = head.dense, let values = stored.dense {
      vector.replaceSubrange(dense.weight.range, with: values.weight)
      vector.replaceSubrange(dense.bias.range, with: values.bias)
    }
    vector.replaceSubrange(head.weight.range, with: stored.weight)
    if let bias = head.bias, let values = stored.bias {
      vector.replaceSubrange(bias.range, with: values)
    }
    return vector
  }
}
