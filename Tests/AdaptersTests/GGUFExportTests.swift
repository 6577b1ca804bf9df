// GGUF files of the golden models beside llama.cpp's converters
// (Tests/Goldens/gguf/make_exports.py). With CELLM_EXPORTS they stay in that directory, where
// Tests/Goldens/gguf/check_exports.py loads them.

import Adapters
import Digests
import FineTuning
import Foundation
import TestSupport
import Testing
import Transformers

@Suite("GGUF files of all families")
struct GGUFExportTests {
  /// A case of exports.json.
  private struct Expected: Decodable {
    struct Adapter: Decodable {
      let alpha: Float
      let left_out: [String]
      let tensors: [String]
    }

    let architecture: String
    let adapter: Adapter
    let model: [String]

    static let all: [String: Expected] = {
      let data = try! Data(contentsOf: URL(filePath: goldenPath("gguf/exports.json")))
      return try! JSONDecoder().decode([String: Expected].self, from: data)
    }()
  }

  /// A tensor in exports.json's words.
  private func described(_ tensor: GGUFContents.Tensor) -> String {
    let type = [0: "f32", 1: "f16", 30: "bf16"][tensor.type] ?? "\(tensor.type)"
    let shape = tensor.shape.map(String.init).joined(separator: "x")
    return "\(tensor.name) \(shape) \(type) \(SHA256.hexDigits(of: tensor.bytes).prefix(16))"
  }

  /// The golden models of text.
  private static let texts = Golden.names.filter { !$0.hasPrefix("vit_") }

  @Test("models of images are refused, and leave no file")
  func images() throws {
    let golden = try Golden("vit_classification")
    let directory = try ExportDirectory(nil)
    let path = directory.path + "/x.gguf"
    for write in [
      {
        _ = try GGUFAdapter.write(
          golden.vector, layout: golden.layout, model: golden.model, toNew: path)
      },
      {
        _ = try GGUFModel.write(
          model: golden.model, layout: golden.layout, vector: golden.vector, name: "x",
          toNew: path)
      },
    ] {
      let error = #expect(throws: ModelError.self) { try write() }
      #expect(error?.reason.contains("no models of model_type \"vit\"") == true)
    }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("adapters have llama.cpp's names, order of rows and scale", arguments: Self.texts)
  func adapters(_ name: String) throws {
    let (golden, expected) = (try Golden(name), try #require(Expected.all[name]))
    let directory = try ExportDirectory(name)
    let path = directory.path + "/adapter.gguf"
    let leftOut = try GGUFAdapter.write(
      golden.vector, layout: golden.layout, model: golden.model, toNew: path)
    #expect(leftOut.sorted() == expected.adapter.left_out)
    let found = try GGUFContents(path: path)
    #expect(found.tensors.map(described).sorted() == expected.adapter.tensors.sorted())
    #expect(found.values["general.architecture"] == .string(expected.architecture))
    #expect(found.values["general.type"] == .string("adapter"))
    #expect(found.values["adapter.type"] == .string("lora"))
    guard case .float(let alpha)? = found.values["adapter.lora.alpha"] else {
      Issue.record("no alpha")
      return
    }
    #expect(abs(alpha / expected.adapter.alpha - 1) < 1e-6)
  }

  /// A copy of a golden's model with a tokenizer, and with fields of config.json that llama.cpp
  /// has.
  private func prepared(_ name: String, in directory: String) throws -> Golden {
    let source = "\(Golden.root)/\(name)"
    let path = directory + "/model"
    let files = FileManager.default
    try files.createDirectory(atPath: path, withIntermediateDirectories: true)
    for file in try files.contentsOfDirectory(atPath: source) where file != "adapter" {
      try files.copyItem(atPath: source + "/" + file, toPath: path + "/" + file)
    }
    let tokenizer = name.contains("bert") && !name.contains("roberta") ? "bert" : "smollm"
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      try files.copyItem(
        atPath: goldenPath("gguf/tokenizers/\(tokenizer)/\(file)"), toPath: path + "/" + file)
    }
    let exports = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(filePath: goldenPath("gguf/exports.json"))))
    let changes = (exports as? [String: [String: Any]])?[name]?["changes"] as? [String: Any] ?? [:]
    if !changes.isEmpty {
      let url = URL(filePath: path + "/config.json")
      var config =
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
      config.merge(changes) { $1 }
      try JSONSerialization.data(withJSONObject: config).write(to: url)
    }
    return try Golden(name: name, modelDirectory: path, directory: source)
  }

  /// Golden models that llama.cpp computes differently, with a part of the reason.
  private static let refused = [
    "bert_lm": "causal mask", "gemma3_classification": "query_pre_attn_scalar",
    "gpt2_classification_attention_adapted": "activation",
    "qwen3_lm": "biases",
    "smollm3_classification": "rotary positions",
  ]

  @Test("models have llama.cpp's tensors, or are refused", arguments: Self.texts)
  func models(_ name: String) throws {
    let expected = try #require(Expected.all[name])
    let directory = try ExportDirectory(name)
    let golden = try prepared(name, in: directory.path)
    let path = directory.path + "/model.gguf"
    func write(_ vector: [Float], to path: String) throws -> [String] {
      try GGUFModel.write(
        model: golden.model, layout: golden.layout, vector: vector, name: "golden", toNew: path)
    }
    if let reason = Self.refused[name] {
      let error = #expect(throws: ModelError.self) { try write(golden.vector, to: path) }
      #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
      return
    }
    let base = directory.path + "/base.gguf"
    let remarks = try write([Float](repeating: 0, count: golden.vector.count), to: base)
    #expect(remarks.contains { $0.contains("classifier") } == (golden.task.head.labels != nil))
    let hasRemark = remarks.contains { $0.contains("without its sliding window") }
    #expect(
      hasRemark
        == [
          "mistral_classification_window", "phi3_classification",
          "qwen2_classification_window",
        ].contains(name))
    let found = try GGUFContents(path: base)
    let own = found.tensors.filter { !$0.name.hasPrefix("rope_") }
    #expect(own.map(described).sorted() == expected.model.sorted())
    #expect(found.values["general.architecture"] == .string(expected.architecture))
    let model = golden.model.configuration
    #expect(found.values["\(expected.architecture).block_count"] == .integer(model.layerCount))
    _ = try write(golden.vector, to: path)
  }

  @Test("local blocks of ModernBERT that llama.cpp would make global are refused")
  func otherPattern() throws {
    let directory = try ExportDirectory(nil)
    let model = try prepared("modernbert_classification", in: directory.path).model.directory
    let url = URL(filePath: model + "/config.json")
    var config =
      try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
    config["layer_types"] =
      ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
    try JSONSerialization.data(withJSONObject: config).write(to: url)
    let golden = try Golden(
      name: "modernbert", modelDirectory: model,
      directory: "\(Golden.root)/modernbert_classification")
    let error = #expect(throws: ModelError.self) {
      try GGUFModel.write(
        model: golden.model, layout: golden.layout, vector: golden.vector, name: "x",
        toNew: directory.path + "/x.gguf")
    }
    #expect(error?.reason.contains("block 0 has a sliding window") == true)
  }

  @Test("the rotary factors of Llama 3.1 divide the frequencies as llama.cpp does")
  func llama3Factors() throws {
    let directory = try ExportDirectory(nil)
    let golden = try prepared("llama_lm_llama3_rope", in: directory.path)
    let path = directory.path + "/x.gguf"
    _ = try GGUFModel.write(
      model: golden.model, layout: golden.layout, vector: golden.vector, name: "x", toNew: path)
    let factors = try #require(
      GGUFContents(path: path).tensors.first { $0.name == "rope_freqs.weight" })
    // LlamaModel.generate_extra_tensors of llama.cpp's conversion/llama.py.
    let rope =
      try #require(
        try JSONSerialization.jsonObject(
          with: Data(contentsOf: URL(filePath: golden.model.directory + "/config.json")))
          as? [String: Any])["rope_parameters"] as? [String: Any] ?? [:]
    func number(_ name: String) -> Double { (rope[name] as? NSNumber)?.doubleValue ?? .nan }
    let size = golden.model.configuration.headSize
    let (low, high) = (number("low_freq_factor"), number("high_freq_factor"))
    let positions = number("original_max_position_embeddings")
    let expected = stride(from: 0, to: size, by: 2).map { channel in
      let wavelength = 2 * Double.pi * pow(number("rope_theta"), Double(channel) / Double(size))
      if wavelength < positions / high { return 1.0 }
      if wavelength > positions / low { return number("factor") }
      let smooth = (positions / wavelength - low) / (high - low)
      return 1 / ((1 - smooth) / number("factor") + smooth)
    }
    #expect(factors.shape == [size / 2])
    for (a, b) in zip(factors.floats, expected) { #expect(abs(Double(a) / b - 1) < 1e-6) }
  }
}

/// The directory of a golden's exports.
private struct ExportDirectory {
  let path: String
  private let temporary: TemporaryDirectory?

  init(_ name: String?) throws {
    if let name, let kept = ProcessInfo.processInfo.environment["CELLM_EXPORTS"] {
      (path, temporary) = (kept + "/" + name, nil)
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } else {
      let temporary = try TemporaryDirectory()
      (path, self.temporary) = (temporary.path, temporary)
    }
  }
}
