// Rice codes for the gaps between kept coordinates (Rice, "Some practical universal noiseless
// coding techniques", 1979; Golomb, "Run-length encodings", 1966).
//
// For ascending indices x[0], x[1], ... the gap g[i] = x[i] - x[i-1] - 1 (with x[-1] = -1) is
// written as q = g >> b zero bits, a one bit, and the b low bits of g. Bits fill bytes from the
// least significant bit up; the last byte is padded with zeros. For a random mask of
// density p the gaps are geometric and a well-chosen b stays within 2 % of the entropy at
// p = 2^-1, 2^-2, .... With b = 0 the stream is the bitmap up to its last one (and is written
// and read as that), so that the best Rice stream is never longer than the bitmap.

/// The largest Rice parameter: gaps are below 2^32.
let largestRiceParameter = 31

/// The parameter of the shortest Rice stream and that stream's exact length.
///
/// The bits of a stream are count * (1 + b) + sum(g >> b). From b to b + 1 they change by
/// count - sum(ceil((g >> b) / 2)), which can only grow with b: the length is convex in b, and
/// walking downhill from any start finds the shortest. The start is the logarithm of the mean gap.
///
/// - Complexity: one pass over the indices for each b looked at, in practice three.
func bestRiceParameter(_ indices: UnsafeBufferPointer<UInt32>) -> (parameter: Int, bits: Int) {
  guard let last = indices.last else { return (0, 0) }
  let gaps = Int(last) + 1 - indices.count
  func bits(_ parameter: Int) -> Int {
    indices.count * (1 + parameter) + riceQuotientSum(indices, parameter, gaps)
  }
  // The best b is near log2(mean gap * ln 2).
  let mean = gaps / indices.count
  var best = mean < 2 ? 0 : Int.bitWidth - 1 - ((mean * 45426) >> 16).leadingZeroBitCount
  var length = bits(best)
  var mayGrow = true
  while best > 0 {
    let shorter = bits(best - 1)
    // On a tie the smaller parameter, so that the choice does not depend on the start.
    guard shorter <= length else { break }
    (best, length, mayGrow) = (best - 1, shorter, false)
  }
  while mayGrow && best < largestRiceParameter {
    let shorter = bits(best + 1)
    guard shorter < length else { break }
    (best, length) = (best + 1, shorter)
  }
  return (best, length)
}

/// How ascending numbers are written as a Rice stream.
struct RiceStream {
  let parameter: Int
  let bytes: Int

  /// The shortest stream of `indices`.
  init(best indices: [UInt32]) {
    let best = indices.withUnsafeBufferPointer { bestRiceParameter($0) }
    parameter = best.parameter
    bytes = (best.bits + 7) / 8
  }

  /// Writes the stream; it may touch ``riceWriterSlack`` bytes after it.
  func write(_ indices: [UInt32], to start: UnsafeMutableRawPointer) {
    indices.withUnsafeBufferPointer {
      if parameter == 0 {
        writeBitmap($0, byteCount: bytes, to: start)
      } else {
        writeRice($0, parameter: parameter, to: start)
      }
    }
  }
}

/// Reads the `count` numbers below `length` of a Rice stream that must fill `stream` exactly.
func readRiceStream(
  _ stream: UnsafeRawBufferPointer, count: Int, parameter: Int, length: Int
) throws(VectorCodecError) -> [UInt32] {
  if parameter == 0 { return try readTrimmedBitmap(stream, count: count, length: length) }
  // Each takes a bit at least: nothing is allocated for a count that the bytes cannot hold.
  guard count * (1 + parameter) <= stream.count * 8 else {
    throw .init("\(stream.count) bytes of Rice codes are too few for \(count) indices")
  }
  return try filled(count) { buffer throws(VectorCodecError) in
    try readRice(stream, count: count, parameter: parameter, length: length, into: buffer)
  }
}

/// The sum of g >> `parameter` over all gaps; `gaps` is the sum of the gaps themselves.
private func riceQuotientSum(
  _ indices: UnsafeBufferPointer<UInt32>, _ parameter: Int, _ gaps: Int
) -> Int {
  guard parameter > 0, let index = indices.baseAddress else { return gaps }
  let shift = UInt32(parameter)
  var sum = UInt64(index[0] &>> shift)
  for i in 1..<indices.count {
    sum &+= UInt64((index[i] &- index[i - 1] &- 1) &>> shift)
  }
  return Int(sum)
}

/// Bytes that ``writeRice(_:parameter:to:)`` may touch after the end of its stream.
let riceWriterSlack = 8

/// Writes the Rice stream of `indices`.
///
/// - Precondition: `start` has room for the stream's bytes and ``riceWriterSlack`` more.
func writeRice(
  _ indices: UnsafeBufferPointer<UInt32>, parameter: Int, to start: UnsafeMutableRawPointer
) {
  // Between symbols fewer than 8 bits wait in `word`; a store of all 8 bytes then puts them in
  // place, and the bytes after them are overwritten by the next store.
  var next = start
  var word: UInt64 = 0
  var filled = 0
  func put(_ bits: UInt64, _ count: Int) {
    word |= bits &<< UInt64(filled)
    filled &+= count
    next.storeBytes(of: word.littleEndian, as: UInt64.self)
    next += filled &>> 3
    word = word &>> UInt64(filled & 56)
    filled &= 7
  }
  let lowBits = (UInt64(1) << parameter) - 1
  var previous: UInt32 = .max
  for index in indices {
    let gap = UInt64(index &- previous &- 1)
    previous = index
    var quotient = Int(gap &>> UInt64(parameter))
    while quotient > 24 {
      put(0, 24)
      quotient &-= 24
    }
    // At most 24 + 1 + 31 = 56 bits, so with the 7 that wait they fit the word.
    let symbol = ((gap & lowBits) << 1 | 1) &<< UInt64(quotient)
    put(symbol, quotient &+ 1 &+ parameter)
  }
  if filled > 0 { next.storeBytes(of: UInt8(truncatingIfNeeded: word), as: UInt8.self) }
}

/// Reads `count` indices below `length` from a Rice stream that must fill `stream` exactly.
///
/// Speed is that of one dependent chain a symbol: load, shift, count zeros, add.
///
/// - Precondition: `indices` has room for `count`.
func readRice(
  _ stream: UnsafeRawBufferPointer, count: Int, parameter: Int, length: Int,
  into indices: UnsafeMutablePointer<UInt32>
) throws(VectorCodecError) {
  guard count > 0 else {
    guard stream.isEmpty else { throw .init("\(stream.count) bytes of indices for no value") }
    return
  }
  let bits = stream.count * 8
  guard let start = stream.baseAddress, count * (1 + parameter) <= bits else {
    throw .init("\(stream.count) bytes of Rice codes are too few for \(count) indices")
  }
  // The stream from a bit on, least significant bit first; at least 57 bits are valid, and
  // beyond the end they are zero.
  func window(_ position: Int) -> UInt64 {
    let byte = position &>> 3
    if byte &+ 8 <= stream.count {
      let word = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: byte, as: UInt64.self))
      return word &>> UInt64(position & 7)
    }
    var word: UInt64 = 0
    var i = byte
    while i < stream.count {
      word |= UInt64(start.load(fromByteOffset: i, as: UInt8.self)) &<< UInt64((i &- byte) * 8)
      i &+= 1
    }
    return word &>> UInt64(position & 7)
  }

  let lowBits = (UInt64(1) << parameter) - 1
  let largestQuotient = length >> parameter
  var position = 0
  var next = 0
  for i in 0..<count {
    var word = window(position)
    var quotient = 0
    while word == 0 {
      let valid = 64 - (position & 7)
      quotient &+= valid
      position &+= valid
      guard position < bits else { throw .init("the Rice codes end within index \(i) of \(count)") }
      word = window(position)
    }
    let zeros = word.trailingZeroBitCount
    quotient &+= zeros
    position &+= zeros &+ 1
    if zeros &+ 1 &+ parameter <= 57 {
      word = word &>> UInt64(zeros &+ 1)
    } else {
      word = window(position)
    }
    position &+= parameter
    // The quotient is bounded first, so that the shift cannot overflow.
    guard quotient <= largestQuotient else {
      throw .init("index \(i) of \(count) is not below the length \(length)")
    }
    next &+= quotient &<< parameter | Int(truncatingIfNeeded: word & lowBits)
    guard next < length else {
      throw .init("index \(i) of \(count) is \(next), not below the length \(length)")
    }
    indices[i] = UInt32(truncatingIfNeeded: next)
    next &+= 1
  }
  guard position <= bits else { throw .init("the Rice codes end within index \(count - 1)") }
  guard bits - position < 8, window(position) == 0 else {
    throw .init("\(bits - position) bits follow the Rice codes of \(count) indices")
  }
}
