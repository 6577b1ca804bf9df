// The writer beside PyPI's `gguf` (Tests/Goldens/gguf/make_golden.py), byte by byte.

import Foundation
import GGUF
import Safetensors
import TestSupport
import Testing

@Suite("GGUF files")
struct GGUFWriterTests {
  /// The entries and tensors of make_golden.py.
  private static let entries = [
    GGUFEntry("general.architecture", .string("llama")),
    GGUFEntry("general.type", .string("adapter")),
    GGUFEntry("adapter.type", .string("lora")),
    GGUFEntry("adapter.lora.alpha", .float32(12.5)),
    GGUFEntry("llama.block_count", .uint32(3)),
    GGUFEntry("tokenizer.ggml.add_bos_token", .bool(false)),
    GGUFEntry("tokenizer.ggml.add_eos_token", .bool(true)),
    GGUFEntry("tokenizer.ggml.tokens", .strings(["a", "Ġé", "", "\n"])),
    GGUFEntry("tokenizer.ggml.token_type", .int32s([1, 3, 6, 2])),
  ]

  private static let vector: [Float] = [
    1 + 0x1p-11, 1 + 3 * 0x1p-11, 1 + 0x1p-8, 1 + 3 * 0x1p-8, -0.0, 0x1p-24, -65504,
  ]

  private static func tensors() -> [GGUFTensor] {
    [
      GGUFTensor(
        name: "blk.0.attn_q.weight.lora_a", shape: [3, 5],
        values: { (0..<15).map { Float($0 - 7) } }),
      GGUFTensor(name: "half", shape: [7], elementType: .f16, values: { vector }),
      GGUFTensor(name: "brain", shape: [7], elementType: .bf16, values: { vector }),
      GGUFTensor(name: "single", shape: [7], values: { vector }),
    ]
  }

  @Test("a file has the bytes that PyPI's gguf writes")
  func bytes() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("small.gguf")
    try GGUFWriter.write(Self.entries, Self.tensors(), toNew: path)
    let written = try Data(contentsOf: URL(filePath: path))
    let golden = try Data(contentsOf: URL(filePath: goldenPath("gguf/small.gguf")))
    #expect(written.count == golden.count)
    let place = zip(written, golden).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    #expect(place == nil, "the first byte that differs; make_golden.py writes the golden anew")
    #expect(try directory.contents == ["small.gguf"])
  }

  @Test("a file that exists stays as it was, and a failure leaves nothing")
  func failures() throws {
    struct Broken: Error {}
    let directory = try TemporaryDirectory()
    let path = directory.file("x.gguf")
    #expect(throws: Broken.self) {
      try GGUFWriter.write(
        [], Self.tensors() + [GGUFTensor(name: "x", shape: [1], values: { throw Broken() })],
        toNew: path)
    }
    #expect(try directory.contents.isEmpty)
    try Data("old".utf8).write(to: URL(filePath: path))
    let error = #expect(throws: SafetensorsError.self) {
      try GGUFWriter.write(Self.entries, Self.tensors(), toNew: path)
    }
    #expect(error?.errorNumber == EEXIST)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try directory.contents == ["x.gguf"])
  }

  @Test(
    "a value beyond the range of its number format is refused",
    arguments: [(GGUFElementType.f16, Float(65520)), (.bf16, Float.greatestFiniteMagnitude)])
  func range(_ type: GGUFElementType, _ value: Float) throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: SafetensorsError.self) {
      try GGUFWriter.write(
        [], [GGUFTensor(name: "big", shape: [1], elementType: type, values: { [value] })],
        toNew: directory.file("x.gguf"))
    }
    #expect(error?.reason.contains("tensor big") == true)
    #expect(try directory.contents.isEmpty)
  }
}
