// Tensors, fields and files of a model directory that no computation reads: reported, never dropped
// without a word.

import Adapters
import FineTuning
import Foundation
import Kernels
import Safetensors
import TestSupport
import Testing
import Transformers

/// A copy of a golden model with another config.json and other tensors.
private func model(
  _ golden: String, configuration: [String: Any] = [:],
  _ edit: (inout [TensorToWrite], SafetensorsFile) throws -> Void = { _, _ in }
) throws -> TemporaryDirectory {
  let directory = try TemporaryDirectory()
  let source = "\(Golden.root)/\(golden)"
  let data = try Data(contentsOf: URL(fileURLWithPath: source + "/config.json"))
  var json = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  json.merge(configuration) { $1 }
  try JSONSerialization.data(withJSONObject: json)
    .write(to: URL(fileURLWithPath: directory.path + "/config.json"))
  let file = try SafetensorsFile(path: source + "/model.safetensors")
  var tensors = file.tensors.map {
    TensorToWrite(
      name: $0.name, elementType: $0.elementType, shape: $0.shape, bytes: Array(file.bytes(of: $0)))
  }
  try edit(&tensors, file)
  try SafetensorsWriter.write(tensors, to: directory.path + "/model.safetensors")
  return directory
}

private func tensor(
  _ name: String, like other: String, times factor: Float, _ file: SafetensorsFile
)
  throws -> TensorToWrite
{
  TensorToWrite(
    name: name, shape: try file.tensor(named: other).shape,
    floats: try file.readFloats(named: other).map { factor * $0 })
}

/// The logits of a golden's sequences with another model, without an adapter's product.
private func logits(_ directory: String, _ golden: Golden) throws -> [Float] {
  let model = try PretrainedModel(directory: directory)
  let layout = try TrainableLayout(
    model: model, adaptation: .lora(LoRAConfiguration(loraRank: 1, alpha: 1)), task: golden.task)
  return AdaptedModel(
    model: model, layout: layout, task: golden.task,
    capacity: golden.sequences.reduce(0) { $0 + $1.count },
    longestSequence: golden.sequences.map(\.count).max()!
  ).logits(
    golden.batch, parameters: layout.initialVector(model: model, seed: 0))
}

@Suite("Files of models")
struct ModelFilesTests {
  @Test("files that transformers wrote are read without a remark", arguments: Golden.names)
  func silent(_ name: String) throws {
    #expect(try Golden(name).model.notices == [])
    let adapter = "\(Golden.root)/\(name)/adapter"
    #expect(try AdapterDescription(directory: adapter).notices == [])
  }

  @Test("tensors and fields that are not used are named, and change nothing")
  func unused() throws {
    let golden = try Golden("llama_classification_gqa")
    let plain = try model(golden.name)
    let directory = try model(golden.name, configuration: ["qk_norm": true]) { tensors, file in
      for layer in 0..<2 {
        let block = "model.layers.\(layer).self_attn."
        tensors.append(
          try tensor(block + "q_proj.bias", like: "model.norm.weight", times: 3, file))
      }
      tensors.append(
        try tensor(
          "model.layers.0.self_attn.k_norm.weight", like: "model.norm.weight", times: 2, file))
      tensors.append(TensorToWrite(name: "model.empty", shape: [0, 3], floats: []))
      tensors.append(
        TensorToWrite(name: "model.layers.0.self_attn.rotary_emb.inv_freq", shape: [1], floats: [1])
      )
    }
    let found = try PretrainedModel(directory: directory.path)
    try found.checkFinite()
    let notices = found.notices.joined(separator: "\n")
    #expect(found.notices.count == 2)
    #expect(notices.contains("qk_norm"))
    #expect(notices.contains("4 tensors are not used"))
    #expect(notices.contains("model.layers.*.self_attn.q_proj.bias (2)"))
    #expect(notices.contains("model.layers.*.self_attn.k_norm.weight,"))
    #expect(notices.contains("model.empty") || notices.contains("model.model.empty"))
    #expect(try logits(directory.path, golden) == logits(plain.path, golden))
  }

  @Test("two tensors that are one and the same are refused, both named")
  func twice() throws {
    let directory = try model("llama_classification_gqa") { tensors, file in
      tensors.append(try tensor("norm.weight", like: "model.norm.weight", times: 1, file))
    }
    let error = #expect(throws: ModelError.self) { try PretrainedModel(directory: directory.path) }
    #expect(
      error?.reason.contains("norm.weight and model.norm.weight") == true
        || error?.reason.contains("model.norm.weight and norm.weight") == true)
  }

  @Test("a head that config.json ties but the file does not is used, merged and named")
  func untiedHead() throws {
    let golden = try Golden("llama_lm_tied")
    let embedding = "model.embed_tokens.weight"
    func headed(_ factor: Float, tied: Bool) throws -> TemporaryDirectory {
      try model(golden.name, configuration: ["tie_word_embeddings": tied]) { tensors, file in
        tensors.append(try tensor("lm_head.weight", like: embedding, times: factor, file))
      }
    }
    let (different, untied, copy) = (
      try headed(2, tied: true), try headed(2, tied: false), try headed(1, tied: true)
    )
    let plain = try logits(copy.path, golden)
    #expect(try PretrainedModel(directory: copy.path).tiesLanguageHead)
    #expect(try PretrainedModel(directory: copy.path).notices == [])
    #expect(try logits(untied.path, golden) == plain.map { 2 * $0 })
    #expect(try logits(different.path, golden) == plain.map { 2 * $0 })
    let found = try PretrainedModel(directory: different.path)
    #expect(found.notices.count == 1 && found.notices[0].contains("lm_head.weight"))
    let merged = try TemporaryDirectory()
    let layout = try TrainableLayout(
      model: found, adaptation: .lora(LoRAConfiguration(loraRank: 1, alpha: 1)),
      task: LanguageModelling())
    try MergedModel.write(
      model: found, layout: layout, vector: layout.initialVector(model: found, seed: 0),
      labelNames: [], to: merged.path)
    #expect(try PretrainedModel(directory: merged.path).notices == [])
    #expect(try logits(merged.path, golden) == plain.map { 2 * $0 })
    // Full fine-tuning trains that head, apart from the embedding.
    let full = try TrainableLayout(model: found, adaptation: .full, task: LanguageModelling())
    #expect(full.segments.contains { $0.name == "lm_head.weight" })
    let trained = try TemporaryDirectory()
    try MergedModel.write(
      model: found, layout: full, vector: try full.weights(of: found), labelNames: [],
      to: trained.path)
    #expect(try logits(trained.path, golden) == plain.map { 2 * $0 })
  }

  @Test("BERT's two biases of the vocabulary: the decoder's is used where they differ")
  func decoderBias() throws {
    let golden = try Golden("bert_lm")
    let bias = "cls.predictions.bias"
    let moved = try model(golden.name) { tensors, file in
      let index = tensors.firstIndex { $0.name == bias }!
      let shape = try file.tensor(named: bias).shape
      tensors[index] = TensorToWrite(
        name: bias, shape: shape, floats: (0..<shape[0]).map { Float($0 % 7) })
    }
    let both = try model(golden.name) { tensors, file in
      let shape = try file.tensor(named: bias).shape
      tensors.append(
        TensorToWrite(
          name: "cls.predictions.decoder.bias", shape: shape,
          floats: (0..<shape[0]).map { Float($0 % 7) }))
    }
    #expect(try logits(both.path, golden) == logits(moved.path, golden))
    #expect(try PretrainedModel(directory: both.path).notices.count == 1)
  }

  @Test(
    "a model that is quantized, a Git LFS pointer, and a head that is not finite end in one line")
  func unusable() throws {
    let quantized = try model(
      "llama_lm_tied", configuration: ["quantization_config": ["quant_method": "bitsandbytes"]])
    let error = #expect(throws: ModelError.self) { try PretrainedModel(directory: quantized.path) }
    #expect(error?.reason.contains("quantization_config (bitsandbytes) is not supported") == true)
    let pointer = try model("llama_lm_tied")
    try Data("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n".utf8)
      .write(to: URL(fileURLWithPath: pointer.path + "/model.safetensors"))
    let lfs = #expect(throws: SafetensorsError.self) {
      try PretrainedModel(directory: pointer.path)
    }
    #expect(lfs?.reason.contains("git lfs pull") == true)
    let infinite = try model("llama_classification_gqa") { tensors, file in
      let index = tensors.firstIndex { $0.name == "score.weight" }!
      let shape = try file.tensor(named: "score.weight").shape
      tensors[index] = TensorToWrite(
        name: "score.weight", elementType: .bf16, shape: shape,
        bytes: [UInt8](repeating: 0xFF, count: 2 * shape[0] * shape[1]))
    }
    let notFinite = #expect(throws: ModelError.self) {
      try PretrainedModel(directory: infinite.path)
    }
    #expect(notFinite?.reason.contains("score.weight holds values that are not finite") == true)
  }

  @Test("more blocks than a file holds end in one line, also where linear layers are packed")
  func blocks() throws {
    let directory = try model(
      "llama_classification_gqa", configuration: ["num_hidden_layers": 1_000_000_000])
    #expect(throws: ModelError.self) { try PretrainedModel(directory: directory.path) }
    if BF16.unavailableReason == nil {
      #expect(throws: ModelError.self) {
        try PretrainedModel(directory: directory.path, precision: .bf16)
      }
    }
  }

  @Test("a merged model has the files of tokenizer and generation, links followed")
  func companions() throws {
    let golden = try Golden("llama_lm_tied")
    let source = try model(golden.name) { tensors, _ in
      tensors.append(TensorToWrite(name: "model.position_ids", shape: [2], int64s: [0, 1]))
      tensors.append(
        TensorToWrite(name: "model.mask", elementType: .bool, shape: [1], bytes: [1]))
    }
    let names = [
      "generation_config.json", "chat_template.jinja", "vocab.json", "merges.txt", "spiece.model",
      "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    ]
    for name in names {
      try Data("content of \(name)".utf8)
        .write(to: URL(fileURLWithPath: source.path + "/blob-" + name))
      try FileManager.default.createSymbolicLink(
        atPath: source.path + "/" + name, withDestinationPath: "blob-" + name)
    }
    let found = try PretrainedModel(directory: source.path)
    let layout = try TrainableLayout(
      model: found, adaptation: .lora(golden.layout.lora), task: LanguageModelling())
    let target = try TemporaryDirectory()
    try MergedModel.write(
      model: found, layout: layout, vector: golden.vector, labelNames: [], to: target.path)
    for name in names {
      let content = FileManager.default.contents(atPath: target.path + "/" + name) ?? Data()
      #expect(String(decoding: content, as: UTF8.self) == "content of \(name)")
    }
    let written = try FileManager.default.contentsOfDirectory(atPath: target.path)
    #expect(written.count == names.count + 2, "\(written)")
    #expect(try PretrainedModel(directory: target.path).notices == [])
  }

  @Test("a head's rows go to the labels that are theirs")
  func headRows() throws {
    let golden = try Golden("bert_classification")
    let plain = golden.layout.initialVector(model: golden.model, seed: 1)
    let moved = golden.layout.initialVector(model: golden.model, seed: 1, headRows: [2, 0, 1])
    let weight = golden.layout.segments.first { $0.kind == .headWeight }!
    let bias = golden.layout.segments.first { $0.kind == .headBias }!
    let channels = weight.shape[1]
    for (label, row) in [2, 0, 1].enumerated() {
      func part(_ vector: [Float], _ row: Int) -> [Float] {
        let start = weight.range.lowerBound + row * channels
        return Array(vector[start..<start + channels]) + [vector[bias.range.lowerBound + row]]
      }
      #expect(part(moved, label) == part(plain, row))
    }
    #expect(Array(moved[..<weight.range.lowerBound]) == Array(plain[..<weight.range.lowerBound]))
  }
}
