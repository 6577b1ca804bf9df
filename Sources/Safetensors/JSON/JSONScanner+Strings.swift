// JSON strings: checked UTF-8 and escapes in, escaped text out.

extension JSONScanner {
  /// A string, as Swift text; ill-formed UTF-8 and lone surrogates are errors.
  mutating func string() throws -> String {
    let start = try openQuote()
    var end = start
    while end < bytes.count, bytes[end] != 0x22, bytes[end] != 0x5C, bytes[end] >= 0x20 { end += 1 }
    if end < bytes.count, bytes[end] == 0x22 {
      advance(to: end + 1)
      return try text(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: start)
    }
    var unescaped: [UInt8] = []
    advance(to: start)
    while let byte = nextRaw() {
      switch byte {
      case 0x22: return try unescaped.withUnsafeBytes { try text($0, at: start) }
      case 0x5C: try appendEscape(to: &unescaped)
      case 0x00..<0x20:
        throw fault("a control character in a string, which has to be escaped", at: offset - 1)
      default: unescaped.append(byte)
      }
    }
    throw fault("a string without its closing quotation mark", at: start)
  }

  private func text(_ utf8: UnsafeRawBufferPointer, at start: Int) throws -> String {
    guard let text = String(validating: utf8.bindMemory(to: UInt8.self), as: UTF8.self) else {
      throw fault("a string that is not UTF-8", at: start)
    }
    return text
  }

  private mutating func appendEscape(to unescaped: inout [UInt8]) throws {
    switch nextRaw() {
    case 0x22: unescaped.append(0x22)
    case 0x5C: unescaped.append(0x5C)
    case 0x2F: unescaped.append(0x2F)
    case 0x62: unescaped.append(0x08)
    case 0x66: unescaped.append(0x0C)
    case 0x6E: unescaped.append(0x0A)
    case 0x72: unescaped.append(0x0D)
    case 0x74: unescaped.append(0x09)
    case 0x75:
      var code = try fourHexDigits()
      if code >= 0xD800, code < 0xDC00, nextRaw() == 0x5C, nextRaw() == 0x75 {
        let low = try fourHexDigits()
        guard low >= 0xDC00, low < 0xE000 else { throw fault("a lone surrogate in a string") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw fault("a lone surrogate in a string") }
      unescaped.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw fault("an unknown escape in a string")
    }
  }

  private mutating func fourHexDigits() throws -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = nextRaw(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw fault("\\u without four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
    }
    return code
  }
}

/// `text` as a JSON string with its quotation marks; all but control characters as they are.
func jsonString(_ text: String) -> String {
  var escaped = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": escaped += "\\\""
    case "\\": escaped += "\\\\"
    case _ where scalar.value < 0x20:
      let digits = String(scalar.value, radix: 16)
      escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: escaped.unicodeScalars.append(scalar)
    }
  }
  return escaped + "\""
}
