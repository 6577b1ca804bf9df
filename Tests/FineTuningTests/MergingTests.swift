// Merged models, dropout and mean pooling.

import Adapters
import FineTuning
import Foundation
import Kernels
import RandomStreams
import TestSupport
import Testing
import Transformers

@Suite("Merging and dropout")
struct MergeTests {
  @Test(
    "a merged model gives the adapter's logits", arguments: Golden.names)
  func merged(_ name: String) throws {
    let golden = try Golden(name)
    let directory = try TemporaryDirectory()
    try MergedModel.write(
      model: golden.model, layout: golden.layout, vector: golden.vector, labelNames: [],
      to: directory.path)
    let model = try PretrainedModel(directory: directory.path)
    let lora = LoRAConfiguration(loraRank: 1, alpha: 1)
    let layout = try TrainableLayout(model: model, adaptation: .lora(lora), task: golden.task)
    let vector = layout.initialVector(model: model, seed: 0)  // B is zero, the head is the file's
    let total = golden.sequences.reduce(0) { $0 + $1.count }
    let logits = AdaptedModel(
      model: model, layout: layout, task: golden.task, capacity: total,
      longestSequence: golden.sequences.map(\.count).max()!
    ).logits(golden.batch, parameters: vector)
    #expect(relativeError(logits, try golden.floats("logits")) < 1e-5)
  }

  @Test("dropout's gradient is the gradient of the loss under the same mask")
  func dropout() throws {
    let golden = try Golden("llama_classification_gqa")
    let lora = LoRAConfiguration(
      loraRank: golden.layout.lora.loraRank, alpha: golden.layout.lora.alpha, dropout: 0.3)
    let layout = try TrainableLayout(
      model: golden.model, adaptation: .lora(lora), task: golden.task)
    let batch = golden.batch
    let model = AdaptedModel(
      model: golden.model, layout: layout, task: golden.task, capacity: batch.tokenCount,
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
    let task = Classification(labels: 3, pooling: .mean)
    let layout = try TrainableLayout(
      model: golden.model, adaptation: .lora(LoRAConfiguration(loraRank: 2, alpha: 4)), task: task)
    let batch = golden.batch
    let model = AdaptedModel(
      model: golden.model, layout: layout, task: task, capacity: batch.tokenCount,
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
