// Fields of config.json that change what is computed: computed, or refused by their name.

import Foundation
import Testing
import Transformers

@Suite("Fields of config.json")
struct ModelFieldTests {
  /// A configuration of a family with some fields added or replaced.
  static func json(_ type: String, _ more: String = "") -> Data {
    var fields = [
      "\"model_type\": \"\(type)\"", "\"vocab_size\": 100", "\"hidden_size\": 32",
      "\"num_hidden_layers\": 2", "\"num_attention_heads\": 4", "\"intermediate_size\": 64",
      "\"max_position_embeddings\": 256", "\"num_key_value_heads\": 4",
    ].filter { type != "bert" || !$0.contains("key_value") }
    if !more.isEmpty {
      let name = more.split(separator: ":")[0]
      fields.removeAll { $0.hasPrefix(name + ":") }
      fields.append(more)
    }
    return Data("{\(fields.joined(separator: ", "))}".utf8)
  }

  func parse(_ type: String, _ more: String = "") throws -> ModelConfiguration {
    try ModelConfiguration(json: Self.json(type, more), path: "config.json")
  }

  @Test(
    "a field that changes the computation is refused by its name",
    arguments: [
      ("llama", #""partial_rotary_factor": 0.5"#),
      ("llama", #""rope_parameters": {"rope_theta": 10000, "partial_rotary_factor": 0.5}"#),
      ("llama", #""rope_parameters": {"rope_type": "axial", "factor": 2}"#),
      ("llama", #""rope_scaling": {"rope_type": "longrope", "short_factor": [1]}"#),
      ("llama", #""rope_parameters": {"full_attention": {"rope_theta": 10000}}"#),
      ("llama", #""pretraining_tp": 2"#), ("llama", #""is_causal": false"#),
      ("qwen2", #""layer_types": ["full_attention", "sliding_attention"]"#),
      (
        "llama",
        #""head_dim": 9223372036854775807, "rope_scaling": {"type": "linear", "factor": 2}"#
      ),
      ("llama", #""original_max_position_embeddings": 1e20, "rope_scaling": {"type": "yarn"}"#),
      ("llama", #""quantization_config": {"quant_method": "gptq", "bits": 4}"#),
      ("llama", #""pruned_heads": {"0": [1]}"#), ("llama", #""add_cross_attention": true"#),
      ("llama", #""per_layer_config": {"0": {"num_attention_heads": 2}}"#),
      ("llama", #""rope_interleaved": true"#), ("qwen2", #""use_mrope": true"#),
      ("llama", #""is_encoder_decoder": true"#),
      ("mistral", #""sliding_window": 0"#), ("mistral", #""sliding_window": 5000000000"#),
      ("mistral", #""attention_bias": true"#),
      ("mistral", #""mlp_bias": true"#), ("qwen2", #""mlp_bias": true"#),
      ("bert", #""position_embedding_type": "relative_key""#),
      ("bert", #""type_vocab_size": 0"#), ("bert", #""tie_encoder_decoder": true"#),
    ])
  func refuses(_ type: String, _ field: String) {
    let name = String(field.split(separator: "\"")[0])
    let error = #expect(throws: ModelError.self) { try parse(type, field) }
    let line = error?.description ?? ""
    let isRope = line.contains("rope") || line.contains("rotary")
    #expect(line.contains(name) || isRope, "\(line)")
    #expect(!line.contains("\n"))
  }

  @Test(
    "a value that makes no sense, or that single precision cannot hold, is refused by its name",
    arguments: [
      ("llama", #""rms_norm_eps": 1e-50"#), ("llama", #""rms_norm_eps": 1e40"#),
      ("llama", #""rms_norm_eps": -1e-6"#), ("llama", #""rms_norm_eps": "small""#),
      ("bert", #""layer_norm_eps": 1e-46"#), ("bert", #""layer_norm_eps": -1"#),
      ("llama", #""initializer_range": -0.02"#), ("llama", #""initializer_range": 1e39"#),
      ("llama", #""rope_theta": 0"#), ("llama", #""rope_theta": -1"#),
      ("llama", #""rope_theta": 1e400"#), ("llama", #""vocab_size": 9223372036854775807"#),
      ("llama", #""vocab_size": 9223372036854775808"#), ("llama", #""vocab_size": 10.5"#),
      ("llama", #""num_hidden_layers": 2000000000"#), ("llama", #""num_attention_heads": 0"#),
      ("llama", #""num_attention_heads": 5"#), ("llama", #""num_key_value_heads": 0"#),
      ("llama", #""rope_scaling": {"type": "linear", "factor": 0}"#),
      ("llama", #""rope_scaling": {"type": "linear", "factor": 1e-300}"#),
      (
        "llama",
        #""rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#
      ),
    ])
  func impossible(_ type: String, _ field: String) {
    let error = #expect(throws: ModelError.self) { try parse(type, field) }
    let name = String(field.split(separator: "\"")[0])
    let line = error?.description ?? ""
    #expect(line.contains(name) || line.contains("factor"), "\(line)")
  }

  @Test("a key that is there twice, NaN, and what is no object, are refused")
  func notJSON() {
    for text in [
      #"{"model_type": "llama", "model_type": "bert"}"#, #"{"rms_norm_eps": NaN}"#, "[1]",
      String(repeating: "[", count: 100_000),
    ] {
      #expect(throws: ModelError.self) {
        try ModelConfiguration(json: Data(text.utf8), path: "config.json")
      }
    }
  }

  @Test("values that change nothing are taken, and missing fields have transformers' defaults")
  func taken() throws {
    for field in [
      #""partial_rotary_factor": 1.0"#, #""quantization_config": null"#, #""pruned_heads": {}"#,
      #""layer_types": ["full_attention", "full_attention"]"#, #""use_cache": false"#,
      #""rope_scaling": {}"#, #""hidden_act": "silu""#, #""vocab_size": 100.0"#,
    ] {
      #expect(try parse("llama", field) == parse("llama"), "\(field)")
    }
    #expect(try parse("qwen2", #""sliding_window": 64"#) == parse("qwen2"))
    #expect(try parse("mistral", #""sliding_window": null"#).attentionInputBias == false)
    #expect(try parse("qwen2", #""attention_bias": false"#).attentionInputBias)
    // As many as heads where it is null; a missing field has the family's own default.
    #expect(try parse("smollm3", #""num_key_value_heads": null"#).keyValueHeadCount == 4)
    #expect(try parse("bert").activation == .gelu && parse("bert").tiesWordEmbeddings)
    #expect(try !parse("llama").tiesWordEmbeddings)
  }

  @Test("rotary positions are read from either spelling, in transformers' order")
  func rotary() throws {
    func rotary(_ field: String) throws -> RotaryConfiguration? {
      try parse("llama", field).attention[0].rotary
    }
    let plain = RotaryConfiguration(theta: 5000)
    #expect(try rotary(#""rope_parameters": {"rope_theta": 5000}"#) == plain)
    #expect(try rotary(#""rope_theta": 5000"#) == plain)
    let linear = RotaryConfiguration(theta: 7000, scaling: .linear(factor: 4))
    #expect(
      try rotary(#""rope_scaling": {"type": "linear", "factor": 4, "rope_theta": 7000}"#)
        == linear)
    let scaled = RotaryConfiguration(
      theta: 10000,
      scaling: .llama3(factor: 8, lowFactor: 1, highFactor: 4, originalPositions: 256))
    // Without original_max_position_embeddings they are max_position_embeddings.
    let rope = #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}"#
    #expect(try rotary(#""rope_parameters": "# + rope) == scaled)
    let both = #""rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": "# + rope
    #expect(throws: ModelError.self) { try parse("llama", both) }
  }
}
