// Writes safetensors files that every reader of the format takes.

/// A tensor on its way into a file.
public struct TensorToWrite: @unchecked Sendable {
  private enum Storage {
    case bytes([UInt8])
    case floats([Float])
    case int32s([Int32])
    case int64s([Int64])
    case borrowed(UnsafeRawBufferPointer)
  }

  /// The name, unique in the file.
  public let name: String
  /// The type of each element.
  public let elementType: ElementType
  /// The dimensions, slowest first; empty for a scalar.
  public let shape: [Int]
  private let storage: Storage

  private init(_ name: String, _ elementType: ElementType, _ shape: [Int], _ storage: Storage) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.storage = storage
    let needed = shape.reduce(elementType.byteCount, *)
    let given = withBytes { $0.count }
    precondition(
      shape.allSatisfy { $0 >= 0 } && needed == given,
      "tensor \(name): \(shape) of \(elementType.rawValue) takes \(needed) bytes, not \(given)"
    )
  }

  /// Elements as little-endian bytes.
  public init(name: String, elementType: ElementType, shape: [Int], bytes: [UInt8]) {
    self.init(name, elementType, shape, .bytes(bytes))
  }

  /// Elements as little-endian bytes that the caller keeps alive and unchanged until they are
  /// written.
  public init(
    name: String, elementType: ElementType, shape: [Int], borrowing bytes: UnsafeRawBufferPointer
  ) {
    self.init(name, elementType, shape, .borrowed(bytes))
  }

  /// An F32 tensor.
  public init(name: String, shape: [Int], floats: [Float]) {
    self.init(name, .f32, shape, .floats(floats))
  }

  /// An F32 tensor that the caller keeps alive and unchanged until it is written.
  public init(name: String, shape: [Int], borrowing floats: UnsafeBufferPointer<Float>) {
    self.init(name, .f32, shape, .borrowed(UnsafeRawBufferPointer(floats)))
  }

  /// An I32 tensor.
  public init(name: String, shape: [Int], int32s: [Int32]) {
    self.init(name, .i32, shape, .int32s(int32s))
  }

  /// An I64 tensor.
  public init(name: String, shape: [Int], int64s: [Int64]) {
    self.init(name, .i64, shape, .int64s(int64s))
  }

  /// Calls `body` with the elements as they lie in the file.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
    -> Result
  {
    switch storage {
    case .bytes(let values): try values.withUnsafeBytes(body)
    case .floats(let values): try values.withUnsafeBytes(body)
    case .int32s(let values): try values.withUnsafeBytes(body)
    case .int64s(let values): try values.withUnsafeBytes(body)
    case .borrowed(let bytes): try body(bytes)
    }
  }
}

/// Writes whole files.
public enum SafetensorsWriter {
  /// Replaces the file at `path`, completely or not at all (`writeAtomically`).
  ///
  /// Tensors lie in the order given, but wider element types first, and the header is padded to a
  /// multiple of 8, so that every tensor is aligned for its type. Equal arguments give equal bytes.
  /// - Throws: `SafetensorsError` with errno's text; the old file is then as it was.
  /// - Precondition: the names differ, and none is `__metadata__`.
  public static func write(
    _ tensors: [TensorToWrite], metadata: [String: String] = [:], to path: String
  ) throws {
    precondition(
      Set(tensors.map(\.name) + ["__metadata__"]).count == tensors.count + 1,
      "tensor names repeat: \(tensors.map(\.name))")
    let ordered = tensors.enumerated().sorted {
      ($1.element.elementType.byteCount, $0.offset) < ($0.element.elementType.byteCount, $1.offset)
    }.map(\.element)

    let header = header(ordered, metadata)
    guard header.count <= SafetensorsHeader.maximumByteCount else {
      throw SafetensorsError(
        path: path,
        reason: "header of \(header.count) bytes; \(SafetensorsHeader.maximumByteCount) are allowed"
      )
    }
    try writeAtomically(to: path) { file in
      try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.append($0) }
      try header.withUnsafeBytes { try file.append($0) }
      for tensor in ordered { try tensor.withBytes { try file.append($0) } }
    }
  }

  private static func header(_ tensors: [TensorToWrite], _ metadata: [String: String]) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }
        .map { "\(jsonString($0.key)):\(jsonString($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var begin = 0
    for tensor in tensors {
      let end = begin + tensor.withBytes { $0.count }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(jsonString(tensor.name)):{\"dtype\":\"\(tensor.elementType.rawValue)\","
          + "\"shape\":[\(shape)],\"data_offsets\":[\(begin),\(end)]}")
      begin = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(0x20, count: (8 - header.count % 8) % 8))
    return header
  }
}
