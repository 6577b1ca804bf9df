// Copies between and within the memory of the host and of a device.

/// Copies `count` floats within the host's memory or a device's.
public func copy(_ from: Floats, to out: MutableFloats, count: Int) {
  guard let device = KernelDevices.owner(of: out) else {
    return out.update(from: from, count: count)
  }
  guard count > 0 else { return }
  device.copy(from, byteCount: 4 * count, to: out)
}

/// Writes `count` zeros.
public func clear(_ x: MutableFloats, count: Int) {
  guard let device = KernelDevices.owner(of: x) else { return x.update(repeating: 0, count: count) }
  guard count > 0 else { return }
  device.launch("fill", .elements(count), [.memory(x), .float(0), .long(count)])
}

/// Writes the host's values to memory of the host or of a device.
public func write(_ values: UnsafeBufferPointer<Float>, to out: MutableFloats) {
  guard let first = values.baseAddress, !values.isEmpty else { return }
  guard let device = KernelDevices.owner(of: out) else {
    return out.update(from: first, count: values.count)
  }
  device.write(first, byteCount: 4 * values.count, to: out)
}

/// Has `body` write `count` floats: in place, or for a device to memory that is copied there.
public func fill(
  _ out: MutableFloats, count: Int, _ body: (UnsafeMutableBufferPointer<Float>) -> Void
) {
  guard KernelDevices.owner(of: out) != nil else {
    return body(UnsafeMutableBufferPointer(start: out, count: count))
  }
  withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { values in
    body(values)
    write(UnsafeBufferPointer(values), to: out)
  }
}

/// The values of memory of the host or of a device, which waits for its kernels.
public func values(at memory: Floats, count: Int) -> [Float] {
  read(memory, count: count)
}

/// The integers of memory of the host or of a device, which waits for its kernels.
public func integers(at memory: UnsafePointer<Int32>, count: Int) -> [Int32] {
  read(memory, count: count)
}

private func read<Value>(_ memory: UnsafePointer<Value>, count: Int) -> [Value] {
  guard let device = KernelDevices.owner(of: memory) else {
    return Array(UnsafeBufferPointer(start: memory, count: count))
  }
  return [Value](unsafeUninitializedCapacity: count) { values, initialized in
    if count > 0 {
      device.read(
        memory, byteCount: count * MemoryLayout<Value>.stride, to: values.baseAddress!)
    }
    initialized = count
  }
}
