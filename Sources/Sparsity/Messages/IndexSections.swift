// Reading the indices sections of messages that may come from anywhere: all of them are strictly
// ascending and below the length when this is done, and as many as the header says.

/// An array of `count` elements that `body` initializes all of, or throws.
@inline(__always)
func filled<Element>(
  _ count: Int, _ body: (UnsafeMutablePointer<Element>) throws(VectorCodecError) -> Void
) throws(VectorCodecError) -> [Element] {
  guard count > 0 else { return [] }
  // The standard initializer passes on errors without their type.
  var failure: VectorCodecError?
  let elements = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
    do throws(VectorCodecError) {
      try body(buffer.baseAddress!)
      initialized = count
    } catch {
      failure = error
    }
  }
  if let failure { throw failure }
  return elements
}

/// The first `count` 32-bit words of `bytes`.
@inline(__always)
private func readWords<Element>(
  _ bytes: UnsafeRawBufferPointer, _ count: Int, _ element: (UInt32) -> Element
) -> [Element] {
  [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
    if let from = bytes.baseAddress, let to = buffer.baseAddress {
      for i in 0..<count {
        let word = from.loadUnaligned(fromByteOffset: 4 &* i, as: UInt32.self)
        (to + i).initialize(to: element(UInt32(littleEndian: word)))
      }
    }
    initialized = count
  }
}

/// Reads plain indices of 4 bytes, of which there are exactly `count`.
func readIndices(
  _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
) throws(VectorCodecError) -> [UInt32] {
  let indices = readWords(bytes, count) { $0 }
  guard indices.withUnsafeBufferPointer({ areAscending($0, below: length) }) else {
    throw .init("\(count) indices are not strictly ascending below the length \(length)")
  }
  return indices
}

/// Reads a bit for each coordinate, up to the last byte of `bytes`; `count` of them are set.
func readBitmap(
  _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
) throws(VectorCodecError) -> [UInt32] {
  var ones = 0
  forEachWord(bytes) { word, _ in ones &+= word.nonzeroBitCount }
  guard ones == count else {
    throw .init("the bitmap has \(ones) bits set for a count of \(count)")
  }
  if let last = bytes.last, bytes.count * 8 - last.leadingZeroBitCount > length, last != 0 {
    throw .init("the bitmap has bits set beyond the length \(length)")
  }
  return try filled(count) { indices throws(VectorCodecError) in
    var next = indices
    forEachWord(bytes) { word, first in
      var word = word
      while word != 0 {
        next.initialize(
          to: UInt32(truncatingIfNeeded: first &+ word.trailingZeroBitCount))
        next += 1
        word &= word &- 1
      }
    }
  }
}

/// Reads Rice codes of parameter 0: a bitmap that ends with the byte of its last one.
func readTrimmedBitmap(
  _ bytes: UnsafeRawBufferPointer, count: Int, length: Int
) throws(VectorCodecError) -> [UInt32] {
  guard bytes.count <= (length + 7) / 8, bytes.last != 0 else {
    throw .init("\(bytes.count) bytes of Rice codes do not end with the last of \(count) indices")
  }
  return try readBitmap(bytes, count: count, length: length)
}

/// Calls `body` with 64 bits at a time and the number of the first; missing bits are zero.
@inline(__always)
private func forEachWord(
  _ bytes: UnsafeRawBufferPointer, _ body: (UInt64, Int) -> Void
) {
  guard let start = bytes.baseAddress else { return }
  var offset = 0
  while offset + 8 <= bytes.count {
    let word = start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    body(UInt64(littleEndian: word), offset &* 8)
    offset &+= 8
  }
  while offset < bytes.count {
    body(UInt64(bytes[offset]), offset &* 8)
    offset &+= 1
  }
}
