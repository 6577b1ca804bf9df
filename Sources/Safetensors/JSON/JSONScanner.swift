// A strict JSON (RFC 8259) scanner over bytes, for headers, index and configuration files that
// nobody vouches for. Foundation's parser loses the order of keys and keeps one of two duplicates
// without a word; here the caller sees every key in order. Nesting is bounded, so hostile input
// cannot overflow the stack.

/// What is wrong with the JSON text, and at which byte.
struct JSONFault: Error {
  let text: String
  let offset: Int
}

/// Reads values from left to right; each method skips white space before its value.
struct JSONScanner {
  static let maximumDepth = 64
  let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0
  private var depth = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  func fault(_ text: String, at offset: Int? = nil) -> JSONFault {
    JSONFault(text: text, offset: offset ?? self.offset)
  }

  /// The next byte after white space, not consumed; nil at the end.
  mutating func peek() -> UInt8? {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      case let byte: return byte
      }
    }
    return nil
  }

  /// What stands at the current place, for messages.
  private func found() -> String {
    guard offset < bytes.count else { return "the end" }
    let byte = bytes[offset]
    if byte > 0x20, byte < 0x7F { return "'\(Character(Unicode.Scalar(byte)))'" }
    return "byte 0x" + String(byte, radix: 16)
  }

  private mutating func expect(_ byte: UInt8, _ what: String) throws {
    guard peek() == byte else { throw fault("expected \(what), found \(found())") }
    offset += 1
  }

  private mutating func enter() throws {
    depth += 1
    if depth > Self.maximumDepth { throw fault("nested deeper than \(Self.maximumDepth)") }
  }

  /// An object; `body` must consume the value of each key.
  mutating func members(_ body: (String, inout JSONScanner) throws -> Void) throws {
    try expect(0x7B, "an object")
    try enter()
    defer { depth -= 1 }
    if peek() == 0x7D {
      offset += 1
      return
    }
    while true {
      let key = try string()
      try expect(0x3A, "':'")
      try body(key, &self)
      if peek() == 0x2C {
        offset += 1
        continue
      }
      return try expect(0x7D, "',' or '}'")
    }
  }

  /// An array; `body` must consume each element.
  mutating func elements(_ body: (inout JSONScanner) throws -> Void) throws {
    try expect(0x5B, "an array")
    try enter()
    defer { depth -= 1 }
    if peek() == 0x5D {
      offset += 1
      return
    }
    while true {
      try body(&self)
      if peek() == 0x2C {
        offset += 1
        continue
      }
      return try expect(0x5D, "',' or ']'")
    }
  }

  /// An integer from 0 to 2^63-1, written without sign, point or exponent.
  mutating func unsignedInteger() throws -> Int {
    let first = peek()
    let start = offset
    func refuse(_ scanner: JSONScanner) -> JSONFault {
      scanner.fault(
        "expected an integer from 0 to 2^63-1, found \(scanner.token(at: start))", at: start)
    }
    guard let first, isDigit(first) else { throw refuse(self) }
    var value = 0
    while offset < bytes.count, isDigit(bytes[offset]) {
      let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = tens.addingReportingOverflow(Int(bytes[offset] - 0x30))
      if overflowed || carried { throw refuse(self) }
      value = sum
      offset += 1
    }
    let leadingZero = first == 0x30 && offset - start > 1
    let continues = offset < bytes.count && [0x2E, 0x65, 0x45].contains(bytes[offset])
    if leadingZero || continues { throw refuse(self) }
    return value
  }

  private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  /// The characters up to the next delimiter, at most 24, for messages.
  private func token(at start: Int) -> String {
    let rest = bytes[min(start, bytes.count)...].prefix(24)
    let delimiters: [UInt8] = [0x2C, 0x5D, 0x7D, 0x20, 0x0A]
    let word = rest.prefix { !delimiters.contains($0) }
    let shown = word.isEmpty ? rest.prefix(1) : word
    return shown.isEmpty ? "the end" : String(decoding: shown, as: UTF8.self).debugDescription
  }

  /// Consumes the quotation mark that opens a string; the place behind it.
  mutating func openQuote() throws -> Int {
    try expect(0x22, "a string")
    return offset
  }

  /// The next byte, white space or not, consumed; nil at the end.
  mutating func nextRaw() -> UInt8? {
    guard offset < bytes.count else { return nil }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func advance(to place: Int) { offset = place }

  /// Any value, checked and dropped.
  mutating func skipValue() throws {
    switch peek() {
    case 0x7B: try members { _, scanner in try scanner.skipValue() }
    case 0x5B: try elements { try $0.skipValue() }
    case 0x22: _ = try string()
    case 0x74: try literal("true")
    case 0x66: try literal("false")
    case 0x6E: try literal("null")
    default: try skipNumber()
    }
  }

  mutating func literal(_ word: StaticString) throws {
    let matches =
      bytes.count - offset >= word.utf8CodeUnitCount
      && (0..<word.utf8CodeUnitCount).allSatisfy { bytes[offset + $0] == word.utf8Start[$0] }
    guard matches else { throw fault("expected a value, found \(token(at: offset))") }
    offset += word.utf8CodeUnitCount
  }

  mutating func skipNumber() throws {
    let start = offset
    skip(oneOf: [0x2D])
    let first = offset
    try skipDigits(numberAt: start)
    if bytes[first] == 0x30 && offset - first > 1 {
      throw fault("a number starts with 0", at: start)
    }
    if skip(oneOf: [0x2E]) { try skipDigits(numberAt: start) }
    if skip(oneOf: [0x65, 0x45]) {
      skip(oneOf: [0x2B, 0x2D])
      try skipDigits(numberAt: start)
    }
  }

  @discardableResult
  private mutating func skip(oneOf allowed: [UInt8]) -> Bool {
    guard offset < bytes.count, allowed.contains(bytes[offset]) else { return false }
    offset += 1
    return true
  }

  private mutating func skipDigits(numberAt start: Int) throws {
    let first = offset
    while offset < bytes.count, isDigit(bytes[offset]) { offset += 1 }
    if offset == first { throw fault("expected a value, found \(token(at: start))", at: start) }
  }

  /// Succeeds when nothing but white space is left.
  mutating func finish() throws {
    if peek() != nil { throw fault("expected the end, found \(found())") }
  }
}
