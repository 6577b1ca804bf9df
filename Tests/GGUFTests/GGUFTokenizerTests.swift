// Tokenizers in GGUF's metadata beside llama.cpp's converter
// (Tests/Goldens/gguf/make_tokenizers.py).

import Foundation
import GGUF
import Safetensors
import TestSupport
import Testing

private let root = goldenPath("gguf/tokenizers")

@Suite("Tokenizers in GGUF files")
struct GGUFTokenizerTests {
  /// `entries.json`.
  private struct Golden: Decodable {
    let size: Int
    let model: String
    let tokens: [String]
    let token_type: [Int32]
    let merges: [String]
    let ids: [String: UInt32]
    let adds: [String: Bool]
    let chat_template: String?

    init(_ kind: String) throws {
      let data = try Data(contentsOf: URL(filePath: "\(root)/\(kind)/entries.json"))
      self = try JSONDecoder().decode(Self.self, from: data)
    }
  }

  /// llama.cpp's keys of the special tokens, as it spells them.
  private static let keys = [
    "bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding",
    "mask": "mask",
  ]

  @Test(
    "tokens, merges and special tokens are those of llama.cpp's converter",
    arguments: ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "roberta-bpe", "bert"])
  func entries(_ kind: String) throws {
    let golden = try Golden(kind)
    var expected: [String: GGUFValue] = [
      "model": .string(golden.model), "pre": .string(kind == "bert" ? "default" : kind),
      "tokens": .strings(golden.tokens), "token_type": .int32s(golden.token_type),
    ]
    if kind != "bert" { expected["merges"] = .strings(golden.merges) }
    for (name, number) in golden.ids {
      expected[Self.keys[name]! + "_token_id"] = .uint32(number)
    }
    for (name, adds) in golden.adds { expected["add_\(name)_token"] = .bool(adds) }
    var found: [String: GGUFValue] = [:]
    let entries = try GGUFTokenizer.entries(
      directory: "\(root)/\(kind)", vocabularySize: golden.size)
    for entry in entries where entry.key != "tokenizer.chat_template" {
      found[entry.key.replacing("tokenizer.ggml.", with: "")] = entry.value
    }
    #expect(Set(found.keys) == Set(expected.keys))
    for (key, value) in expected { #expect(found[key] == value, "\(key)") }
    let template = entries.first { $0.key == "tokenizer.chat_template" }?.value
    #expect(template == golden.chat_template.map { .string($0) })
  }

  /// A tokenizer.json of a golden with a text of it replaced.
  private func refusal(_ kind: String, _ text: String, _ other: String, size: Int? = nil) throws
    -> String?
  {
    let directory = try TemporaryDirectory()
    let own = try String(contentsOfFile: "\(root)/\(kind)/tokenizer.json", encoding: .utf8)
    #expect(own.contains(text))
    try Data(own.replacing(text, with: other).utf8).write(
      to: URL(filePath: directory.file("tokenizer.json")))
    let golden = try Golden(kind)
    let error = #expect(throws: SafetensorsError.self) {
      try GGUFTokenizer.entries(
        directory: directory.path, vocabularySize: size ?? golden.size)
    }
    return error?.reason
  }

  @Test("tokenizers that llama.cpp does not have are refused by name")
  func refusals() throws {
    #expect(
      try refusal("qwen2", #"\\p{N}|"#, #"\\p{N}{2}|"#)?.contains("pre-tokenizer is not known")
        == true)
    #expect(
      try refusal("gpt-2", #""add_prefix_space": false"#, #""add_prefix_space": true"#)?
        .contains("pre-tokenizer is not known") == true)
    #expect(
      try refusal("gpt-2", #""type": "BPE""#, #""type": "Unigram""#)?.contains("Unigram") == true)
    #expect(
      try refusal("gpt-2", #""byte_fallback": false"#, #""byte_fallback": true"#)?
        .contains("SentencePiece") == true)
    #expect(
      try refusal("bert", #""lowercase": true"#, #""lowercase": false"#)?
        .contains("lower-casing") == true)
    #expect(try refusal("gpt-2", "{", "{", size: 50)?.contains("50 tokens") == true)
  }

  @Test("a directory without tokenizer.json is refused as missing input")
  func missing() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: SafetensorsError.self) {
      try GGUFTokenizer.entries(directory: directory.path, vocabularySize: 10)
    }
    #expect(error?.errorNumber == ENOENT)
  }
}
