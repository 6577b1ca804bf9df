// One allocation for everything that a training step needs; nothing is allocated in the loop. The
// code that takes buffers runs twice: once to count them, once to get them.

package import Kernels

/// Counts the buffers that are asked for, or hands them out.
package final class BufferPlan {
  /// Start of the memory; nil while buffers are counted.
  private let memory: UnsafeMutableRawPointer?
  /// Whose memory it is; nil for the host's.
  private let device: (any KernelDevice)?
  private let capacity: Int
  /// Floats in whole cache lines, taken so far.
  private var used = 0
  /// Floats as they were asked for.
  private var asked = 0

  private init(
    memory: UnsafeMutableRawPointer?, capacity: Int, device: (any KernelDevice)? = nil
  ) {
    self.memory = memory
    self.device = device
    self.capacity = capacity
  }

  /// Counts what `take` takes: whose pointers it must not look into.
  /// - Returns: the floats as they were asked for, and those of all buffers in whole cache lines.
  package static func count(_ take: (BufferPlan) -> Void) -> (asked: Int, aligned: Int) {
    let plan = BufferPlan(memory: nil, capacity: .max)
    take(plan)
    return (plan.asked, plan.used)
  }

  /// Memory for all that `take` takes, of the host or of a device.
  package convenience init(on device: (any KernelDevice)? = nil, for take: (BufferPlan) -> Void) {
    let floats = Self.count(take).aligned
    let bytes = max(floats * 4, 64)
    self.init(
      memory: device?.allocate(byteCount: bytes) ?? .allocate(byteCount: bytes, alignment: 64),
      capacity: floats, device: device)
  }

  deinit {
    guard let memory else { return }
    if let device { device.deallocate(memory) } else { memory.deallocate() }
  }

  /// `count` floats, aligned to 64 bytes; they live as long as the plan.
  package func take(_ count: Int) -> MutableFloats {
    let start = used
    asked += count
    used += Self.rounded(count)
    guard let memory else { return MutableFloats(bitPattern: 64)! }
    precondition(used <= capacity, "buffers of \(used) floats were counted as \(capacity)")
    return (memory + start * 4).bindMemory(to: Float.self, capacity: count)
  }

  /// `count` integers, as `take`.
  package func takeIntegers(_ count: Int) -> UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(take(count)).bindMemory(to: Int32.self, capacity: count)
  }

  /// `count` rounded up to whole cache lines.
  static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
