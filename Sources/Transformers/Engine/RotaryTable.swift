// The cosines and sines of one kind of rotary positions, for sequences up to a length.

internal import Kernels

/// Cosines and sines by row; a token's row is its position, or lies in a second table for tokens of
/// sequences that are longer than the original positions (LongRoPE).
struct RotaryTable {
  /// (rows, rotated channels / 2).
  let cosines: ConstantTable
  /// (rows, rotated channels / 2).
  let sines: ConstantTable
  /// Rotated channels of a head.
  let channels: Int
  private let positions: Int
  private let shortPositions: Int

  init(
    _ rotary: RotaryConfiguration, positions: Int, headSize: Int, device: (any KernelDevice)?
  ) {
    let tables = rotary.tables(positions: positions, headSize: headSize)
    cosines = ConstantTable(tables.cosines, on: device)
    sines = ConstantTable(tables.sines, on: device)
    channels = rotary.channels(headSize)
    self.positions = positions
    shortPositions = rotary.shortPositions
  }

  /// The row of each token of a batch.
  func rows(of batch: PackedSequences) -> [Int32] {
    guard (0..<batch.count).contains(where: { batch.length(of: $0) > shortPositions }) else {
      return batch.positions
    }
    var rows = batch.positions
    for index in 0..<batch.count where batch.length(of: index) > shortPositions {
      for token in batch.offsets[index]..<batch.offsets[index + 1] {
        rows[token] += Int32(positions)
      }
    }
    return rows
  }
}

/// Floats that never change, in memory of the host or of a device.
final class ConstantTable {
  /// The first.
  let values: Floats
  private let plan: BufferPlan

  init(_ table: [Float], on device: (any KernelDevice)?) {
    plan = BufferPlan(on: device) { _ = $0.take(table.count) }
    let memory = plan.take(table.count)
    table.withUnsafeBufferPointer { write($0, to: memory) }
    values = Floats(memory)
  }
}
