// The seam between kernels and a device beside the CPU.
//
// Memory of a device has addresses of this process that the CPU cannot read. A kernel whose output
// has such an address is computed by the device, else by the CPU: so the code that calls kernels
// (the engine, adapters, tasks) is the same for both, and so are its bits (docs/arithmetic.md).
// What a kernel reads is memory of the device, or memory of the host that the device mirrors.

/// A device that computes kernels beside the CPU: those of `Sources/CDeviceKernels`, in the order
/// of the calls. Its failures end the process (`OpenCLDevice.init` says how).
///
/// Not Sendable: one thread uses it.
package protocol KernelDevice: AnyObject {
  /// The device and its driver, in one line.
  var description: String { get }

  /// Memory of the device: its address cannot be read by the host.
  func allocate(byteCount: Int) -> UnsafeMutableRawPointer

  /// Memory of the device for one kernel's result that the next kernels read: the next call gives
  /// the same memory again.
  func scratch(byteCount: Int) -> UnsafeMutableRawPointer

  /// Frees what `allocate` gave.
  func deallocate(_ memory: UnsafeMutableRawPointer)

  /// The addresses that are the device's for as long as it lives: all that `allocate` gives.
  var addresses: Range<UInt> { get }

  /// Copies memory of the host to the device, where kernels read the copy in its place. A second
  /// call with the same memory copies it again.
  func mirror(_ memory: UnsafeRawPointer, byteCount: Int)

  /// Frees the copy that starts at this memory.
  func removeMirror(of memory: UnsafeRawPointer)

  /// Copies bytes of the host to memory of the device.
  func write(_ bytes: UnsafeRawPointer, byteCount: Int, to memory: UnsafeMutableRawPointer)

  /// Waits for what was launched, and copies memory of the device to the host.
  func read(_ memory: UnsafeRawPointer, byteCount: Int, to bytes: UnsafeMutableRawPointer)

  /// Copies memory of the device within it, or memory of the host that it mirrors.
  func copy(_ from: UnsafeRawPointer, byteCount: Int, to memory: UnsafeMutableRawPointer)

  /// Computes a kernel after all that were launched before.
  func launch(_ kernel: StaticString, _ grid: KernelGrid, _ arguments: [KernelArgument])
}

/// The work-items of a kernel.
package struct KernelGrid {
  /// Work-items in three dimensions; the device may round them up.
  package let items: (Int, Int, Int)
  /// Those of a work-group.
  package let group: (Int, Int, Int)

  /// A work-item for each of `count` elements.
  package static func elements(_ count: Int) -> KernelGrid {
    KernelGrid(items: (count, 1, 1), group: (256, 1, 1))
  }

  /// A work-group of 32, the lanes of a sum, for each row.
  package static func rows(_ rows: Int) -> KernelGrid {
    KernelGrid(items: (32 * rows, 1, 1), group: (32, 1, 1))
  }

  /// A work-group of 32 for each row of each head.
  package static func rows(_ rows: Int, heads: Int) -> KernelGrid {
    KernelGrid(items: (32, rows, heads), group: (32, 1, 1))
  }

  /// A work-item for each element of `planes` matrices (rows, columns).
  package static func matrix(columns: Int, rows: Int, planes: Int = 1) -> KernelGrid {
    KernelGrid(items: (columns, rows, planes), group: (64, 1, 1))
  }

  /// Work-groups of 16 x 16 for tiles of 64 x 64 outputs.
  package static func tiles(columns: Int, rows: Int) -> KernelGrid {
    KernelGrid(
      items: ((columns + 63) / 64 * 16, (rows + 63) / 64 * 16, 1), group: (16, 16, 1))
  }
}

/// An argument of a kernel.
package enum KernelArgument {
  /// Memory of the device, or that it mirrors.
  case memory(UnsafeRawPointer)
  /// Integers of the host, which the device copies.
  case integers([Int32])
  /// Floats of the host, which the device copies.
  case floats([Float])
  /// An `int`.
  case int(Int)
  /// A `long`.
  case long(Int)
  /// A `float`.
  case float(Float)
}

/// The device of this process.
package enum KernelDevices {
  nonisolated(unsafe) private static var current: (any KernelDevice)?
  nonisolated(unsafe) private static var addresses: Range<UInt> = 0..<0

  /// Uses a device beside the CPU from now on, in place of another. Call it before other threads
  /// compute.
  package static func use(_ device: any KernelDevice) {
    current = device
    addresses = device.addresses
  }

  /// The device whose memory this is; nil for memory of the host.
  @inline(__always)
  static func owner(of memory: UnsafeRawPointer) -> (any KernelDevice)? {
    addresses.contains(UInt(bitPattern: memory)) ? current : nil
  }
}
