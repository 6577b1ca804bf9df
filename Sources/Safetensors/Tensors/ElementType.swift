// What a safetensors file holds: element types, and the description of one tensor.
// The format: https://github.com/huggingface/safetensors#format

/// The type of a tensor's elements, spelled as in the file.
public enum ElementType: String, Sendable, CaseIterable {
  /// One byte, 0 or 1.
  case bool = "BOOL"
  /// Unsigned 8-bit integer.
  case u8 = "U8"
  /// Signed 8-bit integer.
  case i8 = "I8"
  /// Unsigned 16-bit integer.
  case u16 = "U16"
  /// Signed 16-bit integer.
  case i16 = "I16"
  /// IEEE 754 half precision.
  case f16 = "F16"
  /// The upper half of an IEEE 754 single.
  case bf16 = "BF16"
  /// Unsigned 32-bit integer.
  case u32 = "U32"
  /// Signed 32-bit integer.
  case i32 = "I32"
  /// IEEE 754 single precision.
  case f32 = "F32"
  /// Unsigned 64-bit integer.
  case u64 = "U64"
  /// Signed 64-bit integer.
  case i64 = "I64"
  /// IEEE 754 double precision.
  case f64 = "F64"

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .bool, .u8, .i8: 1
    case .u16, .i16, .f16, .bf16: 2
    case .u32, .i32, .f32: 4
    case .u64, .i64, .f64: 8
    }
  }
}

/// One tensor of a file: its name, type, shape and place.
public struct TensorDescriptor: Sendable, Equatable {
  /// The name, unique in its file.
  public let name: String
  /// The type of each element.
  public let elementType: ElementType
  /// The dimensions, slowest first; empty for a scalar; a dimension may be 0.
  public let shape: [Int]
  /// Where the elements lie, counted in bytes from the start of the file.
  public let byteRange: Range<Int>

  /// The product of `shape`, 1 for a scalar.
  public var elementCount: Int { byteRange.count / elementType.byteCount }
}

/// What is wrong with a file, in one line.
public struct SafetensorsError: Error, CustomStringConvertible, Sendable {
  /// The file, as the caller named it.
  public let path: String
  /// What was found, where, and what is allowed.
  public let reason: String
  /// The `errno` of the system call that failed; nil when the contents are at fault.
  public let errorNumber: Int32?

  /// An error about `path`.
  public init(path: String, reason: String, errorNumber: Int32? = nil) {
    self.path = path
    self.reason = reason
    self.errorNumber = errorNumber
  }

  /// `path: reason`.
  public var description: String { "\(path): \(reason)" }
}

/// `text` in quotation marks for a one-line message: control characters escaped, length bounded.
func quoted(_ text: String) -> String {
  let shown = text.unicodeScalars.prefix(80)
  let cut = shown.endIndex != text.unicodeScalars.endIndex
  return String(reflecting: String(shown)) + (cut ? "..." : "")
}
