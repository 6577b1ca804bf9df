// Reads the goldens of Tests/Goldens/transformers: a model directory, a PEFT adapter, and what
// PyTorch computed from them in double precision. `make_goldens.py` beside them makes them anew.

package import Adapters
package import FineTuning
import Foundation
package import Kernels
package import Safetensors
package import Transformers

/// One golden case.
package struct Golden {
  /// The directory of all cases.
  package static let root = goldenPath("transformers")

  /// Names of all cases.
  package static let names: [String] = (try! FileManager.default.contentsOfDirectory(atPath: root))
    .filter { FileManager.default.fileExists(atPath: "\(root)/\($0)/golden.safetensors") }.sorted()

  /// The name of the case.
  package let name: String
  /// Its model.
  package let model: PretrainedModel
  /// Its task.
  package let task: any Task
  /// The order of its trainable vector.
  package let layout: TrainableLayout
  /// Its adapter.
  package let vector: [Float]
  /// Its batch.
  package let sequences: [[Int32]]
  /// The patches of each image; empty for text.
  package let images: [[Float]]
  /// The label of each sequence; empty in other tasks than classification.
  package let labels: [Int32]
  /// The targets of each sequence in multi-label classification and regression; empty in other tasks.
  package let targets: [[Float]]
  /// PyTorch's tensors.
  package let file: SafetensorsFile

  /// The case of this name.
  package init(_ name: String, precision: MatrixFormat = .fp32) throws {
    let directory = "\(Self.root)/\(name)"
    try self.init(
      name: name, modelDirectory: directory, directory: directory, precision: precision)
  }

  /// A golden in `directory` of the model in `modelDirectory`.
  package init(
    name: String, modelDirectory: String, directory: String, precision: MatrixFormat = .fp32
  ) throws {
    self.name = name
    model = try PretrainedModel(directory: modelDirectory, precision: precision)
    file = try SafetensorsFile(path: directory + "/golden.safetensors")
    if let image = model.configuration.image {
      images = try Self.images(file, image)
      sequences = images.map { _ in [Int32](repeating: 0, count: image.tokenCount) }
    } else {
      let tokens = try file.readIntegers(named: "tokens").map(Int32.init)
      let offsets = try file.readIntegers(named: "offsets")
      images = []
      sequences = zip(offsets, offsets.dropFirst()).map { Array(tokens[$0..<$1]) }
    }
    labels = file["labels"] == nil ? [] : try file.readIntegers(named: "labels").map(Int32.init)
    let pooling = model.configuration.pooling
    let outputs = file["logits"]!.shape[1]
    if !labels.isEmpty {
      (task, targets) = (Classification(labels: outputs, pooling: pooling), [])
    } else if file["label_sets"] != nil {
      task = MultiLabelClassification(labels: outputs, pooling: pooling)
      let sets = try file.readIntegers(named: "label_sets").map { Float($0) }
      targets = (0..<sequences.count).map { Array(sets[$0 * outputs..<($0 + 1) * outputs]) }
    } else if file["scores"] != nil {
      (task, targets) = (
        Regression(pooling: pooling), try file.readFloats(named: "scores").map { [$0] }
      )
    } else {
      (task, targets) = (LanguageModelling(), [])
    }
    layout = try TrainableLayout(
      model: model,
      adaptation: .lora(try AdapterDirectory.configuration(at: directory + "/adapter")),
      task: task)
    vector = try AdapterDirectory.read(directory + "/adapter", layout: layout)
  }

  /// The values of one of PyTorch's tensors.
  package func floats(_ tensor: String) throws -> [Float] {
    let count = file[tensor]!.elementCount
    var values = [Float](repeating: 0, count: count)
    try values.withUnsafeMutableBufferPointer { try file.readFloats(named: tensor, into: $0) }
    return values
  }

  /// The whole batch, with its targets.
  package var batch: PackedSequences {
    var batch = PackedSequences()
    for index in sequences.indices { append(index, to: &batch) }
    return batch
  }

  /// One sequence, with its targets.
  package func batch(of index: Int) -> PackedSequences {
    var batch = PackedSequences()
    append(index, to: &batch)
    return batch
  }

  private func append(_ index: Int, to batch: inout PackedSequences) {
    let targets = targets.isEmpty ? [] : targets[index]
    batch.append(sequences[index], targets: targets)
    if !images.isEmpty { batch.appendPatches { $0 += images[index] } }
  }

  /// Images of (channels, rows, columns), each cut into patches of (channels, rows, columns).
  private static func images(_ file: SafetensorsFile, _ shape: ImageShape) throws -> [[Float]] {
    let pixels = try file.readFloats(named: "pixel_values")
    let (size, patch) = (shape.size, shape.patchSize)
    return stride(from: 0, to: pixels.count, by: shape.channels * size * size).map { start in
      var patches: [Float] = []
      for top in stride(from: 0, to: size, by: patch) {
        for left in stride(from: 0, to: size, by: patch) {
          for channel in 0..<shape.channels {
            for row in top..<top + patch {
              let first = start + (channel * size + row) * size + left
              patches += pixels[first..<first + patch]
            }
          }
        }
      }
      return patches
    }
  }

  /// The items of the whole batch, over which the loss is a mean.
  package var items: Int {
    sequences.reduce(0) { $0 + task.itemCount(tokens: $1.count, isAnswer: { [] }) }
  }

  /// A model that takes the whole batch, or `capacity` tokens, at a time.
  package func adaptedModel(
    capacity: Int? = nil, device: (any KernelDevice)? = nil
  ) -> AdaptedModel {
    let longest = sequences.map(\.count).max()!
    return AdaptedModel(
      model: model, layout: layout, task: task,
      capacity: max(capacity ?? sequences.reduce(0) { $0 + $1.count }, longest),
      longestSequence: longest, device: device)
  }
}

/// max |a - b| / max |b|: the relative error of a tensor.
package func relativeError(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Double {
  precondition(a.count == b.count, "\(a.count) values against \(b.count)")
  var difference = 0.0
  var largest = 0.0
  for (x, y) in zip(a, b) {
    guard x.isFinite else { return .infinity }
    difference = max(difference, abs(Double(x) - Double(y)))
    largest = max(largest, abs(Double(y)))
  }
  return largest == 0 ? (difference == 0 ? 0 : .infinity) : difference / largest
}
