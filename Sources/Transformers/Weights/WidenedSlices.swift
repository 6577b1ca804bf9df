// One block of memory for all tensors of a model that cannot be used in place, packed ones included. One rank of a node
// fills it, the others take the same slices: tensors are always asked for in the same order.

public import Kernels

/// Hands out slices of one block; each is filled here, or was filled by another rank before.
public final class WidenedSlices {
  private let memory: MutableFloats
  private let isFilled: Bool
  /// Floats handed out so far.
  public private(set) var count = 0

  /// Slices of `memory`, which has to be as large as `PretrainedModel.widenedCount` says.
  ///
  /// - Parameter isFilled: whether the values are there already; then nothing is written.
  public init(_ memory: MutableFloats, isFilled: Bool) {
    self.memory = memory
    self.isFilled = isFilled
  }

  /// The next slice, in whole cache lines: a `WidenedStorage`.
  public func take(count size: Int, fill: (MutableFloats) throws -> Void) throws -> Floats {
    let slice = memory + count
    count += BufferPlan.rounded(size)
    if !isFilled { try fill(slice) }
    return Floats(slice)
  }
}
