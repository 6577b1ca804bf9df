// XXH64 (Yann Collet, xxHash, "XXH64 algorithm description"): a fast 64-bit hash, not a
// cryptographic one. A run's digest is the XXH64 of the trainable vector and the optimizer's
// moments, so that two runs can be compared to the last bit by 16 hex digits.

/// The XXH64 hash of bytes that arrive in pieces.
package struct XXHash64: Sendable {
  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5
  private static let stripe = 32

  private let seed: UInt64
  private var lanes: SIMD4<UInt64>
  private var pending: [UInt8] = []
  private var length = 0

  /// The hash of no byte yet.
  package init(seed: UInt64 = 0) {
    self.seed = seed
    lanes = [
      seed &+ Self.prime1 &+ Self.prime2, seed &+ Self.prime2, seed, seed &- Self.prime1,
    ]
  }

  /// Appends bytes; the pieces into which a message is cut do not change its hash.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length += bytes.count
    var rest = bytes[...]
    if !pending.isEmpty {
      let taken = rest.prefix(Self.stripe - pending.count)
      pending.append(contentsOf: taken)
      rest = rest.dropFirst(taken.count)
      guard pending.count == Self.stripe else { return }
      let block = pending
      block.withUnsafeBytes { consume($0, at: 0) }
      pending.removeAll(keepingCapacity: true)
    }
    let whole = UnsafeRawBufferPointer(rebasing: rest)
    var offset = 0
    while whole.count - offset >= Self.stripe {
      consume(whole, at: offset)
      offset += Self.stripe
    }
    pending.append(contentsOf: whole[offset...])
  }

  /// Appends the bytes of numbers as they lie in memory.
  package mutating func update<Element: BitwiseCopyable>(_ values: [Element]) {
    values.withUnsafeBytes { update($0) }
  }

  /// The hash of everything appended so far.
  package var value: UInt64 {
    var hash: UInt64
    if length >= Self.stripe {
      hash =
        Self.rotate(lanes[0], 1) &+ Self.rotate(lanes[1], 7) &+ Self.rotate(lanes[2], 12)
        &+ Self.rotate(lanes[3], 18)
      for lane in 0..<4 {
        hash = (hash ^ Self.round(0, lanes[lane])) &* Self.prime1 &+ Self.prime4
      }
    } else {
      hash = seed &+ Self.prime5
    }
    hash &+= UInt64(length)
    return Self.avalanche(finish(hash))
  }

  /// `value` as 16 lower-case hex digits.
  package var hexDigits: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private mutating func consume(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    for lane in 0..<4 {
      lanes[lane] = Self.round(lanes[lane], Self.word(bytes, offset + 8 * lane))
    }
  }

  /// Mixes in the fewer than 32 bytes after the last stripe: words of 8, one of 4, then bytes.
  private func finish(_ start: UInt64) -> UInt64 {
    pending.withUnsafeBytes { tail in
      var hash = start
      var offset = 0
      while tail.count - offset >= 8 {
        hash ^= Self.round(0, Self.word(tail, offset))
        hash = Self.rotate(hash, 27) &* Self.prime1 &+ Self.prime4
        offset += 8
      }
      if tail.count - offset >= 4 {
        let word = tail.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        hash ^= UInt64(UInt32(littleEndian: word)) &* Self.prime1
        hash = Self.rotate(hash, 23) &* Self.prime2 &+ Self.prime3
        offset += 4
      }
      for byte in tail[offset...] {
        hash ^= UInt64(byte) &* Self.prime5
        hash = Self.rotate(hash, 11) &* Self.prime1
      }
      return hash
    }
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotate(lane &+ word &* prime2, 31) &* prime1
  }

  private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
    word &<< bits | word &>> (64 &- bits)
  }

  private static func avalanche(_ word: UInt64) -> UInt64 {
    var hash = word
    hash = (hash ^ hash &>> 33) &* prime2
    hash = (hash ^ hash &>> 29) &* prime3
    return hash ^ hash &>> 32
  }
}
