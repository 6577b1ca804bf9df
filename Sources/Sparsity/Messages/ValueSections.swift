// The values section of a message: the scales of the tensors (int8 and int4), then a code for each
// value, in blocks that stay in the first cache.
//
// A code with all bits set is never a value's: in a dense message it stands for a coordinate
// that is not kept. (In fp32 it would be a NaN that no arithmetic makes.)

/// Values of a block; a multiple of four, so that neither a byte's codes nor a draw's bits are in two.
let valueBlock = 2048

/// The tensors of a list of kept values, walked once from the first value to the last.
private struct TensorWalk {
  let ends: [Int]
  let scales: [Float]
  private var tensor = 0

  init(ends: [Int], scales: [Float]) {
    self.ends = ends
    self.scales = scales
  }

  /// Calls `body` with the part of each tensor that lies in `block`, and the tensor's scale.
  mutating func forEachPart(of block: Range<Int>, _ body: (Range<Int>, Float) -> Void) {
    var start = block.lowerBound
    while start < block.upperBound {
      while ends[tensor] <= start { tensor += 1 }
      let end = min(ends[tensor], block.upperBound)
      body(start..<end, scales[tensor])
      start = end
    }
  }
}

/// Writes the values of a message.
///
/// - Parameter slots: where each code goes; nil for one after the other. Slots that none goes to are
///   left as they are.
/// - Parameter ends: where each tensor's values end.
/// - Parameter fill: fills memory with random words of 64 bits, little endian.
func writeValues(
  _ values: UnsafeBufferPointer<Float>, as format: ValueFormat, ends: [Int], slots: [UInt32]?,
  to section: UnsafeMutableRawPointer, fill: (UnsafeMutableBufferPointer<UInt64>) -> Void
) {
  var scales: [Float] = []
  if format.isStochastic {
    var start = 0
    for (tensor, end) in ends.enumerated() {
      let largest = largestMagnitude(of: UnsafeBufferPointer(rebasing: values[start..<end]))
      let scale = largest.isFinite ? largest : .nan
      scales.append(scale)
      section.storeBytes(
        of: scale.bitPattern.littleEndian, toByteOffset: 4 * tensor, as: UInt32.self)
      start = end
    }
  }
  guard let from = values.baseAddress, !values.isEmpty else { return }
  let codes = section + 4 * scales.count
  var walk = TensorWalk(ends: ends, scales: scales)
  withUnsafeTemporaryAllocation(byteCount: 4 * valueBlock, alignment: 16) { codesOfBlock in
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: valueBlock / 4) { words in
      let scratch = codesOfBlock.baseAddress!
      for start in stride(from: 0, to: values.count, by: valueBlock) {
        let block = start..<min(start + valueBlock, values.count)
        let place = slots == nil ? codes + format.codeBytes(start) : scratch
        if format.isStochastic {
          fill(UnsafeMutableBufferPointer(rebasing: words[..<((block.count + 3) / 4)]))
          let random = UnsafeRawPointer(words.baseAddress!).assumingMemoryBound(to: UInt16.self)
          // Unpacked codes of int4 have a byte each before they are packed.
          let bytes = (format == .int4 ? scratch : place).assumingMemoryBound(to: UInt8.self)
          walk.forEachPart(of: block) { part, scale in
            let offset = part.lowerBound - start
            format.round(
              from + part.lowerBound, part.count, scale: scale, random: random + offset,
              to: bytes + offset)
          }
          if format == .int4 {
            pack(bytes, block.count, into: place.assumingMemoryBound(to: UInt8.self))
          }
        } else {
          format.writeCodes(from + start, block.count, to: place)
        }
        if let slots { spread(scratch, of: format, over: slots[block], to: codes) }
      }
    }
  }
}

/// Packs two codes into a byte, the first in the lower half; in place at most.
private func pack(
  _ codes: UnsafeMutablePointer<UInt8>, _ count: Int, into bytes: UnsafeMutablePointer<UInt8>
) {
  if count % 2 == 1 { codes[count] = 0 }
  for i in 0..<(count + 1) / 2 { bytes[i] = codes[2 &* i] | codes[2 &* i &+ 1] &<< 4 }
}

/// Puts codes that follow each other into the slots of a dense message.
private func spread(
  _ codes: UnsafeRawPointer, of format: ValueFormat, over slots: ArraySlice<UInt32>,
  to section: UnsafeMutableRawPointer
) {
  switch format {
  case .fp32:
    for (i, slot) in zip(0..., slots) {
      let code = codes.load(fromByteOffset: 4 * i, as: UInt32.self)
      section.storeBytes(
        of: code == .max ? Float.nan.bitPattern.littleEndian : code,
        toByteOffset: 4 * Int(slot), as: UInt32.self)
    }
  case .bf16, .fp16:
    for (i, slot) in zip(0..., slots) {
      section.storeBytes(
        of: codes.load(fromByteOffset: 2 * i, as: UInt16.self), toByteOffset: 2 * Int(slot),
        as: UInt16.self)
    }
  case .int8:
    let bytes = section.assumingMemoryBound(to: UInt8.self)
    for (i, slot) in zip(0..., slots) {
      bytes[Int(slot)] = codes.load(fromByteOffset: i, as: UInt8.self)
    }
  case .int4:
    let bytes = section.assumingMemoryBound(to: UInt8.self)
    for (i, slot) in zip(0..., slots) {
      let code = codes.load(fromByteOffset: i / 2, as: UInt8.self) >> UInt8(i % 2 * 4) & 15
      let shift = UInt8(slot % 2 * 4)
      bytes[Int(slot / 2)] = bytes[Int(slot / 2)] & ~(15 << shift) | code << shift
    }
  }
}

/// The values section of a message that is read, of checked size.
struct ValueSection {
  let format: ValueFormat
  private let codes: UnsafeRawBufferPointer
  private let scales: [Float]

  /// - Precondition: as many bytes as `format.bytes(count:tensorCount:)` says for `slots`.
  init(
    _ section: UnsafeRawBufferPointer, format: ValueFormat, slots: Int, tensorCount: Int
  ) throws(VectorCodecError) {
    self.format = format
    var scales: [Float] = []
    if format.isStochastic {
      for tensor in 0..<tensorCount {
        let bits = UInt32(
          littleEndian: section.loadUnaligned(fromByteOffset: 4 * tensor, as: UInt32.self))
        let scale = Float(bitPattern: bits)
        guard bits == Float.nan.bitPattern || scale.isFinite && scale.sign == .plus else {
          throw .init("the scale of tensor \(tensor) is \(scale)")
        }
        scales.append(scale)
      }
    }
    self.scales = scales
    codes = UnsafeRawBufferPointer(rebasing: section[(4 * scales.count)...])
    if format == .int4, slots % 2 == 1, let last = codes.last, last >> 4 != 0 {
      throw .init("the unused half of the last byte of values is \(last >> 4) instead of 0")
    }
  }

  /// Whether slot `i` of a dense message holds a value.
  @inline(__always)
  private func isPresent(_ i: Int) -> Bool {
    switch format {
    case .fp32: codes.loadUnaligned(fromByteOffset: 4 &* i, as: UInt32.self) != .max
    case .bf16, .fp16: codes.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self) != .max
    case .int8: codes[i] != 255
    case .int4: (codes[i / 2] &>> UInt8(i % 2 * 4)) & 15 != 15
    }
  }

  /// The slots of a dense message that hold a value, of which there must be `count`.
  func presentSlots(of length: Int, count: Int) throws(VectorCodecError) -> [UInt32] {
    var present = 0
    for i in 0..<length { present &+= isPresent(i) ? 1 : 0 }
    guard present == count else {
      throw .init("\(present) of \(length) dense values are present for a count of \(count)")
    }
    // One slot more, as each is stored before it is known to be kept: no branch to mispredict.
    return [UInt32](unsafeUninitializedCapacity: count + 1) { buffer, initialized in
      let indices = buffer.baseAddress!
      var next = 0
      var i = 0
      while i < length {
        indices[next] = UInt32(truncatingIfNeeded: i)
        next &+= isPresent(i) ? 1 : 0
        i &+= 1
      }
      initialized = count
    }
  }

  /// Reads the values in blocks.
  ///
  /// - Parameter slots: where each code is; nil for one after the other.
  /// - Parameter ends: where each tensor's values end.
  /// - Parameter target: where the values from that one on are to be read into.
  /// - Parameter done: called when a block was read there.
  @inline(__always)
  func read(
    count: Int, slots: [UInt32]?, ends: [Int], target: (Int) -> UnsafeMutablePointer<Float>,
    done: (Range<Int>) -> Void
  ) throws(VectorCodecError) {
    guard let start = codes.baseAddress, count > 0 else { return }
    var walk = TensorWalk(ends: ends, scales: scales)
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: 4 * valueBlock, alignment: 16)
    defer { scratch.deallocate() }
    let unpacked = scratch.assumingMemoryBound(to: UInt8.self)
    for first in stride(from: 0, to: count, by: valueBlock) {
      let block = first..<min(first + valueBlock, count)
      var from = start + format.codeBytes(first)
      if let slots {
        gather(slots[block], to: scratch)
        from = UnsafeRawPointer(scratch)
      } else if format == .int4 {
        unpack(from, block.count, to: unpacked)
        from = UnsafeRawPointer(scratch)
      }
      let values = target(first)
      guard format.isStochastic else {
        format.readCodes(from, block.count, into: values)
        done(block)
        continue
      }
      let bytes = from.assumingMemoryBound(to: UInt8.self)
      let largest = UInt8(2 * format.largestLevel)
      var widest: UInt8 = 0
      for i in 0..<block.count { widest = max(widest, bytes[i]) }
      guard widest <= largest else {
        throw .init("the code \(widest) of a value is above \(largest)")
      }
      walk.forEachPart(of: block) { part, scale in
        let offset = part.lowerBound - first
        format.scale(bytes + offset, part.count, by: scale, into: values + offset)
      }
      done(block)
    }
  }

  /// Unpacks two codes from each byte.
  private func unpack(
    _ from: UnsafeRawPointer, _ count: Int, to codes: UnsafeMutablePointer<UInt8>
  ) {
    let bytes = from.assumingMemoryBound(to: UInt8.self)
    for i in 0..<count / 2 {
      codes[2 &* i] = bytes[i] & 15
      codes[2 &* i &+ 1] = bytes[i] &>> 4
    }
    if count % 2 == 1 { codes[count - 1] = bytes[count / 2] & 15 }
  }

  /// Collects the codes of slots, those of int4 one in a byte.
  private func gather(_ slots: ArraySlice<UInt32>, to target: UnsafeMutableRawPointer) {
    for (i, slot) in zip(0..., slots) {
      let slot = Int(slot)
      switch format {
      case .fp32:
        let code = codes.loadUnaligned(fromByteOffset: 4 &* slot, as: UInt32.self)
        target.storeBytes(of: code, toByteOffset: 4 &* i, as: UInt32.self)
      case .bf16, .fp16:
        let code = codes.loadUnaligned(fromByteOffset: 2 &* slot, as: UInt16.self)
        target.storeBytes(of: code, toByteOffset: 2 &* i, as: UInt16.self)
      case .int8: target.storeBytes(of: codes[slot], toByteOffset: i, as: UInt8.self)
      case .int4:
        let code = (codes[slot / 2] >> UInt8(slot % 2 * 4)) & 15
        target.storeBytes(of: code, toByteOffset: i, as: UInt8.self)
      }
    }
  }
}
