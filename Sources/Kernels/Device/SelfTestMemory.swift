// The buffers of the self-test, with the same values on the host and on a device.

/// Memory that a case of the self-test takes, of the host or of a device; freed with this object.
final class SelfTestMemory {
  private let device: (any KernelDevice)?
  private var taken: [UnsafeMutableRawPointer] = []
  private var mirrors: [UnsafeMutableRawPointer] = []
  private var state: UInt64 = 0x2545_F491_4F6C_DD1D

  init(device: (any KernelDevice)?) { self.device = device }

  deinit {
    for memory in taken { if let device { device.deallocate(memory) } else { memory.deallocate() } }
    for memory in mirrors {
      device?.removeMirror(of: memory)
      memory.deallocate()
    }
  }

  /// Bytes of the host, which the device mirrors once `fill` has filled them.
  func mirrored(
    byteCount: Int, _ fill: (UnsafeMutableRawPointer) -> Void
  ) -> UnsafeRawPointer {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    mirrors.append(memory)
    fill(memory)
    device?.mirror(memory, byteCount: byteCount)
    return UnsafeRawPointer(memory)
  }

  /// Values from -2 to 2, every 41st a subnormal number: the same on every device.
  func values(_ count: Int) -> [Float] {
    (0..<count).map { index in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let value = Float(Int64(bitPattern: state) >> 40) * 0x1p-22
      return index % 41 == 40 ? value * 0x1p-128 : value
    }
  }

  /// Memory with such values.
  func floats(_ count: Int) -> MutableFloats { place(values(count)) }

  /// Memory with these values.
  func place(_ values: [Float]) -> MutableFloats {
    let bytes = 4 * max(values.count, 1)
    let memory = device?.allocate(byteCount: bytes) ?? .allocate(byteCount: bytes, alignment: 64)
    taken.append(memory)
    let floats = memory.assumingMemoryBound(to: Float.self)
    values.withUnsafeBufferPointer { write($0, to: floats) }
    return floats
  }
}
