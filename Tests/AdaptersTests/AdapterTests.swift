// Layout, PEFT directories, merging, dropout and fresh vectors.

import Adapters
import Foundation
import Kernels
import RandomStreams
import Safetensors
import Testing
import Transformers

/// A directory that vanishes with the test.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("cellm-mpi-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

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
        lora: LoRAConfiguration(loraRank: 2, alpha: 2, targets: .named(["q_proj", "query"])),
        task: .classification(labels: 3, pooling: .last))
    }
    #expect(error?.description.contains("query") == true)
    #expect(error?.description.contains("v_proj") == true)
  }

  @Test("language modelling without a language head is refused")
  func noHead() throws {
    let model = try Golden("bert_classification").model
    #expect(throws: ModelError.self) {
      try TrainableLayout(
        model: model, lora: LoRAConfiguration(loraRank: 2, alpha: 2), task: .languageModelling)
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
      case .headWeight, .headBias: Issue.record("a language model has no trained head")
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
    let layout = try TrainableLayout(model: golden.model, lora: again, task: golden.layout.task)
    #expect(layout.segments == golden.layout.segments)
  }

  @Test("another rank, another scale, another model are refused in one line")
  func mismatch() throws {
    let golden = try Golden("llama_classification_gqa")
    let path = Golden.root + "/llama_classification_gqa/adapter"
    func layout(_ lora: LoRAConfiguration, labels: Int = 3) throws -> TrainableLayout {
      try TrainableLayout(
        model: golden.model, lora: lora, task: .classification(labels: labels, pooling: .last))
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

@Suite("Merging and dropout")
struct MergeTests {
  @Test(
    "a merged model gives the adapter's logits",
    arguments: [
      "llama_classification_gqa", "bert_classification", "llama_lm_tied", "qwen2_classification",
      "llama_classification_bf16", "llama_classification_sharded",
    ])
  func merged(_ name: String) throws {
    let golden = try Golden(name)
    let directory = try TemporaryDirectory()
    try MergedModel.write(
      model: golden.model, layout: golden.layout, vector: golden.vector, labelNames: [],
      to: directory.path)
    let model = try PretrainedModel(directory: directory.path)
    let lora = LoRAConfiguration(loraRank: 1, alpha: 1)
    let layout = try TrainableLayout(model: model, lora: lora, task: golden.layout.task)
    let vector = layout.initialVector(model: model, seed: 0)  // B is zero, the head is the file's
    let total = golden.sequences.reduce(0) { $0 + $1.count }
    let logits = AdaptedModel(
      model: model, layout: layout, capacity: total,
      longestSequence: golden.sequences.map(\.count).max()!
    ).logits(PackedSequences(golden.sequences), parameters: vector)
    #expect(relativeError(logits, try golden.floats("logits")) < 1e-5)
  }

  @Test("dropout's gradient is the gradient of the loss under the same mask")
  func dropout() throws {
    let golden = try Golden("llama_classification_gqa")
    let lora = LoRAConfiguration(
      loraRank: golden.layout.lora.loraRank, alpha: golden.layout.lora.alpha, dropout: 0.3)
    let layout = try TrainableLayout(model: golden.model, lora: lora, task: golden.layout.task)
    let batch = PackedSequences(golden.sequences)
    let model = AdaptedModel(
      model: golden.model, layout: layout, capacity: batch.tokenCount,
      longestSequence: golden.sequences.map(\.count).max()!)
    let key = RandomKey(seed: 1, round: 2, client: 3, step: 4)
    func run(_ vector: [Float], _ key: RandomKey?) -> (loss: Double, gradient: [Float]) {
      var gradient = [Float](repeating: 0, count: vector.count)
      let outcomes = model.addGradient(
        of: batch, labels: golden.labels, parameters: vector, gradient: &gradient, lossScale: 1,
        dropout: key)
      return (outcomes.reduce(0) { $0 + $1.loss }, gradient)
    }
    let (loss, gradient) = run(golden.vector, key)
    #expect(run(golden.vector, key).loss == loss)
    #expect(run(golden.vector, nil).loss != loss)
    var other = key
    other.step = 5
    #expect(run(golden.vector, other).loss != loss)
    // Along the gradient itself, the loss changes by its squared length.
    let square = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }
    let step = 1e-3 / square.squareRoot()
    func moved(_ factor: Double) -> [Float] {
      zip(golden.vector, gradient).map { $0 + Float(factor * step) * $1 }
    }
    let slope = (run(moved(1), key).loss - run(moved(-1), key).loss) / (2 * step)
    #expect(abs(slope - square) < 2e-3 * square)
  }

  @Test("mean pooling averages the hidden states and its gradient is that of the loss")
  func meanPooling() throws {
    let golden = try Golden("bert_classification")
    let layout = try TrainableLayout(
      model: golden.model, lora: LoRAConfiguration(loraRank: 2, alpha: 4),
      task: .classification(labels: 3, pooling: .mean))
    let batch = PackedSequences(golden.sequences)
    let model = AdaptedModel(
      model: golden.model, layout: layout, capacity: batch.tokenCount,
      longestSequence: golden.sequences.map(\.count).max()!)
    var vector = layout.initialVector(model: golden.model, seed: 3)
    for index in vector.indices where vector[index] == 0 {
      vector[index] = Float(index % 13 - 6) / 60
    }
    let labels = golden.sequences.indices.map { Int32($0 % 3) }
    func loss(_ vector: [Float]) -> Double {
      model.evaluate(batch, labels: labels, parameters: vector).reduce(0) { $0 + $1.loss }
    }
    var gradient = [Float](repeating: 0, count: vector.count)
    _ = model.addGradient(
      of: batch, labels: labels, parameters: vector, gradient: &gradient, lossScale: 1)
    let square = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }
    let step = 1e-2 / square.squareRoot()
    let slope =
      (loss(zip(vector, gradient).map { $0 + Float(step) * $1 })
        - loss(zip(vector, gradient).map { $0 - Float(step) * $1 })) / (2 * step)
    #expect(abs(slope - square) < 2e-3 * square)
  }
}
