// Parity with PyTorch, transformers and PEFT: logits, loss and every gradient of LoRA and the head,
// each within 1e-5 of the double-precision reference.

import Adapters
import FineTuning
import Foundation
import Kernels
import TestSupport
import Testing
import Transformers

let tolerance = 1e-5
let remedy: Comment = "goldens: python Tests/Goldens/transformers/make_goldens.py"

/// A relative error with two digits.
func short(_ error: Double) -> String { String(format: "%.1e", error) }

@Suite("Parity with transformers and PEFT")
struct ParityTests {
  @Test("there are goldens of all families, both tasks, shards and half precision")
  func goldensExist() {
    #expect(Golden.names.count >= 40, remedy)
  }

  @Test("logits agree with the reference", arguments: Golden.names)
  func logits(_ name: String) throws {
    let golden = try Golden(name)
    let logits = golden.adaptedModel().logits(
      golden.batch, parameters: golden.vector)
    let error = relativeError(logits, try golden.floats("logits"))
    print("parity: \(name), logits, \(short(error))")
    #expect(error <= tolerance, remedy)
  }

  @Test("loss and gradients agree with the reference", arguments: Golden.names)
  func gradients(_ name: String) throws {
    let golden = try Golden(name)
    let model = golden.adaptedModel()
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let batch = golden.batch
    let items = golden.items
    let outcomes = model.addGradient(
      of: batch, labels: golden.labels, parameters: golden.vector, gradient: &gradient,
      lossScale: 1 / Float(items))
    let loss = outcomes.reduce(0) { $0 + $1.loss } / Double(items)
    let reference = Double(try golden.floats("loss")[0])
    #expect(abs(loss - reference) <= tolerance * abs(reference), remedy)
    var worst = 0.0
    for segment in golden.layout.segments {
      let expected = try golden.floats("gradient." + segment.name)
      let error = relativeError(gradient[segment.range], expected)
      worst = max(worst, error)
      #expect(error <= tolerance, "\(segment.name): \(remedy)")
    }
    print("parity: \(name), loss, \(short(abs(loss - reference) / abs(reference)))")
    print("parity: \(name), gradients, \(short(worst))")
  }

  @Test("micro-batches add up to the whole batch", arguments: Golden.names)
  func microBatches(_ name: String) throws {
    let golden = try Golden(name)
    let model = golden.adaptedModel(capacity: 1)
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let items = golden.items
    for index in golden.sequences.indices {
      _ = model.addGradient(
        of: golden.batch(of: index),
        labels: golden.labels.isEmpty ? [] : [golden.labels[index]], parameters: golden.vector,
        gradient: &gradient, lossScale: 1 / Float(items))
    }
    for segment in golden.layout.segments {
      let expected = try golden.floats("gradient." + segment.name)
      #expect(relativeError(gradient[segment.range], expected) <= tolerance, "\(segment.name)")
    }
  }

  @Test("evaluation gives the loss that training gives", arguments: Golden.names)
  func evaluation(_ name: String) throws {
    let golden = try Golden(name)
    let model = golden.adaptedModel()
    let batch = golden.batch
    var gradient = [Float](repeating: 0, count: golden.vector.count)
    let trained = model.addGradient(
      of: batch, labels: golden.labels, parameters: golden.vector, gradient: &gradient,
      lossScale: 1)
    let evaluated = model.evaluate(batch, labels: golden.labels, parameters: golden.vector)
    for (a, b) in zip(trained, evaluated) {
      #expect(abs(a.loss - b.loss) <= 1e-5 * max(1, abs(a.loss)))
      #expect(a.correct == b.correct && a.count == b.count && a.predicted == b.predicted)
    }
  }

  @Test("half-precision weights are widened once into memory that others take as it is")
  func widenedOnce() throws {
    for name in ["llama_classification_bf16", "llama_classification_f16"] {
      let golden = try Golden(name)
      let directory = "\(Golden.root)/\(name)"
      let count = try PretrainedModel.widenedCount(directory: directory)
      #expect(count > 0)
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
      defer { memory.deallocate() }
      let filling = WidenedSlices(memory, isFilled: false)
      _ = try PretrainedModel(directory: directory, storage: filling.take)
      #expect(filling.count == count)
      let taking = WidenedSlices(memory, isFilled: true)
      let model = try PretrainedModel(directory: directory, storage: taking.take)
      let logits = AdaptedModel(
        model: model, layout: golden.layout, task: golden.task,
        capacity: golden.sequences.reduce(0) { $0 + $1.count },
        longestSequence: golden.sequences.map(\.count).max()!
      ).logits(golden.batch, parameters: golden.vector)
      #expect(relativeError(logits, try golden.floats("logits")) <= tolerance)
    }
    let plain = "\(Golden.root)/llama_classification_gqa"
    #expect(try PretrainedModel.widenedCount(directory: plain) == 0)
  }
}
