// Where training starts, as PEFT and Hugging Face do it: A uniform as a PyTorch linear layer's
// weight (`fillAsLinearWeight`), B zero, the head normal with
// the model's initializer range and its bias zero, unless the model brings a fitting head. With full
// fine-tuning the model's own weights start at zero: what is trained is their difference from the
// pretrained ones.

internal import RandomStreams
public import Transformers

extension TrainableLayout {
  /// A fresh trainable vector, a function of the seed and of the head that the model brings.
  ///
  /// - Parameter headRows: For each label, the row of the model's head that is its; nil where the
  ///   labels are in the order of the rows.
  public func initialVector(model: PretrainedModel, seed: UInt64, headRows: [Int]? = nil)
    -> [Float]
  {
    var vector = [Float](repeating: 0, count: parameterCount)
    for (index, segment) in segments.enumerated() {
      switch segment.kind {
      case .loraB, .headDenseBias, .headBias, .base: break
      case .loraA:
        var stream = RandomStream(seed: seed, purpose: .adapterInitialization, step: index)
        vector.withUnsafeMutableBufferPointer {
          stream.fillAsLinearWeight(
            UnsafeMutableBufferPointer(rebasing: $0[segment.range]), inputs: segment.shape[1])
        }
      case .headWeight, .headDenseWeight:
        var stream = RandomStream(
          seed: seed, purpose: .headInitialization, step: segment.kind == .headWeight ? 0 : 1)
        let deviation = Double(model.configuration.initializerRange)
        for element in segment.range { vector[element] = Float(stream.normal() * deviation) }
      }
    }
    if let stored = model.classificationHead, let head, head.weight.shape[0] == stored.labels {
      if let dense = head.dense, let values = stored.dense {
        vector.replaceSubrange(dense.weight.range, with: values.weight)
        vector.replaceSubrange(dense.bias.range, with: values.bias)
      }
      let channels = head.weight.shape[1]
      for (label, row) in (headRows ?? Array(0..<stored.labels)).enumerated() {
        let start = head.weight.range.lowerBound + label * channels
        vector.replaceSubrange(
          start..<start + channels, with: stored.weight[row * channels..<(row + 1) * channels])
        if let bias = head.bias, let values = stored.bias {
          vector[bias.range.lowerBound + label] = values[row]
        }
      }
    }
    return vector
  }
}
