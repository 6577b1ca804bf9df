// How short a message can be at best: which k of n coordinates are kept takes log2 C(n, k) bits
// where every choice is equally likely, whatever the code. Only reports use it.

internal import Glibc

extension VectorCodec {
  /// The bytes, not whole, that the choice of `count` among `length` coordinates takes at least.
  ///
  /// - Precondition: `count` is in 0...`length`.
  public static func entropyBoundOfIndices(length: Int, count: Int) -> Double {
    precondition((0...length).contains(count), "\(count) of \(length) coordinates")
    if count == 0 || count == length { return 0 }
    func logFactorial(_ x: Int) -> Double { lgamma(Double(x) + 1).0 }
    let nats = logFactorial(length) - logFactorial(count) - logFactorial(length - count)
    return max(0, nats) / (8 * log(2.0))
  }

  /// The bytes of a message whose indices are as short as chance allows: they, the values (with
  /// scales) and the header as they are.
  ///
  /// It bounds codecs that know nothing of the support; a known one (``Codec/known``,
  /// ``Codec/difference``) may be shorter.
  public static func entropyBound(
    length: Int, count: Int, format: ValueFormat = .fp32, tensorCount: Int = 1
  ) -> Double {
    Double(format.bytes(count: count, tensorCount: tensorCount) + headerBytes)
      + entropyBoundOfIndices(length: length, count: count)
  }
}
