// One allocation for everything that a training step needs; nothing is allocated in the loop.

internal import Kernels

/// A block of floats handed out in 64-byte aligned pieces.
final class Arena {
  private let memory: UnsafeMutableRawPointer
  private let byteCount: Int
  private var used = 0

  /// Memory of `floats`, as counted by an `ArenaPlan`.
  init(floats: Int) {
    byteCount = floats * 4
    memory = .allocate(byteCount: max(byteCount, 64), alignment: 64)
  }

  deinit { memory.deallocate() }

  func take(_ count: Int) -> MutableFloats {
    let bytes = Arena.rounded(count) * 4
    precondition(used + bytes <= byteCount, "the arena is too small: \(used) + \(bytes)")
    defer { used += bytes }
    return (memory + used).bindMemory(to: Float.self, capacity: count)
  }

  /// `count` rounded up to whole cache lines.
  static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
