// F16 and BF16 against Swift's own conversions, all 65 536 patterns of each, aligned or not.

import Safetensors
import TestSupport
import Testing

@Suite("widening")
struct WideningTests {
  /// All 16-bit patterns as a tensor, `shift` bytes off their alignment.
  private func read(_ type: ElementType, shift: Int, in folder: TemporaryDirectory) throws
    -> [Float]
  {
    let patterns = (0...UInt16.max).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    let path = folder.file("\(type)\(shift).safetensors")
    // The writer puts wider types first, so bytes before a 16-bit tensor take a U8 file of our own.
    if shift == 0 {
      try SafetensorsWriter.write(
        [TensorToWrite(name: "all", elementType: type, shape: [256, 256], bytes: patterns)],
        to: path)
    } else {
      let header = """
        {"pad":{"dtype":"U8","shape":[\(shift)],"data_offsets":[0,\(shift)]},"all":
        {"dtype":"\(type.rawValue)","shape":[65536],"data_offsets":[\(shift),\(shift + 131_072)]}}
        """
      let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
      let length = withUnsafeBytes(of: UInt64(padded.utf8.count).littleEndian) { Array($0) }
      try writeAtomically(to: path) { file in
        try (length + Array(padded.utf8) + [UInt8](repeating: 0, count: shift) + patterns)
          .withUnsafeBytes { try file.append($0) }
      }
    }
    return try SafetensorsFile(path: path).readFloats(named: "all")
  }

  @Test("all F16 patterns become Swift's Floats", arguments: [0, 1, 3])
  func half(shift: Int) throws {
    let values = try read(.f16, shift: shift, in: TemporaryDirectory())
    let wrong = (0...UInt16.max).filter { pattern in
      let expected = Float(Float16(bitPattern: pattern))
      let value = values[Int(pattern)]
      // Swift's conversion may make a signalling NaN quiet.
      return expected.isNaN ? !value.isNaN : value.bitPattern != expected.bitPattern
    }
    #expect(wrong.isEmpty)
  }

  @Test("all BF16 patterns become the upper half of a Float", arguments: [0, 1, 3])
  func brainFloat(shift: Int) throws {
    let values = try read(.bf16, shift: shift, in: TemporaryDirectory())
    #expect(values.map(\.bitPattern) == (0...65_535).map { UInt32($0) << 16 })
  }

  @Test("widening takes less than 2 ns an element")
  func speed() throws {
    let folder = try TemporaryDirectory()
    let count = 1 << 22
    let bytes = [UInt8](repeating: 0x3C, count: 2 * count)
    for type in [ElementType.f16, .bf16] {
      let path = folder.file("\(type).safetensors")
      try SafetensorsWriter.write(
        [TensorToWrite(name: "x", elementType: type, shape: [count], bytes: bytes)], to: path)
      let file = try SafetensorsFile(path: path)
      var values = [Float](repeating: 0, count: count)
      var fastest = Duration.seconds(1)
      for _ in 0..<5 {
        let start = ContinuousClock.now
        try values.withUnsafeMutableBufferPointer { try file.readFloats(named: "x", into: $0) }
        fastest = min(fastest, ContinuousClock.now - start)
      }
      print("\(type.rawValue): \(fastest / count * 1e3) per 1000 elements")
      #if !DEBUG
        #expect(fastest / count < .nanoseconds(2), "\(type.rawValue)")
      #endif
    }
  }
}
