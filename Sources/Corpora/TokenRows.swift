// The texts of a split: tokens end to end, and where each example begins.

internal import Safetensors

/// The tokens of all examples.
struct TokenRows: Sendable {
  /// The first token of each example, and the end of the last one's.
  let offsets: [Int]
  /// The largest token.
  let largestToken: Int32
  private let type: ElementType
  nonisolated(unsafe) private let tokens: UnsafeRawBufferPointer

  /// The texts in a file.
  /// - Throws: `CorpusError` where it has none, or its tensors do not fit each other.
  init(_ file: SafetensorsFile) throws {
    func refuse(_ reason: String) -> CorpusError { CorpusError(path: file.path, reason: reason) }
    let tokenTensor = try file.vector("tokens", of: [.u16, .u32, .i32])
    let offsetTensor = try file.vector("offsets", of: [.i64])
    type = tokenTensor.elementType
    tokens = file.bytes(of: tokenTensor)
    guard offsetTensor.elementCount >= 2 else {
      throw refuse("no examples: offsets hold \(offsetTensor.elementCount) numbers")
    }
    offsets = try file.readIntegers(named: "offsets")
    let count = offsets.count - 1
    guard offsets[0] == 0 else { throw refuse("offsets start with \(offsets[0]), not 0") }
    for example in 0..<count where offsets[example] >= offsets[example + 1] {
      let what = offsets[example] == offsets[example + 1] ? "is empty" : "has reversed offsets"
      throw refuse(
        "example \(example) \(what): offsets \(offsets[example]), \(offsets[example + 1])")
    }
    guard offsets[count] == tokenTensor.elementCount else {
      throw refuse(
        "offsets end at \(offsets[count]), but there are \(tokenTensor.elementCount) tokens")
    }
    let range = Self.range(of: tokens, type)
    guard range.lowerBound >= 0, range.upperBound <= Int(Int32.max) else {
      let token = range.lowerBound < 0 ? range.lowerBound : range.upperBound
      throw refuse("a token is \(token); 0 to 2^31-1 are allowed")
    }
    largestToken = Int32(range.upperBound)
  }

  /// The number of examples.
  var count: Int { offsets.count - 1 }
  /// The number of tokens.
  var tokenCount: Int { offsets[count] }

  /// The tokens of an example.
  func length(of example: Int) -> Int { offsets[example + 1] - offsets[example] }

  /// Appends the first tokens of an example, `limit` at most.
  func append(_ example: Int, limit: Int, to tokens: inout [Int32]) {
    precondition(limit > 0, "an example of at most \(limit) tokens")
    let first = offsets[example]
    let range = first..<first + min(length(of: example), limit)
    let source = self.tokens
    func append<Token: FixedWidthInteger & BitwiseCopyable>(_: Token.Type) {
      for place in range {
        let token = source.loadUnaligned(
          fromByteOffset: place &* MemoryLayout<Token>.size, as: Token.self)
        tokens.append(Int32(truncatingIfNeeded: token))
      }
    }
    tokens.reserveCapacity(tokens.count + range.count)
    switch type {
    case .u16: append(UInt16.self)
    default: append(Int32.self)
    }
  }

  private static func range(of tokens: UnsafeRawBufferPointer, _ type: ElementType) -> ClosedRange<
    Int
  > {
    func scan<Token: FixedWidthInteger & BitwiseCopyable>(_: Token.Type) -> ClosedRange<Int> {
      var smallest = Token.max
      var largest = Token.min
      for place in stride(from: 0, to: tokens.count, by: MemoryLayout<Token>.size) {
        let token = tokens.loadUnaligned(fromByteOffset: place, as: Token.self)
        smallest = min(smallest, token)
        largest = max(largest, token)
      }
      return Int(smallest)...Int(largest)
    }
    switch type {
    case .u16: return scan(UInt16.self)
    case .u32: return scan(UInt32.self)
    default: return scan(Int32.self)
    }
  }
}

extension SafetensorsFile {
  /// A tensor of one dimension and one of the `allowed` types.
  func vector(
    _ name: String, of allowed: [ElementType]
  ) throws -> TensorDescriptor {
    let types = allowed.map(\.rawValue).joined(separator: ", ")
    guard let tensor = self[name] else {
      throw CorpusError(
        path: path, reason: "no tensor \(name); a token data set has one, \(types)")
    }
    guard allowed.contains(tensor.elementType), tensor.shape.count == 1 else {
      throw CorpusError(
        path: path,
        reason:
          "\(name) is \(tensor.elementType.rawValue) \(tensor.shape), not \(types) of one dimension"
      )
    }
    return tensor
  }
}
