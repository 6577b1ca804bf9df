// Elementary functions in Double from additions, multiplications, divisions and square roots alone,
// so that their bits depend neither on the CPU nor on the C library. Ranges are reduced as Cody &
// Waite (1980) do; the polynomials are the minimax polynomials of fdlibm (Sun Microsystems, 1993).
// docs/arithmetic.md has all steps and constants.

/// Elementary functions whose results are the same everywhere, within one unit in the last place.
public enum Elementary {
  private static let ln2High = 0x1.62e42feep-1
  private static let ln2Low = 0x1.a39ef35793c76p-33

  /// e to the power of `x`.
  public static func exp(_ x: Double) -> Double {
    guard x == x else { return x }
    if x > 709.782712893384 { return .infinity }
    if x < -745.1332191019412 { return 0 }
    let n = (x * 0x1.71547652b82fep0).rounded(.toNearestOrEven)
    let high = x - n * ln2High
    let low = n * ln2Low
    let r = high - low
    let z = r * r
    var p = 0x1.6376972bea4dp-25
    p = p * z - 0x1.bbd41c5d26bf1p-20
    p = p * z + 0x1.1566aaf25de2cp-14
    p = p * z - 0x1.6c16c16bebd93p-9
    p = p * z + 0x1.555555555553ep-3
    let c = r - z * p
    let y = 1 - ((low - r * c / (2 - c)) - high)
    return scaled(y, by: Int(n))
  }

  /// exp of each value relative to the largest, so that none overflows and one is 1.
  public static func relativeExponentials(_ values: [Double]) -> [Double] {
    let largest = values.max() ?? 0
    return values.map { exp($0 - largest) }
  }

  /// y * 2^n; in two steps, the second of which rounds where the result is subnormal.
  private static func scaled(_ y: Double, by n: Int) -> Double {
    func power(_ n: Int) -> Double { Double(sign: .plus, exponent: n, significand: 1) }
    if n > 1000 { return y * power(1000) * power(n - 1000) }
    if n < -1000 { return y * power(-1000) * power(n + 1000) }
    return y * power(n)
  }

  /// The natural logarithm of `x`; negative infinity at 0, not a number below.
  public static func log(_ x: Double) -> Double {
    guard x > 0 else { return x == 0 ? -.infinity : .nan }
    guard x < .infinity else { return x }
    // x = 2^k (1 + f), 1 + f from sqrt(1/2) to sqrt 2.
    var k = Double(x.exponent)
    var m = x.significand
    if m > 0x1.6a09e667f3bcdp0 {
      m /= 2
      k += 1
    }
    let f = m - 1
    let s = f / (2 + f)
    let z = s * s
    var r = 0x1.2f112df3e5244p-3
    r = r * z + 0x1.39a09d078c69fp-3
    r = r * z + 0x1.7466496cb03dep-3
    r = r * z + 0x1.c71c51d8e78afp-3
    r = r * z + 0x1.2492494229359p-2
    r = r * z + 0x1.999999997fa04p-2
    r = r * z + 0x1.5555555555593p-1
    let half = f * f / 2
    return k * ln2High - ((half - (s * (half + z * r) + k * ln2Low)) - f)
  }

  /// `x` to the power of `y`, for x > 0: exp(y log x), within a few units in the last place while
  /// |y log x| is small.
  public static func pow(_ x: Double, _ y: Double) -> Double { exp(y * log(x)) }

  /// The cosine of `x`, |x| at most 2^20.
  public static func cos(_ x: Double) -> Double { circular(x, quarters: 0) }

  /// The sine of `x`, |x| at most 2^20.
  public static func sin(_ x: Double) -> Double { circular(x, quarters: 3) }

  /// The cosine of `x` + `quarters` pi / 2.
  private static func circular(_ x: Double, quarters: Int) -> Double {
    let (n, high, low) = reduced(x)
    return switch (n + quarters) & 3 {
    case 0: cosKernel(high, low)
    case 1: -sinKernel(high, low)
    case 2: -cosKernel(high, low)
    default: sinKernel(high, low)
    }
  }

  /// n and the two parts of x - n pi / 2. The first parts of pi / 2 have 33 bits, so that their
  /// products with n are exact.
  private static func reduced(_ x: Double) -> (Int, Double, Double) {
    precondition(abs(x) <= 0x1p20, "an angle of \(x) is too large")
    let n = (x * 0x1.45f306dc9c883p-1).rounded(.toNearestOrEven)
    let first = x - n * 0x1.921fb544p0
    let second = n * 0x1.0b4611a6p-34
    let r = first - second
    let rest = n * 0x1.3198a2e037073p-69 - ((first - r) - second)
    let high = r - rest
    return (Int(n), high, (r - high) - rest)
  }

  private static func sinKernel(_ x: Double, _ low: Double) -> Double {
    let z = x * x
    var p = 0x1.5d93a5acfd57cp-33
    p = p * z - 0x1.ae5e68a2b9cebp-26
    p = p * z + 0x1.71de357b1fe7dp-19
    p = p * z - 0x1.a01a019c161d5p-13
    p = p * z + 0x1.111111110f8a6p-7
    let v = z * x
    return x - ((z * (low / 2 - v * p) - low) + v * 0x1.5555555555549p-3)
  }

  private static func cosKernel(_ x: Double, _ low: Double) -> Double {
    let z = x * x
    var p = -0x1.8fae9be8838d4p-37
    p = p * z + 0x1.1ee9ebdb4b1c4p-29
    p = p * z - 0x1.27e4f809c52adp-22
    p = p * z + 0x1.a01a019cb159p-16
    p = p * z - 0x1.6c16c16c15177p-10
    p = p * z + 0x1.555555555554cp-5
    let half = z / 2
    let w = 1 - half
    return w + (((1 - w) - half) + (z * (z * p) - x * low))
  }
}
