// config.json: what is read, and what is refused in one line.

import Foundation
import Testing
import Transformers

@Suite("Model configurations")
struct ModelConfigurationTests {
  static let llama = """
    {"model_type": "llama", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
     "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "hidden_act": "silu",
     "tie_word_embeddings": true, "rope_theta": 100000}
    """

  func parse(_ json: String) throws -> ModelConfiguration {
    try ModelConfiguration(json: Data(json.utf8), path: "config.json")
  }

  @Test("a config.json that cannot be read is not one that is missing")
  func unreadable() throws {
    let directory = FileManager.default.temporaryDirectory.path + "/model-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let missing = #expect(throws: ModelError.self) { try ModelConfiguration(directory: directory) }
    #expect(missing?.isMissing == true)
    let path = directory + "/config.json"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    do {
      _ = try ModelConfiguration(directory: directory)
      Issue.record("a link to itself was read")
    } catch {
      #expect("\(error)" == "\(path): Too many levels of symbolic links")
    }
  }

  @Test("a Llama configuration is read")
  func readsLlama() throws {
    let configuration = try parse(Self.llama)
    #expect(configuration.headSize == 8)
    #expect(configuration.keyChannels == 16)
    let rotary = RotaryConfiguration(theta: 100_000)
    #expect(configuration.attention.allSatisfy { $0 == AttentionKind(rotary: rotary) })
    #expect(configuration.isCausal && configuration.isGated)
    #expect(configuration.tiesWordEmbeddings)
  }

  @Test(
    "what cannot be computed exactly is refused by name",
    arguments: [
      (#""llama""#, #""t5""#, "t5"), (#""llama""#, #""mixtral""#, "mixtral"),
      (#""llama""#, #""gemma3""#, "gemma3"),
      (#""silu""#, #""laplace""#, "laplace"),
      (#""rope_theta": 100000"#, #""rope_scaling": {"rope_type": "axial", "factor": 2}"#, "axial"),
      (#""rope_theta": 100000"#, #""rope_scaling": {"rope_type": "yarn", "factor": -2}"#, "factor"),
      (#""num_key_value_heads": 2"#, #""num_key_value_heads": 3"#, "num_key_value_heads"),
      (#""vocab_size": 100"#, #""vocab_size": -1"#, "vocab_size"),
      (#""hidden_size": 32"#, #""hidden_size": "wide""#, "hidden_size"),
      (#""hidden_size": 32,"#, "", "hidden_size"),
      (#""hidden_size": 32"#, #""head_dim": 7, "hidden_size": 32"#, "head_dim"),
      ("{", "[", "JSON"),
    ])
  func refuses(_ old: String, _ new: String, _ word: String) {
    let json = Self.llama.replacingOccurrences(of: old, with: new)
    #expect(json != Self.llama)
    let error = #expect(throws: ModelError.self) { try parse(json) }
    let line = error?.description ?? ""
    #expect(line.contains(word) || word == "JSON", "\(line)")
    #expect(!line.contains("\n"), "\(line)")
  }

  @Test("a missing directory says what a model directory is")
  func missing() {
    let error = #expect(throws: ModelError.self) {
      try PretrainedModel(directory: "/nonexistent/model")
    }
    #expect(error?.isMissing == true)
  }
}
