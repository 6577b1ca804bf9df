// The way into the blocks for images: a class token, then one vector for each patch; and back,
// where the embedding is trained (Dosovitskiy et al., arXiv 2010.11929, equation 1).
//
//   x[0] = class + position[0];  x[1 + p] = patch[p] W^T + b + position[1 + p]

internal import Kernels

extension TransformerEngine {
  /// Writes the first block's input, (T, C): the tokens of one image after the other.
  func embed(_ image: ImageEmbeddingWeights, into out: MutableFloats) {
    let channels = configuration.channels
    forEachImage { patches, count, row in
      let first = out + row * channels
      copy(image.classToken, to: first, count: channels)
      image.patches.weight.forward(
        output: first + channels, input: patches, tokens: count, .overwrite)
      if let bias = image.patches.bias {
        addBias(first + channels, bias: bias, tokens: count, channels: channels)
      }
      if let positions = weights.positionEmbedding {
        add(first, positions, count: (count + 1) * channels)
      }
    }
  }

  /// Adds the gradients of the embedding; `scratch.dStream` holds that of the first block's input.
  func embedBackward(_ image: ImageEmbeddingWeights, _ gradients: WeightGradients) {
    let channels = configuration.channels
    forEachImage { patches, count, row in
      let first = scratch.dStream + row * channels
      add(gradients.place(of: image.classToken), first, count: channels)
      gradients.add(
        image.patches, dOutput: first + channels, input: patches, tokens: count)
      if let positions = weights.positionEmbedding {
        add(gradients.place(of: positions), first, count: (count + 1) * channels)
      }
    }
  }

  /// Calls `body` with the patches of each image, their number, and the row of its class token.
  private func forEachImage(_ body: (_ patches: Floats, _ count: Int, _ row: Int) -> Void) {
    guard let shape = configuration.image else { return }
    precondition(
      batch.patches.count == batch.count * shape.patchCount * shape.patchValues
        && batch.tokenCount == batch.count * shape.tokenCount,
      "\(batch.patches.count) values of patches for \(batch.count) images")
    batch.patches.withUnsafeBufferPointer { patches in
      guard var start = patches.baseAddress else { return }
      if let onDevice = scratch.patches {
        write(patches, to: onDevice)
        start = Floats(onDevice)
      }
      for index in 0..<batch.count {
        body(
          start + index * shape.patchCount * shape.patchValues, shape.patchCount,
          batch.offsets[index])
      }
    }
  }
}
