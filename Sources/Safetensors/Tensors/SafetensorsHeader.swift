// The header of a safetensors file: 8 bytes little-endian length N, N bytes of JSON, then the data.
// {"__metadata__": {"KEY": "TEXT"}, "NAME": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
// Everything is checked before any tensor is handed out, as in the reference implementation (the
// Rust crate), and stricter in: duplicate keys, bytes before the '{', the number of dimensions, and
// overflowing products of dimensions beside a 0.

/// The checked contents of a header.
struct SafetensorsHeader {
  /// The reference implementation's limit of N.
  static let maximumByteCount = 100_000_000
  static let maximumDimensions = 64

  var tensors: [TensorDescriptor] = []
  var metadata: [String: String] = [:]

  /// Reads and checks the header of a whole file.
  init(file: UnsafeRawBufferPointer, path: String) throws {
    func refuse(_ reason: String) -> SafetensorsError {
      SafetensorsError(path: path, reason: reason)
    }
    guard file.count >= 8 else {
      throw refuse(
        "\(file.count) bytes are too few: a safetensors file starts with 8 bytes of length"
      )
    }
    if GitLFS.isPointer(file) { throw refuse(GitLFS.advice) }
    let declared = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard declared >= 2, declared <= UInt64(Self.maximumByteCount) else {
      throw refuse(
        "header of \(declared) bytes; 2 to \(Self.maximumByteCount) are allowed (not safetensors?)"
      )
    }
    let headerEnd = 8 + Int(declared)
    guard headerEnd <= file.count else {
      throw refuse("header of \(declared) bytes in a file of \(file.count) bytes (cut off?)")
    }
    guard file[8] == 0x7B else { throw refuse("the header does not start with '{'") }

    var declarations: [Declaration] = []
    do {
      var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: file[8..<headerEnd]))
      try read(&scanner, into: &declarations)
    } catch let fault as JSONFault {
      throw refuse("header, byte \(fault.offset): \(fault.text)")
    }
    do {
      tensors = try Self.place(declarations, dataStart: headerEnd, fileEnd: file.count)
    } catch let fault as JSONFault {
      throw refuse(fault.text)
    }
  }

  /// A tensor as the header declares it; offsets count from the start of the data.
  private struct Declaration {
    let name: String
    let elementType: ElementType
    let shape: [Int]
    let begin: Int
    let end: Int
  }

  private mutating func read(
    _ scanner: inout JSONScanner, into declarations: inout [Declaration]
  ) throws {
    var names: Set<String> = []
    var metadata: [String: String] = [:]
    try scanner.members { name, scanner in
      guard names.insert(name).inserted else {
        throw scanner.fault("\(quoted(name)) is there twice")
      }
      if name == "__metadata__" {
        try scanner.members { key, scanner in
          guard metadata.updateValue(try scanner.string(), forKey: key) == nil else {
            throw scanner.fault("metadata \(quoted(key)) is there twice")
          }
        }
      } else {
        declarations.append(try Self.declaration(of: name, &scanner))
      }
    }
    try scanner.finish()
    self.metadata = metadata
  }

  private static func declaration(of name: String, _ scanner: inout JSONScanner) throws
    -> Declaration
  {
    var elementType: ElementType?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.members { key, scanner in
      let twice = scanner.fault("tensor \(quoted(name)) has \(quoted(key)) twice")
      switch key {
      case "dtype":
        if elementType != nil { throw twice }
        let spelled = try scanner.string()
        elementType = ElementType(rawValue: spelled)
        if elementType == nil {
          let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
          throw scanner.fault(
            "tensor \(quoted(name)) has dtype \(quoted(spelled)); known are \(known)")
        }
      case "shape":
        if shape != nil { throw twice }
        shape = try integers(&scanner, atMost: maximumDimensions, "shape of tensor \(quoted(name))")
      case "data_offsets":
        if offsets != nil { throw twice }
        offsets = try integers(&scanner, atMost: 2, "data_offsets of tensor \(quoted(name))")
      default: try scanner.skipValue()
      }
    }
    guard let elementType, let shape, let offsets else {
      let missing = elementType == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
      throw scanner.fault("tensor \(quoted(name)) has no \(missing)")
    }
    guard offsets.count == 2 else {
      throw scanner.fault(
        "data_offsets of tensor \(quoted(name)) hold \(offsets.count) numbers, not 2")
    }
    return Declaration(
      name: name, elementType: elementType, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private static func integers(
    _ scanner: inout JSONScanner, atMost limit: Int, _ what: String
  ) throws -> [Int] {
    var values: [Int] = []
    do {
      try scanner.elements { scanner in
        if values.count == limit { throw scanner.fault("more than \(limit) numbers") }
        values.append(try scanner.unsignedInteger())
      }
    } catch let fault as JSONFault {
      throw JSONFault(text: "\(what): \(fault.text)", offset: fault.offset)
    }
    return values
  }

  /// In file order, sizes equal to their shapes', end to end from `dataStart` to `fileEnd`.
  private static func place(
    _ declarations: [Declaration], dataStart: Int, fileEnd: Int
  ) throws -> [TensorDescriptor] {
    func refuse(_ reason: String) -> JSONFault { JSONFault(text: reason, offset: 0) }
    let dataCount = fileEnd - dataStart
    var tensors: [TensorDescriptor] = []
    var previousEnd = 0
    for tensor in declarations.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
      let name = "tensor \(quoted(tensor.name))"
      let range = "data_offsets [\(tensor.begin), \(tensor.end)]"
      guard tensor.begin <= tensor.end else { throw refuse("\(name): \(range) are reversed") }
      guard tensor.end <= dataCount else {
        throw refuse("\(name): \(range) end past the \(dataCount) bytes of data (cut off?)")
      }
      guard let byteCount = byteCount(tensor.shape, tensor.elementType) else {
        throw refuse("\(name): shape \(tensor.shape) is too large for any file")
      }
      guard byteCount == tensor.end - tensor.begin else {
        throw refuse(
          "\(name): \(range) hold \(tensor.end - tensor.begin) bytes, but shape \(tensor.shape) of "
            + "\(tensor.elementType.rawValue) takes \(byteCount)")
      }
      guard tensor.begin == previousEnd else {
        let fault = tensor.begin < previousEnd ? "overlap another tensor" : "leave a hole"
        throw refuse("\(name): \(range) \(fault); the tensor before ends at \(previousEnd)")
      }
      previousEnd = tensor.end
      tensors.append(
        TensorDescriptor(
          name: tensor.name, elementType: tensor.elementType, shape: tensor.shape,
          byteRange: dataStart + tensor.begin..<dataStart + tensor.end))
    }
    guard previousEnd == dataCount else {
      throw refuse(
        "\(dataCount - previousEnd) bytes behind the last tensor, which ends at \(previousEnd)")
    }
    return tensors
  }

  /// nil when the product of the dimensions that are not 0, in bytes, exceeds 2^63-1.
  private static func byteCount(_ shape: [Int], _ elementType: ElementType) -> Int? {
    var product = elementType.byteCount
    for dimension in shape where dimension != 0 {
      let (next, overflowed) = product.multipliedReportingOverflow(by: dimension)
      if overflowed { return nil }
      product = next
    }
    return shape.contains(0) ? 0 : product
  }
}
