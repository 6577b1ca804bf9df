// Layout, PEFT directories and fresh vectors.

import Adapters
import FineTuning
import Foundation
import TestSupport
import Testing
import Transformers

@Suite("The trainable vector")
struct LayoutTests {
  @Test("segments follow each other without gaps in the documented order")
  func order() throws {
    let golden = try Golden("llama_classification_gqa")
    var end = 0
    for segment in golden.layout.segments {
      #expect(segment.range.lowerBound == end)
      #expect(segment.range.count == segment.shape.reduce(1, *))
      end = segment.range.upperBound
    }
    #expect(end == golden.layout.parameterCount)
    let short = golden.layout.segments.map {
      $0.name.replacingOccurrences(of: "base_model.model.", with: "")
    }
    let block = "model.layers.0."
    let first = [
      "self_attn.q_proj.lora_A", "self_attn.k_proj.lora_A", "self_attn.v_proj.lora_A",
      "self_attn.q_proj.lora_B", "self_attn.k_proj.lora_B", "self_attn.v_proj.lora_B",
      "self_attn.o_proj.lora_A", "self_attn.o_proj.lora_B", "mlp.gate_proj.lora_A",
      "mlp.up_proj.lora_A", "mlp.gate_proj.lora_B", "mlp.up_proj.lora_B", "mlp.down_proj.lora_A",
      "mlp.down_proj.lora_B",
    ]
    #expect(Array(short.prefix(first.count)) == first.map { block + $0 + ".weight" })
    #expect(short.last == "score.weight")
  }

  @Test("a target that names no layer is refused with the names there are")
  func unknownTarget() throws {
    let model = try Golden("llama_classification_gqa").model
    let error = #expect(throws: ModelError.self) {
      try TrainableLayout(
        model: model,
        adaptation: .lora(
          LoRAConfiguration(loraRank: 2, alpha: 2, targets: .named(["q_proj", "query"]))),
        task: Classification(labels: 3, pooling: .last))
    }
    #expect(error?.description.contains("query") == true)
    #expect(error?.description.contains("v_proj") == true)
  }

  @Test("language modelling without a language head is refused")
  func noHead() throws {
    let model = try Golden("bert_classification").model
    #expect(throws: ModelError.self) {
      try TrainableLayout(
        model: model, adaptation: .lora(LoRAConfiguration(loraRank: 2, alpha: 2)),
        task: LanguageModelling())
    }
  }

  @Test("a fresh vector has A within Kaiming's bound, B zero, and depends on the seed alone")
  func fresh() throws {
    let golden = try Golden("llama_lm_tied")
    let vector = golden.layout.initialVector(model: golden.model, seed: 7)
    #expect(vector == golden.layout.initialVector(model: golden.model, seed: 7))
    #expect(vector != golden.layout.initialVector(model: golden.model, seed: 8))
    for segment in golden.layout.segments {
      let values = vector[segment.range]
      switch segment.kind {
      case .loraA:
        let bound = 1 / Float(segment.shape[1]).squareRoot()
        #expect(values.allSatisfy { abs($0) <= bound })
        #expect(values.contains { abs($0) > bound / 2 })
      case .loraB: #expect(values.allSatisfy { $0 == 0 })
      case .headDenseWeight, .headDenseBias, .headWeight, .headBias:
        Issue.record("a language model has no trained head")
      case .base: Issue.record("an adapter has no weights of the model")
      }
    }
  }
}

@Suite("PEFT directories")
struct AdapterDirectoryTests {
  @Test("what is written is read back bit for bit", arguments: Golden.names)
  func roundTrip(_ name: String) throws {
    let golden = try Golden(name)
    let directory = try TemporaryDirectory()
    try AdapterDirectory.write(
      golden.vector, layout: golden.layout, configuration: golden.model.configuration,
      baseModel: "base", to: directory.path)
    #expect(try AdapterDirectory.read(directory.path, layout: golden.layout) == golden.vector)
    let again = try AdapterDirectory.configuration(at: directory.path)
    #expect(again.scale == golden.layout.lora.scale)
    let layout = try TrainableLayout(
      model: golden.model, adaptation: .lora(again), task: golden.task)
    #expect(layout.segments == golden.layout.segments)
  }

  @Test("another rank, another scale, another model are refused in one line")
  func mismatch() throws {
    let golden = try Golden("llama_classification_gqa")
    let path = Golden.root + "/llama_classification_gqa/adapter"
    func layout(_ lora: LoRAConfiguration, labels: Int = 3) throws -> TrainableLayout {
      try TrainableLayout(
        model: golden.model, adaptation: .lora(lora),
        task: Classification(labels: labels, pooling: .last))
    }
    let lora = golden.layout.lora
    let attempts: [(TrainableLayout, String)] = [
      (try layout(LoRAConfiguration(loraRank: 8, alpha: lora.alpha)), "lora_rank"),
      (try layout(LoRAConfiguration(loraRank: lora.loraRank, alpha: 99)), "alpha"),
      (
        try layout(
          LoRAConfiguration(
            loraRank: lora.loraRank, alpha: lora.alpha, targets: .named(["q_proj"]))),
        "belongs to no adapted layer"
      ),
      (try layout(lora, labels: 77), "shape"),
    ]
    for (layout, word) in attempts {
      let error = #expect(throws: ModelError.self) {
        try AdapterDirectory.read(path, layout: layout)
      }
      #expect(error?.description.contains(word) == true, "\(String(describing: error))")
      #expect(error?.description.contains("\n") == false)
    }
    let missing = #expect(throws: ModelError.self) {
      try AdapterDirectory.read("/nonexistent", layout: golden.layout)
    }
    #expect(missing?.isMissing == true)
  }

  @Test("a value that is not finite is refused and named")
  func notFinite() throws {
    let golden = try Golden("llama_classification_gqa")
    let directory = try TemporaryDirectory()
    var vector = golden.vector
    vector[golden.layout.segments[2].range.lowerBound] = .nan
    try AdapterDirectory.write(
      vector, layout: golden.layout, configuration: golden.model.configuration, baseModel: "",
      to: directory.path)
    let error = #expect(throws: ModelError.self) {
      try AdapterDirectory.read(directory.path, layout: golden.layout)
    }
    #expect(error?.description.contains(golden.layout.segments[2].name) == true)
  }
}
