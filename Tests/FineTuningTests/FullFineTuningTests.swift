// Full fine-tuning: every gradient of every weight against PyTorch's in double precision, against finite
// differences, and the trained model written and read again.

import Adapters
import FineTuning
import Foundation
import Kernels
import Safetensors
import TestSupport
import Testing
import Transformers

/// A golden model without an adapter, and PyTorch's gradients of all its weights.
struct FullGolden {
  static let names = Golden.names.filter {
    FileManager.default.fileExists(atPath: "\(Golden.root)/\($0)/full.safetensors")
  }
  static let remedy: Comment = "goldens: python Tests/Goldens/transformers/make_full_goldens.py"

  let golden: Golden
  let layout: TrainableLayout
  let weights: [Float]
  let file: SafetensorsFile

  init(_ name: String) throws {
    golden = try Golden(name)
    layout = try TrainableLayout(
      model: golden.model, adaptation: .full, task: golden.task)
    weights = try layout.weights(of: golden.model)
    file = try SafetensorsFile(path: "\(Golden.root)/\(name)/full.safetensors")
  }

  func floats(_ tensor: String) throws -> [Float] {
    let values = try file.readFloats(named: tensor)
    let shape = file[tensor]!.shape
    let name = tensor.replacing("gradient.", with: "")
    guard shape.count == 2, golden.model.configuration.isStoredTransposed(name) else {
      return values
    }
    return (0..<values.count).map { values[$0 % shape[0] * shape[1] + $0 / shape[0]] }
  }

  func model(capacity: Int? = nil, layout other: TrainableLayout? = nil, task: (any Task)? = nil)
    -> AdaptedModel
  {
    let longest = golden.sequences.map(\.count).max()!
    return AdaptedModel(
      model: golden.model, layout: other ?? layout, task: task ?? golden.task,
      capacity: max(capacity ?? golden.sequences.reduce(0) { $0 + $1.count }, longest),
      longestSequence: longest)
  }

  var items: Int {
    golden.items
  }

  /// Checks a gradient tensor by tensor.
  func check(_ gradient: [Float]) throws {
    let largest = gradient.reduce(0) { max($0, abs($1)) }
    var worst = 0.0
    for segment in layout.segments {
      let expected = try floats("gradient." + segment.name)
      let found = gradient[segment.range]
      if expected.allSatisfy({ abs($0) < 1e-12 }) {
        // Attention does not change with what is added to all keys alike: rounding is all there is.
        #expect(["key.bias", "k_lin.bias", "k_proj.bias"].contains(where: segment.name.hasSuffix))
        #expect(found.allSatisfy { abs($0) <= 1e-5 * largest }, "\(segment.name)")
      } else {
        worst = max(worst, relativeError(found, expected))
        #expect(
          relativeError(found, expected) <= tolerance, "\(segment.name): \(Self.remedy)")
      }
    }
    print("parity: \(golden.name), all gradients, \(short(worst))")
  }
}

@Suite("Full fine-tuning")
struct FullFineTuningTests {
  @Test("the vector has every trained weight of PyTorch's model once, and no other")
  func tensors() throws {
    #expect(FullGolden.names.count >= 23, FullGolden.remedy)
    for name in FullGolden.names {
      let full = try FullGolden(name)
      let expected = full.file.tensors.map(\.name).filter { $0.hasPrefix("gradient.") }
      #expect(Set(full.layout.segments.map { "gradient." + $0.name }) == Set(expected))
      var end = 0
      for segment in full.layout.segments {
        #expect(segment.range == end..<end + segment.shape.reduce(1, *))
        end = segment.range.upperBound
      }
      #expect(end == full.layout.parameterCount)
    }
  }

  @Test("logits, loss and every gradient agree with PyTorch", arguments: FullGolden.names)
  func gradients(_ name: String) throws {
    let full = try FullGolden(name)
    let batch = full.golden.batch
    let model = full.model()
    let logits = model.logits(batch, parameters: full.weights)
    #expect(relativeError(logits, try full.floats("logits")) <= tolerance, FullGolden.remedy)
    var gradient = [Float](repeating: 0, count: full.weights.count)
    let outcomes = model.addGradient(
      of: batch, labels: full.golden.labels, parameters: full.weights, gradient: &gradient,
      lossScale: 1 / Float(full.items))
    let loss = outcomes.reduce(0) { $0 + $1.loss } / Double(full.items)
    let reference = Double(try full.floats("loss")[0])
    #expect(abs(loss - reference) <= tolerance * abs(reference), FullGolden.remedy)
    try full.check(gradient)
  }

  @Test("micro-batches add up to the whole batch", arguments: FullGolden.names)
  func microBatches(_ name: String) throws {
    let full = try FullGolden(name)
    let model = full.model(capacity: 1)
    var gradient = [Float](repeating: 0, count: full.weights.count)
    for index in full.golden.sequences.indices {
      _ = model.addGradient(
        of: full.golden.batch(of: index),
        labels: full.golden.labels.isEmpty ? [] : [full.golden.labels[index]],
        parameters: full.weights, gradient: &gradient, lossScale: 1 / Float(full.items))
    }
    try full.check(gradient)
  }

  @Test("the loss changes along each tensor as its gradient says", arguments: Pooling.allCases)
  func finiteDifferences(_ pooling: Pooling) throws {
    let full = try FullGolden("bert_classification")
    let task = Classification(labels: full.golden.task.labelCount, pooling: pooling)
    let layout = try TrainableLayout(model: full.golden.model, adaptation: .full, task: task)
    #expect(layout.segments.contains { $0.name.contains("pooler") } == (pooling == .first))
    let weights = try layout.weights(of: full.golden.model)
    let model = full.model(layout: layout, task: task)
    let batch = full.golden.batch
    func loss(_ weights: [Float]) -> Double {
      model.evaluate(batch, labels: full.golden.labels, parameters: weights)
        .reduce(0) { $0 + $1.loss }
    }
    var gradient = [Float](repeating: 0, count: weights.count)
    _ = model.addGradient(
      of: batch, labels: full.golden.labels, parameters: weights, gradient: &gradient,
      lossScale: 1)
    let largest = gradient.reduce(0) { max($0, abs($1)) }
    for segment in layout.segments {
      let slopes = gradient[segment.range]
      let square = slopes.reduce(0.0) { $0 + Double($1) * Double($1) }
      // Too flat for differences of Floats, as attention is along its keys' biases.
      guard square.squareRoot() > 1e-2 * Double(largest) else { continue }
      let step = 1e-2 / square.squareRoot()
      func moved(_ sign: Double) -> [Float] {
        var moved = weights
        for i in segment.range { moved[i] += Float(sign * step) * gradient[i] }
        return moved
      }
      let slope = (loss(moved(1)) - loss(moved(-1))) / (2 * step)
      #expect(abs(slope - square) < 1e-2 * square, "\(segment.name)")
    }
  }

  @Test("with zeros for LoRA both ways compute the same", arguments: FullGolden.names)
  func sameAsLoRA(_ name: String) throws {
    let full = try FullGolden(name)
    var adapter = full.golden.vector
    for segment in full.golden.layout.segments {
      switch segment.kind {
      case .loraA, .loraB:
        adapter.replaceSubrange(segment.range, with: repeatElement(0, count: segment.range.count))
      case .headDenseWeight, .headDenseBias, .headWeight, .headBias:
        let own = try #require(full.layout.segments.first { $0.kind == segment.kind })
        adapter.replaceSubrange(segment.range, with: full.weights[own.range])
      case .base: Issue.record("an adapter has no weights of the model")
      }
    }
    let batch = full.golden.batch
    let frozen = full.golden.adaptedModel().logits(batch, parameters: adapter)
    let trained = full.model().logits(batch, parameters: full.weights)
    #expect(relativeError(trained, frozen) <= 1e-6)
  }

  @Test("the written model is read back bit for bit", arguments: FullGolden.names)
  func written(_ name: String) throws {
    let full = try FullGolden(name)
    let moved = full.weights.enumerated().map { $1 + Float($0 % 7) / 1024 }
    let directory = try TemporaryDirectory()
    try MergedModel.write(
      model: full.golden.model, layout: full.layout, vector: moved, labelNames: [],
      to: directory.path)
    let again = try PretrainedModel(directory: directory.path)
    let layout = try TrainableLayout(model: again, adaptation: .full, task: full.golden.task)
    #expect(layout.segments == full.layout.segments)
    #expect(try layout.weights(of: again) == moved)
  }

  @Test("training starts from zero, which is the pretrained model, with a head as LoRA's")
  func start() throws {
    for name in FullGolden.names {
      let full = try FullGolden(name)
      let vector = full.layout.initialVector(model: full.golden.model, seed: 5)
      let lora = full.golden.layout.initialVector(model: full.golden.model, seed: 5)
      for segment in full.layout.segments {
        if segment.kind == .base {
          #expect(vector[segment.range].allSatisfy { $0 == 0 })
        } else {
          let same = try #require(full.golden.layout.segments.first { $0.kind == segment.kind })
          #expect(vector[segment.range].elementsEqual(lora[same.range]))
        }
      }
      let ranges = full.layout.pretrainedRanges(of: full.golden.model)
      for (range, values) in ranges {
        #expect((0..<range.count).allSatisfy { values[$0] == full.weights[range.lowerBound + $0] })
      }
    }
  }
}
