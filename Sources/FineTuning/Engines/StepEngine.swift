// The seam between training and the device that computes it: one micro-batch at a time, as a
// function of the trainable vector.

package import Federation
package import Kernels
package import RandomStreams
package import Transformers

/// Computes a micro-batch of a task on one model. `AdaptedModel` does so on one thread of a CPU.
///
/// An engine keeps no parameters: every call takes the trainable vector. Vectors are in host
/// memory.
package protocol StepEngine: AnyObject {
  /// The base model; only one of the same configuration can take its place.
  var model: PretrainedModel { get set }

  /// Most tokens of a micro-batch.
  var capacity: Int { get }

  /// Adds d(`lossScale` * sum of the items' losses) / d(parameters) to `gradient`.
  ///
  /// - Parameters:
  ///   - labels: one for each sequence, or empty if the task has no classes.
  ///   - lossScale: 1 / items of the whole batch gives the mean's gradient over its micro-batches.
  ///   - dropout: key of the masks, or nil for no dropout.
  /// - Returns: an outcome for each sequence.
  func addGradient(
    of batch: PackedSequences, labels: [Int32], parameters: Floats, gradient: MutableFloats,
    lossScale: Float, dropout: RandomKey?
  ) -> [ExampleOutcome]

  /// The outcome of each sequence, without dropout.
  func evaluate(_ batch: PackedSequences, labels: [Int32], parameters: Floats) -> [ExampleOutcome]

  /// The logits of a micro-batch: (sequences, labels), or (tokens, V) for language modelling.
  func logits(_ batch: PackedSequences, parameters: Floats) -> [Float]
}
