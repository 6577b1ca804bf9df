// A tensor on its way into a GGUF file. Its values are asked for when its turn comes, so that one
// tensor at a time is in memory.

/// The number format of a tensor's elements.
public enum GGUFElementType: UInt32, Sendable {
  /// IEEE 754 single precision.
  case f32 = 0
  /// IEEE 754 half precision.
  case f16 = 1
  /// The upper half of a single.
  case bf16 = 30

  /// Bytes of one element.
  public var byteCount: Int { self == .f32 ? 4 : 2 }

  /// The bytes of `values`, each rounded to the nearest number of the format (ties to even).
  /// - Returns: nil if a finite value would become infinite.
  func encode(_ values: [Float]) -> [UInt8]? {
    switch self {
    case .f32: return values.withUnsafeBytes { Array($0) }
    case .f16: return halves(values) { Float16($0).bitPattern }
    case .bf16: return halves(values, Self.brainFloat)
    }
  }

  private func halves(_ values: [Float], _ convert: (Float) -> UInt16) -> [UInt8]? {
    // The exponent bits of a number that is not finite.
    let exponent: UInt16 = self == .f16 ? 0x7C00 : 0x7F80
    var isInRange = true
    let halves = values.map { value in
      let half = convert(value)
      if half & exponent == exponent, value.isFinite { isInRange = false }
      return half
    }
    return isInRange ? halves.withUnsafeBytes { Array($0) } : nil
  }

  private static func brainFloat(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    guard value.isFinite else { return UInt16(bits >> 16) | (value.isNaN ? 0x40 : 0) }
    let half: UInt32 = 0x7FFF + (bits >> 16 & 1)
    return UInt16((bits + half) >> 16)
  }
}

/// A named tensor whose values are computed when they are written.
public struct GGUFTensor {
  /// The name, unique in the file.
  public let name: String
  /// The dimensions, slowest first (the file has them fastest first).
  public let shape: [Int]
  /// The number format in the file.
  public let elementType: GGUFElementType
  /// The values, row by row.
  let values: () throws -> [Float]

  /// A tensor of `shape`; `values` is called once, when the tensor is written.
  /// - Precondition: `shape` has 1 to 4 dimensions, none of them 0.
  public init(
    name: String, shape: [Int], elementType: GGUFElementType = .f32,
    values: @escaping () throws -> [Float]
  ) {
    precondition(
      (1...4).contains(shape.count) && shape.allSatisfy { $0 > 0 },
      "tensor \(name): \(shape) is no shape of a GGUF tensor")
    self.name = name
    self.shape = shape
    self.elementType = elementType
    self.values = values
  }

  /// Bytes in the file, without padding.
  var byteCount: Int { shape.reduce(elementType.byteCount, *) }
}
