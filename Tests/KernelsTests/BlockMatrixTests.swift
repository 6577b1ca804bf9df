// Matrices in blocks of 32 weights: rounding and widening as the Python package gguf does them
// (Tests/Goldens/blocks), and products to the bit as with the widened matrix.

import Foundation
import Kernels
import Testing

/// What make_block_goldens.py wrote: floats and blocks as hexadecimal bytes.
private struct BlockGolden: Decodable {
  struct Format: Decodable {
    let blocks: String
    let widened: String
  }
  let shape: [Int]
  let weights: String
  let q8_0: Format
  let q4_0: Format
  let q4_1: Format

  static func load() throws -> BlockGolden {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    return try JSONDecoder().decode(
      BlockGolden.self,
      from: Data(contentsOf: folder.appendingPathComponent("../Goldens/blocks/blocks.json")))
  }

  static func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex.utf8).map { UInt8(Character(UnicodeScalar($0)).hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  static func floats(_ hex: String) -> [Float] {
    let bytes = bytes(hex)
    return stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * $1) })
    }
  }
}

@Suite("Matrices in blocks")
struct BlockMatrixTests {
  /// Packs a matrix and gives its bytes and the matrix to `body`.
  private func withPacked(
    _ format: MatrixFormat, _ weights: [Float], inputs: Int, outputs: Int,
    _ body: (UnsafeRawBufferPointer, BlockMatrix) -> Void
  ) {
    let packing = format.packing!
    let count = packing.byteCount(inputs, outputs)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
    defer { memory.deallocate() }
    packing.pack(weights, inputs, outputs, memory)
    body(
      UnsafeRawBufferPointer(start: memory, count: count),
      packing.matrix(memory, inputs, outputs) as! BlockMatrix)
  }

  @Test("blocks and widened weights are those of gguf")
  func golden() throws {
    let golden = try BlockGolden.load()
    let (outputs, inputs) = (golden.shape[0], golden.shape[1])
    let weights = BlockGolden.floats(golden.weights)
    for (format, expected) in [
      (MatrixFormat.q8_0, golden.q8_0), (.q4_0, golden.q4_0), (.q4_1, golden.q4_1),
    ] {
      withPacked(format, weights, inputs: inputs, outputs: outputs) { bytes, matrix in
        let blocks = BlockGolden.bytes(expected.blocks)
        #expect(Array(bytes.prefix(blocks.count)) == blocks, "\(format.rawValue)")
        #expect(
          matrix.widened().map(\.bitPattern)
            == BlockGolden.floats(expected.widened).map(\.bitPattern), "\(format.rawValue)")
      }
    }
  }

  @Test("bytes are 0.266, 0.141 and 0.156 of those of fp32")
  func size() {
    for (format, share) in [(MatrixFormat.q8_0, 34), (.q4_0, 18), (.q4_1, 20)] {
      #expect(format.packing!.byteCount(576, 1536) == 576 * 1536 / 32 * share)
      #expect(format.packing!.inputMultiple == 32)
    }
  }

  @Test(
    "products have the bits of those with the widened matrix",
    arguments: [(1, 32, 5), (7, 96, 33), (60, 1216, 130), (13, 64, 700)])
  func products(_ tokens: Int, _ inputs: Int, _ outputs: Int) {
    var values = TestValues(UInt64(tokens + inputs))
    let weights = values.array(inputs * outputs)
    for format in [MatrixFormat.q8_0, .q4_0, .q4_1] {
      withPacked(format, weights, inputs: inputs, outputs: outputs) { _, matrix in
        expectProducts(
          of: matrix, weight: matrix.widened(), tokens: tokens, inputs: inputs, outputs: outputs,
          &values)
      }
    }
  }
}
