import Foundation
import Sparsity
import Testing

@Suite("Value formats")
struct ValueFormatTests {
  /// The values after a round trip as a dense message.
  func rounded(_ values: [Float], _ format: ValueFormat) throws -> [Float] {
    let vector = values.withUnsafeBufferPointer { SparseVector(dense: $0) }
    let message = VectorCodec.encode(vector, format: format).bytes
    return try VectorCodec.decode(message, expectedLength: values.count).values
  }

  /// Floats of every exponent, ties and neighbours of ties, and special ones.
  var probes: [Float] {
    var random = SeededGenerator(11)
    var bits: [UInt32] = []
    for high in stride(from: UInt32(0), through: 0x7F80, by: 5) {
      for low: UInt32 in [0, 1, 0x0FFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
        bits.append(high << 16 | low)
        bits.append(high << 16 | 0x8000_0000 | low)
      }
    }
    for _ in 0..<100_000 { bits.append(UInt32.random(in: 0 ... .max, using: &random)) }
    let special: [Float] = [
      65504, 65519.996, 65520, 65536, 3.3895314e38, .greatestFiniteMagnitude, .infinity,
      0x1p-24, 0x1p-25, 0x1.000002p-25, 0x1.8p-24, 0x1p-14, .leastNonzeroMagnitude, 0, .nan,
    ]
    return bits.map { Float(bitPattern: $0) }.filter { !$0.isNaN } + special + special.map { -$0 }
  }

  @Test("fp16 rounds as the compiler's Float16 does, but saturates")
  func half() throws {
    let probes = probes
    for (x, y) in zip(probes, try rounded(probes, .fp16)) {
      var expected = Float(Float16(x))
      if expected.isInfinite && x.isFinite { expected = x < 0 ? -65504 : 65504 }
      if x.isNaN {
        #expect(y.isNaN && y.sign == x.sign)
      } else {
        #expect(y.bitPattern == expected.bitPattern, "\(x)")
      }
    }
  }

  @Test("every fp16 is read as the compiler's Float16 is")
  func halfValues() throws {
    var message: [UInt8] = [0x53, 0x50, 0x56, 2, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    for bits in UInt16.min ... .max { message += [UInt8(bits & 255), UInt8(bits >> 8)] }
    let values = try VectorCodec.decode(message, expectedLength: 65536).values
    for (bits, value) in zip(UInt16.min ... .max, values) {
      let expected = Float(Float16(bitPattern: bits))
      #expect(expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern)
    }
  }

  @Test("bf16 is the nearest of the two neighbours, the even one of a tie, but saturates")
  func brainFloat() throws {
    let probes = probes
    for (x, y) in zip(probes, try rounded(probes, .bf16)) {
      if x.isNaN {
        #expect(y.isNaN && y.sign == x.sign)
        continue
      }
      #expect(y.bitPattern & 0xFFFF == 0)
      #expect(y.sign == x.sign)
      if x.isInfinite {
        #expect(y == x)
        continue
      }
      let lower = Float(bitPattern: x.bitPattern & 0x7FFF_0000)
      let upper = Float(bitPattern: (x.bitPattern & 0x7FFF_0000) &+ 0x1_0000)
      let (below, above) = (
        Double(x.magnitude) - Double(lower), Double(upper) - Double(x.magnitude)
      )
      let lowerIsEven = lower.bitPattern & 0x1_0000 == 0
      let goesDown = upper.isInfinite || below < above || below == above && lowerIsEven
      #expect(y.magnitude == (goesDown ? lower : upper), "\(x)")
    }
  }

  /// Where the tensors of the tests end: empty ones and single coordinates among them.
  func tensorEnds(_ length: Int) -> [Int]? {
    let next = min(length, length / 7 + 1)
    return [0, 0, length / 7, length / 7, next, max(next, length / 2), length, length]
  }

  @Test(
    "a message of every format, codec and density gives back the rounded values",
    arguments: ValueFormat.allCases)
  func roundTrip(format: ValueFormat) throws {
    var random = SeededGenerator(12)
    for length in [0, 1, 2, 3, 9, 64, 65, 1001, 4096, 20_001] {
      for divisor in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256] {
        let mask = random.mask(length: length, density: divisor == 0 ? 0 : 1 / Double(divisor))
        let values = mask.indices.map { _ in random.value() }
        let vector = SparseVector(mask: mask, values: values)
        let other = random.mask(length: length, density: 0.3)
        for ends in [nil, tensorEnds(length)] {
          for codec in Codec.allCases {
            let known = codec == .known ? mask : other
            let message = VectorCodec.encode(
              vector, format: format, codec: codec, known: known, tensorEnds: ends,
              rounding: &random)
            #expect(message.codec == codec && message.format == format)
            #expect(message.bytes.count == message.size.total)
            #expect(
              message.size
                == VectorCodec.size(
                  of: vector, format: format, codec: codec, known: known,
                  tensorCount: ends?.count ?? 1))
            let slots = codec == .dense ? length : mask.count
            let scales = format.isStochastic ? 4 * (ends?.count ?? 1) : 0
            #expect(message.size.values == (slots * format.bits + 7) / 8 + scales)
            #expect(message.size.header == (codec.needsKnownSupport ? 20 : 16))
            let decoded = try VectorCodec.decode(
              message.bytes, expectedLength: length, tensorEnds: ends, known: known)
            #expect(decoded.mask == mask)
            check(decoded, vector, format, ends ?? [length])

            var whole = [Float](repeating: .nan, count: length)
            let kept = try whole.withUnsafeMutableBufferPointer {
              try VectorCodec.decode(message.bytes, tensorEnds: ends, known: known, into: $0)
            }
            #expect(kept == mask)
            #expect(whole.map(\.bitPattern) == decoded.dense().map(\.bitPattern))
            if !format.isStochastic {
              let again = VectorCodec.encode(decoded, format: format, codec: codec, known: known)
              #expect(again.bytes == message.bytes)
            }
          }
        }
      }
    }
  }

  /// Whether `decoded` is a rounding of `vector`.
  func check(
    _ decoded: SparseVector, _ vector: SparseVector, _ format: ValueFormat, _ ends: [Int]
  ) {
    let pairs = zip(decoded.values, vector.values)
    switch format {
    case .fp32: #expect(decoded == vector)
    case .bf16: #expect(pairs.allSatisfy { abs($0 - $1) <= abs($1) * 0x1p-8 })
    case .fp16: #expect(pairs.allSatisfy { $0 == Float(Float16($1)) })
    case .int8, .int4:
      let levels: Float = format == .int8 ? 127 : 7
      var start = 0
      for end in ends {
        let inTensor = zip(vector.indices, pairs).filter { (start..<end).contains(Int($0.0)) }
          .map(\.1)
        let scale = inTensor.reduce(0) { max($0, abs($1.1)) }
        for (rounded, value) in inTensor {
          let level = scale == 0 ? 0 : (abs(rounded) / scale * levels).rounded()
          #expect(abs(rounded) == level / levels * scale)
          #expect(abs(rounded - value) <= scale / levels * 1.000001)
          #expect(rounded == 0 || (rounded < 0) == (value < 0))
          #expect(abs(value) < scale || rounded == value)
          #expect(value != 0 || rounded == 0)
        }
        start = end
      }
    }
  }

  @Test(
    "stochastic rounding is unbiased, with the variance of a choice between two levels",
    arguments: [ValueFormat.int8, .int4])
  func unbiased(format: ValueFormat) throws {
    let levels: Float = format == .int8 ? 127 : 7
    var random = SeededGenerator(13)
    let count = 500_001
    for t: Float in [0.001, 0.25, 0.5, 1.9, 3.1, 5.75, 6.999] {
      for scale: Float in [1, 3e-5, 0x1p-135] {
        for sign: Float in [1, -1] {
          // The first value sets the scale, all others are drawn.
          let x = sign * t / levels * scale
          let values = [scale] + [Float](repeating: x, count: count)
          let vector = values.withUnsafeBufferPointer { SparseVector(dense: $0) }
          let message = VectorCodec.encode(vector, format: format, rounding: &random)
          let drawn = try VectorCodec.decode(message.bytes, expectedLength: count + 1).values
          #expect(drawn[0] == scale)
          let step = Double(scale) / Double(levels)
          let mean = drawn.dropFirst().reduce(0) { $0 + Double($1) } / Double(count)
          // Hoeffding: a mean of N numbers within a step is off by more with a chance of 1e-9. The
          // rest is the rounding of Floats, of subnormal ones to multiples of the smallest.
          let chance = step * (log(2e9) / (2 * Double(count))).squareRoot()
          let rounding =
            step * 0x1p-17 + Double(scale) * 0x1p-22 + Double(Float.leastNonzeroMagnitude)
          #expect(abs(mean - Double(x)) <= chance + rounding, "\(x) of \(scale): \(mean)")
          if scale < 1e-30 { continue }
          let fraction = Double(t) - Double(t).rounded(.down)
          let variance =
            drawn.dropFirst().reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
            / Double(count)
          let expected = fraction * (1 - fraction) * step * step
          #expect(abs(variance - expected) < 0.01 * step * step)
        }
      }
    }
  }

  @Test("the draws of a message are the generator's, so the same seed gives the same bytes")
  func draws() {
    let values = (0..<5000).map { Float($0) }
    let vector = values.withUnsafeBufferPointer { SparseVector(dense: $0) }
    func bytes(_ seed: Int) -> [UInt8] {
      var random = SeededGenerator(seed)
      let message = VectorCodec.encode(vector, format: .int8, rounding: &random)
      var expected = SeededGenerator(seed)
      for _ in 0..<1250 { _ = expected.next() }
      #expect(random.state == expected.state)
      return message.bytes
    }
    #expect(bytes(1) == bytes(1))
    #expect(bytes(1) != bytes(2))
  }

  @Test("a NaN or an infinity makes its tensor NaN, and no other")
  func nonFinite() throws {
    var random = SeededGenerator(14)
    for special: Float in [.nan, .infinity, -.infinity] {
      for format in [ValueFormat.int8, .int4] {
        let vector = SparseVector(length: 6, indices: [0, 2, 3, 5], values: [1, special, -2, 3])
        let message = VectorCodec.encode(
          vector, format: format, tensorEnds: [2, 4, 6], rounding: &random)
        let decoded = try VectorCodec.decode(
          message.bytes, expectedLength: 6, tensorEnds: [2, 4, 6])
        #expect(decoded.values.map(\.isNaN) == [false, true, true, false])
        #expect(decoded.values[0] == 1 && decoded.values[3] == 3)
        #expect(decoded.firstNonFinite == 2)
      }
    }
  }

  @Test("messages have the documented bytes")
  func documentedBytes() {
    var random = SeededGenerator(15)
    let vector = SparseVector(length: 9, indices: [1, 4, 8], values: [1, -2, 0.5])
    func body(_ format: ValueFormat, _ codec: Codec) -> [UInt8] {
      Array(
        VectorCodec.encode(vector, format: format, codec: codec, rounding: &random).bytes[16...])
    }
    #expect(body(.bf16, .bitmap) == [0x80, 0x3F, 0, 0xC0, 0, 0x3F, 0b10010, 1])
    #expect(body(.fp16, .bitmap) == [0, 0x3C, 0, 0xC0, 0, 0x38, 0b10010, 1])
    // A scale of 2; -2 is level -7, code 0, between the codes of 1 (10 or 11) and 0.5 (8 or 9).
    let int4 = body(.int4, .bitmap)
    #expect(Array(int4[..<4]) == [0, 0, 0, 0x40])
    #expect(int4[4] == 10 || int4[4] == 11)
    #expect(int4[5] == 8 || int4[5] == 9)
    #expect(Array(int4[6...]) == [0b10010, 1])
    let dense = body(.int8, .dense)
    #expect(dense.count == 4 + 9)
    #expect(dense[4] == 255 && dense[4 + 4] == 0 && dense[4 + 7] == 255)
    #expect(dense[5] == 190 || dense[5] == 191)
    let half = body(.int4, .dense)
    #expect(half[4] & 15 == 15 && half[5] == 0xFF && half[6] == 0xF0 && half[8] >> 4 == 0)
  }

  @Test("other tensors than the writer's are refused")
  func otherTensors() {
    var random = SeededGenerator(16)
    let vector = random.sparseVector(length: 100, density: 0.2)
    let finite = SparseVector(mask: vector.mask, values: vector.values.map { _ in 1 })
    let message = VectorCodec.encode(
      finite, format: .int8, tensorEnds: [40, 100], rounding: &random
    ).bytes
    for ends in [nil, [41, 100], [40, 60, 100], [100]] {
      #expect(throws: VectorCodecError.self) {
        try VectorCodec.decode(message, expectedLength: 100, tensorEnds: ends)
      }
    }
  }
}
