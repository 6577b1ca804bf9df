// One safetensors file, mapped read-only and fully checked when it is opened.

/// A mapped file whose header has been checked; its bytes are read where they lie.
public final class SafetensorsFile: TensorSource {
  /// The path as it was given.
  public let path: String
  /// All tensors, in the order of their bytes.
  public let tensors: [TensorDescriptor]
  /// The free text of the header.
  public let metadata: [String: String]
  private let file: MappedFile
  private let indices: [String: Int]

  /// Maps and checks the file.
  ///
  /// - Throws: `SafetensorsError` when the file cannot be read or its header breaks any rule of the
  ///   format.
  public init(path: String) throws {
    self.path = path
    file = try MappedFile(path: path)
    let header = try SafetensorsHeader(file: file.bytes, path: path)
    tensors = header.tensors
    metadata = header.metadata
    indices = Dictionary(
      uniqueKeysWithValues: header.tensors.enumerated().map { ($0.element.name, $0.offset) })
  }

  /// The size of the file.
  public var byteCount: Int { file.bytes.count }

  /// The tensor of that name, if there is one.
  public subscript(name: String) -> TensorDescriptor? { indices[name].map { tensors[$0] } }

  /// The bytes of a tensor of this file, valid while this object lives.
  ///
  /// - Precondition: `tensor` came from this file.
  public func bytes(of tensor: TensorDescriptor) -> UnsafeRawBufferPointer {
    precondition(
      self[tensor.name] == tensor, "tensor \(quoted(tensor.name)) is not one of \(path)")
    return UnsafeRawBufferPointer(rebasing: file.bytes[tensor.byteRange])
  }

  /// `path`, whatever the tensor.
  public func path(of tensor: TensorDescriptor) -> String { path }
}
