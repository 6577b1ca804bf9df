// adapter_config.json: fields that describe another computation than plain LoRA are refused by
// name.

import Adapters
import Foundation
import TestSupport
import Testing
import Transformers

@Suite("Fields of adapter_config.json")
struct AdapterFieldTests {
  /// The description read from a configuration with these fields beside rank and alpha.
  func read(_ fields: String) throws -> AdapterDescription {
    let directory = try TemporaryDirectory()
    let names = fields.split(separator: "\"").first.map(String.init) ?? ""
    let standard = ["r": "2", "lora_alpha": "4"].filter { $0.key != names }
      .map { "\"\($0.key)\": \($0.value)" }
    let text = "{\((standard + (fields.isEmpty ? [] : [fields])).joined(separator: ", "))}"
    try text.write(
      toFile: directory.path + "/adapter_config.json", atomically: true, encoding: .utf8)
    return try AdapterDescription(directory: directory.path)
  }

  @Test(
    "a way to begin that leaves the base weights is read",
    arguments: ["true", "false", "null", "\"gaussian\"", "\"orthogonal\"", "\"eva\"", "\"mica\""])
  func begins(_ value: String) throws {
    #expect(try read("\"init_lora_weights\": \(value)").lora.scale == 2)
  }

  @Test(
    "a way to begin that changed the base weights is refused by its name",
    arguments: ["pissa", "pissa_niter_16", "olora", "loftq", "corda", "lora_ga"])
  func changes(_ name: String) {
    let error = #expect(throws: ModelError.self) {
      try read("\"init_lora_weights\": \"\(name)\"")
    }
    #expect(error?.reason.contains("\"\(name)\" changed the base weights; convert") == true)
  }

  @Test(
    "another computation is refused by the name of its field",
    arguments: [
      "\"peft_type\": \"ADALORA\"", "\"bias\": \"all\"", "\"lora_bias\": true",
      "\"use_dora\": true",
      "\"use_qalora\": true", "\"rank_pattern\": {\"q_proj\": 4}",
      "\"alpha_pattern\": {\"q_proj\": 4}", "\"layer_replication\": [[0, 2]]",
      "\"target_parameters\": [\"experts\"]", "\"trainable_token_indices\": [1]",
      "\"alora_invocation_tokens\": [1]", "\"megatron_config\": {\"a\": 1}",
      "\"velora_config\": {\"a\": 1}", "\"monteclora_config\": {\"a\": 1}",
      "\"arrow_config\": {\"a\": 1}", "\"kasa_config\": {\"a\": 1}", "\"use_bdlora\": {\"a\": 1}",
      "\"init_lora_weights\": \"magic\"", "\"lora_dropout\": 1.0", "\"lora_dropout\": 0.99999999",
      "\"lora_dropout\": -0.1", "\"lora_dropout\": 1e-46", "\"lora_alpha\": 1e39",
      "\"lora_alpha\": 16777217", "\"lora_alpha\": \"16\"", "\"r\": 0", "\"r\": -1", "\"r\": 2.5",
      "\"layers_to_transform\": [-1]", "\"target_modules\": [1]", "\"lora_alpha\": null",
    ])
  func refuses(_ field: String) {
    let error = #expect(throws: ModelError.self) { try read(field) }
    let line = error?.description ?? ""
    #expect(line.contains(String(field.split(separator: "\"")[0])), "\(line)")
    #expect(!line.contains("\n"))
  }

  @Test("the smallest values that an experiment allows are read back")
  func smallest() throws {
    let lora = try read("\"lora_alpha\": 1e-40, \"lora_dropout\": 1.5e-45").lora
    #expect(lora.alpha == Float(1e-40 as Double) && lora.dropout == .leastNonzeroMagnitude)
  }

  @Test("an unknown field is named, and a field that is there twice is refused")
  func unknown() throws {
    let found = try read("\"use_magic\": true, \"layers_to_transform\": 3, \"revision\": null")
    #expect(found.notices.count == 1 && found.notices[0].contains("use_magic"))
    #expect(found.lora.layers == [3])
    #expect(throws: ModelError.self) { try read("\"use_dora\": false, \"use_dora\": false") }
  }
}
