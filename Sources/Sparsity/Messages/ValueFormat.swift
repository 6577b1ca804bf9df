// How the values of a message are written. Rounding to bf16 and fp16 is to nearest, ties to even
// (IEEE 754); to int8 and int4 it is stochastic, so that the expected message is the vector: QSGD
// (Alistarh et al. 2017, arXiv 1610.02132, section 3.1), with the largest magnitude of a tensor for
// its norm.
//
//     x  ->  sign(x) * scale * level / L,   t = |x| / scale * L,
//     level = floor(t) + 1 with probability t - floor(t), else floor(t)

/// How each value of a message is written.
///
/// What decoding returns is a `Float`: the written value, exactly.
public enum ValueFormat: String, CaseIterable, Sendable {
  /// 32-bit IEEE 754: every bit is kept.
  case fp32
  /// The upper half of fp32: 8 bits of exponent, 7 of fraction.
  ///
  /// A finite value that would round to infinity becomes the largest finite one, 3.39e38; an infinity
  /// stays one, and a NaN becomes the usual NaN of its sign.
  case bf16
  /// 16-bit IEEE 754: 5 bits of exponent, 10 of fraction; subnormals are kept.
  ///
  /// It saturates: a finite value from 65520 up, which would round to infinity, becomes 65504. An
  /// infinity stays one, and a NaN becomes the usual NaN of its sign. Below 2^-25 all is zero.
  case fp16
  /// One of 255 levels, -127 to 127, with a 32-bit scale for each tensor; stochastic.
  ///
  /// The scale is the largest magnitude of the tensor's kept values, which is met exactly. A tensor
  /// with an infinity or a NaN has a NaN for its scale and for all of its values.
  case int8
  /// One of 15 levels, -7 to 7, two in a byte, otherwise as ``int8``.
  case int4

  /// The bits of one value, without its share of a scale.
  public var bits: Int {
    switch self {
    case .fp32: 32
    case .bf16, .fp16: 16
    case .int8: 8
    case .int4: 4
    }
  }

  /// Whether rounding takes random bits (and values have a scale for each tensor).
  package var isStochastic: Bool { self == .int8 || self == .int4 }

  /// The bytes of `count` values of so many tensors, scales included.
  public func bytes(count: Int, tensorCount: Int = 1) -> Int {
    codeBytes(count) + (isStochastic ? 4 * tensorCount : 0)
  }

  /// The bytes of `count` values without scales; the last byte may be padded with zeros.
  func codeBytes(_ count: Int) -> Int { (bits * count + 7) / 8 }

  /// L: the level of the scale. A code is a level plus L.
  var largestLevel: Int { self == .int8 ? 127 : 7 }

  /// Its number in a message's header.
  var number: UInt8 {
    switch self {
    case .fp32: 1
    case .bf16: 2
    case .fp16: 3
    case .int8: 4
    case .int4: 5
    }
  }

  /// The format of that number.
  init?(number: UInt8) {
    guard let format = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = format
  }
}

extension SupportMask {
  /// Where the kept coordinates of each tensor end in the list of all kept ones.
  ///
  /// - Parameter tensorEnds: where each tensor of the flat vector ends; nil for a single one.
  /// - Precondition: the ends ascend (equal ones are empty tensors), and the last is the length.
  func keptEnds(_ tensorEnds: [Int]?) -> [Int] {
    guard let tensorEnds else { return [count] }
    precondition(
      (tensorEnds.first ?? 0) >= 0 && (tensorEnds.last ?? 0) == length
        && zip(tensorEnds, tensorEnds.dropFirst()).allSatisfy { $0 <= $1 },
      "the ends of \(tensorEnds.count) tensors do not ascend to the length \(length)")
    guard let list else { return tensorEnds }
    return tensorEnds.map { end in
      var (low, high) = (0, list.count)
      while low < high {
        let middle = (low + high) / 2
        if Int(list[middle]) < end { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }
}
