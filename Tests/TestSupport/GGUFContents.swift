// Reads GGUF files back, for tests: written again from the format's description, without the
// writer. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import Foundation

/// The content of a GGUF file.
package struct GGUFContents {
  /// A value of the metadata.
  package enum Value: Equatable {
    case integer(Int)
    case float(Float)
    case bool(Bool)
    case string(String)
    case array([Value])
  }

  /// A tensor: its shape (slowest dimension first), the number of its format, its bytes.
  package struct Tensor {
    package let name: String
    package let shape: [Int]
    package let type: Int
    package let bytes: [UInt8]

    /// The values of an F32 tensor.
    package var floats: [Float] {
      bytes.withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
      }
    }
  }

  /// The metadata.
  package private(set) var values: [String: Value] = [:]
  /// The tensors in their order.
  package private(set) var tensors: [Tensor] = []

  /// Reads the file at `path`; a file of another format ends the test.
  package init(path: String) throws {
    var reader = Reader(bytes: Array(try Data(contentsOf: URL(filePath: path))))
    precondition(reader.take(4) == Array("GGUF".utf8) && reader.integer(4) == 3)
    let (tensorCount, entryCount) = (reader.integer(8), reader.integer(8))
    for _ in 0..<entryCount {
      let key = reader.text()
      precondition(values.updateValue(reader.value(reader.integer(4)), forKey: key) == nil)
    }
    let described = (0..<tensorCount).map { _ in
      let name = reader.text()
      let shape = (0..<reader.integer(4)).map { _ in reader.integer(8) }
      return (name, shape: Array(shape.reversed()), type: reader.integer(4), reader.integer(8))
    }
    let start = (reader.offset + 31) / 32 * 32
    for (name, shape, type, offset) in described {
      precondition(offset % 32 == 0)
      let count = shape.reduce(type == 0 ? 4 : 2, *)
      tensors.append(
        Tensor(
          name: name, shape: shape, type: type,
          bytes: Array(reader.bytes[start + offset..<start + offset + count])))
    }
  }

  private struct Reader {
    let bytes: [UInt8]
    var offset = 0

    mutating func take(_ count: Int) -> [UInt8] {
      defer { offset += count }
      return Array(bytes[offset..<offset + count])
    }

    mutating func integer(_ count: Int) -> Int {
      take(count).reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func text() -> String { String(decoding: take(integer(8)), as: UTF8.self) }

    mutating func value(_ type: Int) -> Value {
      switch type {
      case 4, 5: return .integer(integer(4))
      case 6: return .float(Float(bitPattern: UInt32(integer(4))))
      case 7: return .bool(take(1) == [1])
      case 8: return .string(text())
      case 9:
        let (element, count) = (integer(4), integer(8))
        return .array((0..<count).map { _ in value(element) })
      default: preconditionFailure("type \(type)")
      }
    }
  }
}
