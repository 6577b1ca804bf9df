// Metadata of a GGUF file: keys and values.
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

/// A value of GGUF's metadata.
public enum GGUFValue: Sendable, Equatable {
  /// An unsigned 32-bit integer.
  case uint32(UInt32)
  /// A single-precision number.
  case float32(Float)
  /// A truth value, one byte.
  case bool(Bool)
  /// A text in UTF-8.
  case string(String)
  /// A list of texts.
  case strings([String])
  /// A list of signed 32-bit integers.
  case int32s([Int32])

  /// The number that stands for the type of a value in the file.
  private enum TypeCode: UInt32 {
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
  }

  /// The type and the value as they are in a file.
  var bytes: [UInt8] {
    switch self {
    case .uint32(let value): Self.code(.uint32) + littleEndian(value)
    case .float32(let value): Self.code(.float32) + littleEndian(value.bitPattern)
    case .bool(let value): Self.code(.bool) + [value ? 1 : 0]
    case .string(let value): Self.code(.string) + prefixed(value)
    case .strings(let values): Self.array(.string, values.count, values.flatMap(prefixed))
    case .int32s(let values): Self.array(.int32, values.count, values.flatMap(littleEndian))
    }
  }

  private static func code(_ type: TypeCode) -> [UInt8] { littleEndian(type.rawValue) }

  private static func array(_ type: TypeCode, _ count: Int, _ elements: [UInt8]) -> [UInt8] {
    code(.array) + code(type) + littleEndian(UInt64(count)) + elements
  }
}

/// A key and its value.
public struct GGUFEntry: Sendable, Equatable {
  /// The key, such as `general.architecture`.
  public let key: String
  /// Its value.
  public let value: GGUFValue

  /// `key` with `value`.
  public init(_ key: String, _ value: GGUFValue) {
    self.key = key
    self.value = value
  }
}

/// The bytes of an integer, lowest first.
func littleEndian<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// A text with its length in bytes before it.
func prefixed(_ text: String) -> [UInt8] {
  let utf8 = Array(text.utf8)
  return littleEndian(UInt64(utf8.count)) + utf8
}
