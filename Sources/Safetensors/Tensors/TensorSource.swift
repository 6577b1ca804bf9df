// Tensors by name, from one file or from the shards of a model; the typed reads are written once,
// here.

/// Named tensors whose bytes are mapped.
///
/// Pointers to the bytes are valid while the source lives, and Swift may release a local variable
/// right after its last use: keep the source in a stored property, or use `withExtendedLifetime`.
public protocol TensorSource: AnyObject, Sendable {
  /// The file or directory, as it was given.
  var path: String { get }
  /// All tensors.
  var tensors: [TensorDescriptor] { get }
  /// The tensor of that name, if there is one.
  subscript(name: String) -> TensorDescriptor? { get }
  /// The bytes of a tensor of this source, valid while the source lives.
  func bytes(of tensor: TensorDescriptor) -> UnsafeRawBufferPointer
  /// The file that holds a tensor.
  func path(of tensor: TensorDescriptor) -> String
}

extension TensorSource {
  /// The tensor of that name.
  ///
  /// - Throws: `SafetensorsError` when there is none.
  public func tensor(named name: String) throws -> TensorDescriptor {
    guard let tensor = self[name] else {
      throw SafetensorsError(path: path, reason: "no tensor \(quoted(name))")
    }
    return tensor
  }

  /// The elements of an F32 tensor where they lie; nil when they have to be copied (F16, BF16, or
  /// not aligned).
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor, or its elements are no floats.
  public func floats(named name: String) throws -> UnsafeBufferPointer<Float>? {
    let tensor = try floatTensor(named: name)
    guard tensor.elementType == .f32 else { return nil }
    let bytes = bytes(of: tensor)
    guard !bytes.isEmpty, let base = bytes.baseAddress else {
      return UnsafeBufferPointer(start: nil, count: 0)
    }
    guard Int(bitPattern: base) % MemoryLayout<Float>.alignment == 0 else { return nil }
    return UnsafeBufferPointer(
      start: base.assumingMemoryBound(to: Float.self), count: tensor.elementCount)
  }

  /// Copies an F32, F16 or BF16 tensor to `destination`, exactly.
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor, its elements are no floats, or
  ///   their number is not `destination.count`.
  public func readFloats(
    named name: String, into destination: UnsafeMutableBufferPointer<Float>
  ) throws {
    let tensor = try floatTensor(named: name)
    guard tensor.elementCount == destination.count else {
      throw refusal(
        tensor, "has shape \(tensor.shape), but \(destination.count) elements are wanted")
    }
    guard let out = destination.baseAddress, let source = bytes(of: tensor).baseAddress else {
      return
    }
    switch tensor.elementType {
    case .f16: widenHalf(source, into: out, count: destination.count)
    case .bf16: widenBrainFloat(source, into: out, count: destination.count)
    default:
      UnsafeMutableRawPointer(out).copyMemory(from: source, byteCount: tensor.byteRange.count)
    }
  }

  /// The elements of an F32, F16 or BF16 tensor, exactly.
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor or its elements are no floats.
  public func readFloats(named name: String) throws -> [Float] {
    let count = try floatTensor(named: name).elementCount
    return try [Float](unsafeUninitializedCapacity: count) { values, written in
      try readFloats(named: name, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      written = count
    }
  }

  /// The elements of a tensor of any integer type.
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor, its elements are no integers, or
  ///   one of a U64 tensor exceeds 2^63-1.
  public func readIntegers(named name: String) throws -> [Int] {
    let tensor = try tensor(named: name)
    switch tensor.elementType {
    case .u8: return integers(tensor, UInt8.self)
    case .i8: return integers(tensor, Int8.self)
    case .u16: return integers(tensor, UInt16.self)
    case .i16: return integers(tensor, Int16.self)
    case .u32: return integers(tensor, UInt32.self)
    case .i32: return integers(tensor, Int32.self)
    case .i64: return integers(tensor, Int64.self)
    case .u64:
      let bits = integers(tensor, Int64.self)
      if let place = bits.firstIndex(where: { $0 < 0 }) {
        throw refusal(
          tensor,
          "holds \(UInt64(bitPattern: Int64(bits[place]))) at \(place); at most 2^63-1 is allowed")
      }
      return bits
    case .bool, .f16, .bf16, .f32, .f64:
      throw refusal(tensor, "is \(tensor.elementType.rawValue), but integers are wanted")
    }
  }

  private func integers<Element: FixedWidthInteger & BitwiseCopyable>(
    _ tensor: TensorDescriptor, _: Element.Type
  ) -> [Int] {
    let bytes = bytes(of: tensor)
    return [Int](unsafeUninitializedCapacity: tensor.elementCount) { values, count in
      for index in 0..<tensor.elementCount {
        let element = bytes.loadUnaligned(
          fromByteOffset: index * MemoryLayout<Element>.size, as: Element.self)
        values.initializeElement(at: index, to: Int(truncatingIfNeeded: element))
      }
      count = tensor.elementCount
    }
  }

  private func floatTensor(named name: String) throws -> TensorDescriptor {
    let tensor = try tensor(named: name)
    switch tensor.elementType {
    case .f32, .f16, .bf16: return tensor
    default:
      throw refusal(tensor, "is \(tensor.elementType.rawValue), but F32, F16 or BF16 is wanted")
    }
  }

  private func refusal(_ tensor: TensorDescriptor, _ reason: String) -> SafetensorsError {
    SafetensorsError(path: path(of: tensor), reason: "tensor \(quoted(tensor.name)) \(reason)")
  }
}
