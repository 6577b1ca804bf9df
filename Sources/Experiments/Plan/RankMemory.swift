// The private memory of a rank, from the buffers that it allocates.

internal import Adapters
internal import Configuration
internal import FineTuning

/// Private bytes of one rank, without its encoded uploads and the server's part of rank 0.
struct RankMemory {
  /// Activations, LoRA's and the head's buffers, and the images of a micro-batch, of all threads.
  let activations: Int
  /// Start, trained vector, gradient, the clients' optimizer's moments, a micro-batch's gradient of each
  /// thread, and with full fine-tuning the weights.
  let vectors: Int
  /// Libraries, MPI's buffers, OpenBLAS's packed panels, the partition.
  let program = 24 << 20

  /// - Parameters:
  ///   - localMoments: The moments that the clients' optimizer keeps.
  ///   - isOnDevice: Whether the activations are in a device's memory.
  init(
    _ prepared: PreparedModel, capacity: Int, threads: Int, localMoments: Int,
    isOnDevice: Bool = false
  ) {
    activations =
      (isOnDevice ? 0 : threads)
      * (AdaptedModel.bufferBytes(
        configuration: prepared.model.configuration, layout: prepared.layout, task: prepared.task,
        capacity: capacity, longestSequence: prepared.longestSequence)
        + (prepared.model.configuration.image.map {
          4 * (capacity / $0.tokenCount) * $0.patchCount * $0.patchValues
        } ?? 0))
    // A part of the vector is put into the whole one, and its gradient taken out of another; a difference
    // is added to the pretrained weights.
    let placed = prepared.layout.adaptation == .full ? 1 : prepared.part == nil ? 0 : 2
    // What a device computed comes back to a vector of its own.
    let wholeVectors = threads + placed + (isOnDevice ? 1 : 0)
    vectors =
      4 * (3 + localMoments) * prepared.trainedCount
      + 4 * wholeVectors * prepared.layout.parameterCount
  }

  var total: Int { activations + vectors + program }
}
