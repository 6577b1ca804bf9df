// A JSON document as a value: configuration files of models and adapters. A number keeps its text,
// so that the reader decides what it becomes; a key that is there twice is an error.

/// A JSON value.
public enum JSONValue: Sendable, Equatable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number, as it is written.
  case number(String)
  /// A string.
  case string(String)
  /// An array.
  case array([JSONValue])
  /// An object; its keys differ.
  case object([String: JSONValue])

  /// Parses a whole document.
  /// - Throws: `JSONError` with the byte of the fault.
  public init(parsing bytes: [UInt8]) throws(JSONError) {
    do {
      self = try bytes.withUnsafeBytes { bytes in
        var scanner = JSONScanner(bytes)
        let value = try scanner.value()
        try scanner.finish()
        return value
      }
    } catch let fault as JSONFault {
      throw JSONError(reason: fault.text, offset: fault.offset)
    } catch {
      throw JSONError(reason: "\(error)", offset: 0)
    }
  }

  /// The number as an integer, where it is one of 64 bits; nil for everything else.
  public var integer: Int? {
    guard case .number(let text) = self else { return nil }
    return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
  }

  /// The nearest Double to the number, where that is finite; nil for everything else.
  public var double: Double? {
    guard case .number(let text) = self, let value = Double(text), value.isFinite else {
      return nil
    }
    return value
  }

  /// True if both values are equal; numbers are compared by value, so 1 is 1.0.
  public func isSame(as other: JSONValue) -> Bool {
    switch (self, other) {
    case (.number(let a), .number(let b)): a == b || Double(a) == Double(b)
    case (.array(let a), .array(let b)):
      a.count == b.count && zip(a, b).allSatisfy { $0.isSame(as: $1) }
    case (.object(let a), .object(let b)):
      a.count == b.count
        && a.allSatisfy { key, value in b[key].map { value.isSame(as: $0) } ?? false }
    default: self == other
    }
  }

  /// The value as JSON in one line of at most 80 characters, for messages.
  public var excerpt: String {
    let text = text
    return text.count > 80 ? text.prefix(77) + "..." : text
  }

  /// The value as JSON in several lines, keys sorted. Numbers are written as they were read.
  public func document(indent: String = "") -> String {
    let inner = indent + "  "
    switch self {
    case .array(let values) where !values.isEmpty:
      let lines = values.map { inner + $0.document(indent: inner) }
      return "[\n" + lines.joined(separator: ",\n") + "\n" + indent + "]"
    case .object(let members) where !members.isEmpty:
      let lines = members.sorted { $0.key < $1.key }.map {
        inner + jsonString($0.key) + ": " + $0.value.document(indent: inner)
      }
      return "{\n" + lines.joined(separator: ",\n") + "\n" + indent + "}"
    default: return text
    }
  }

  private var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let text): text
    case .string(let text): jsonString(text)
    case .array(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.sorted { $0.key < $1.key }.map { jsonString($0.key) + ": " + $0.value.text }
        .joined(separator: ", ") + "}"
    }
  }
}

/// A text that is not JSON.
public struct JSONError: Error, CustomStringConvertible, Sendable {
  /// The fault.
  public let reason: String
  /// The byte of the fault, from 0.
  public let offset: Int

  /// `byte 12: expected a value, found 'x'`
  public var description: String { "byte \(offset): \(reason)" }
}

extension JSONScanner {
  /// Any value.
  mutating func value() throws -> JSONValue {
    switch peek() {
    case 0x7B:
      var found: [String: JSONValue] = [:]
      try members { key, scanner in
        guard found.updateValue(try scanner.value(), forKey: key) == nil else {
          throw scanner.fault("\(quoted(key)) is there twice")
        }
      }
      return .object(found)
    case 0x5B:
      var values: [JSONValue] = []
      try elements { values.append(try $0.value()) }
      return .array(values)
    case 0x22: return .string(try string())
    case 0x74:
      try literal("true")
      return .bool(true)
    case 0x66:
      try literal("false")
      return .bool(false)
    case 0x6E:
      try literal("null")
      return .null
    default:
      let start = offset
      try skipNumber()
      return .number(String(decoding: bytes[start..<offset], as: UTF8.self))
    }
  }
}
