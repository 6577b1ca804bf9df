// Writes GGUF files, version 3, as llama.cpp and PyPI's `gguf` read them:
//
//   "GGUF", version (u32), number of tensors (u64), number of entries (u64)
//   for each entry: key, type of value (u32), value
//   for each tensor: name, number of dimensions (u32), dimensions (u64 each, fastest first),
//                    number format (u32), offset from the start of the data (u64)
//   the data: each tensor at a multiple of 32 bytes, with zeros between
//
// All numbers are little-endian. A text has its length in bytes (u64) before it.

internal import Safetensors

/// Writes whole files.
public enum GGUFWriter {
  static let version: UInt32 = 3
  /// Multiple of bytes at which the data and each tensor start (GGUF's default).
  static let alignment = 32

  /// Writes a new file, completely or not at all. Memory holds one tensor at a time.
  ///
  /// Equal arguments give equal bytes.
  /// - Throws: `SafetensorsError` with errno's text (EEXIST where `path` exists, which then stays
  ///   as it was), or without where a number format cannot hold a value; what a tensor's `values`
  ///   throws.
  /// - Precondition: names and keys are different, and `values` has the tensor's number of
  ///   elements.
  public static func write(
    _ entries: [GGUFEntry], _ tensors: [GGUFTensor], toNew path: String
  ) throws {
    precondition(Set(entries.map(\.key)).count == entries.count, "metadata keys repeat")
    precondition(Set(tensors.map(\.name)).count == tensors.count, "tensor names repeat")
    try writeAtomically(to: path, onlyIfNew: true) { file in
      let header = header(entries, tensors)
      try file.append(header + padding(after: header.count))
      for tensor in tensors {
        let values = try tensor.values()
        precondition(
          values.count == tensor.shape.reduce(1, *),
          "tensor \(tensor.name): \(values.count) values for \(tensor.shape)")
        guard let bytes = tensor.elementType.encode(values) else {
          throw SafetensorsError(
            path: path,
            reason: "tensor \(tensor.name) has values beyond the range of "
              + "\(tensor.elementType)")
        }
        try file.append(bytes)
        try file.append(padding(after: bytes.count))
      }
    }
  }

  private static func header(_ entries: [GGUFEntry], _ tensors: [GGUFTensor]) -> [UInt8] {
    var bytes = Array("GGUF".utf8) + littleEndian(version)
    bytes += littleEndian(UInt64(tensors.count)) + littleEndian(UInt64(entries.count))
    for entry in entries { bytes += prefixed(entry.key) + entry.value.bytes }
    var offset = 0
    for tensor in tensors {
      bytes += prefixed(tensor.name) + littleEndian(UInt32(tensor.shape.count))
      for size in tensor.shape.reversed() { bytes += littleEndian(UInt64(size)) }
      bytes += littleEndian(tensor.elementType.rawValue) + littleEndian(UInt64(offset))
      offset += tensor.byteCount + padding(after: tensor.byteCount).count
    }
    return bytes
  }

  /// The zeros up to the next multiple of the alignment.
  private static func padding(after count: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: (alignment - count % alignment) % alignment)
  }
}

extension AtomicFile {
  fileprivate func append(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try append($0) }
  }
}
