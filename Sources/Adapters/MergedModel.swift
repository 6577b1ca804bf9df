// A full Hugging Face model directory: the adapter folded into the weights, W + scale * B A, or the
// weights as full fine-tuning left them.

internal import Foundation
internal import Kernels
internal import Safetensors
public import Transformers

/// Writes full models: with an adapter merged in, or fully trained.
public enum MergedModel {
  /// Writes `model` with the adapter of `vector` merged, or with the weights of `vector` in place of its
  /// own, and the head of `vector`, to the directory `path`.
  ///
  /// All tensors are written as F32 into one `model.safetensors`; `config.json` names the
  /// architecture and the labels; tokenizer files are copied.
  /// - Parameter base: weights that take the place of the model's in the adapted layers.
  /// - Throws: `AdapterError` or `SafetensorsError`.
  public static func write(
    model: PretrainedModel, base: MergedBase? = nil, layout: TrainableLayout, vector: [Float],
    labelNames: [String], to path: String
  ) throws {
    let merged = base?.byName(layout, model.configuration) ?? [:]
    let files = try SafetensorsCollection(directory: model.directory)
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw AdapterError(path: path, reason: "cannot be made: \(error.localizedDescription)")
    }
    var tensors: [TensorToWrite] = []
    let replaced = layout.replacedSegments
    let outdated = Set(replaced.keys).union(layout.copiesOfTrained(model))
    for tensor in files.tensors {
      let full = fullName(tensor.name, configuration: model.configuration)
      if outdated.contains(full) { continue }
      var values = [Float](repeating: 0, count: tensor.elementCount)
      if tensor.elementType == .i64 { continue }  // position_ids of old checkpoints
      try values.withUnsafeMutableBufferPointer {
        try files.readFloats(named: tensor.name, into: $0)
      }
      if let found = merged[full] { values = found }
      layout.addProduct(to: &values, tensor: tensor.name, vector: vector, model: model)
      tensors.append(
        TensorToWrite(
          name: full, shape: tensor.shape, floats: values))
    }
    for (name, segment) in replaced.sorted(by: {
      $0.value.range.lowerBound < $1.value.range.lowerBound
    }) {
      tensors.append(
        TensorToWrite(name: name, shape: segment.shape, floats: Array(vector[segment.range])))
    }
    try SafetensorsWriter.write(
      tensors, metadata: ["format": "pt"], to: path + "/model.safetensors")
    try writeConfiguration(model: model, layout: layout, labelNames: labelNames, to: path)
    for name in try FileManager.default.contentsOfDirectory(atPath: model.directory)
    where name.contains("token") || name == "vocab.txt" || name == "merges.txt" {
      try? FileManager.default.copyItem(
        atPath: model.directory + "/" + name, toPath: path + "/" + name)
    }
  }

  /// The name with the prefix that checkpoints of the bare model leave out.
  private static func fullName(_ name: String, configuration: ModelConfiguration) -> String {
    let outside = ["lm_head.", "cls.", "score.", "classifier."]
    // As TensorReader finds them.
    let name = name.replacing("LayerNorm.gamma", with: "LayerNorm.weight")
      .replacing("LayerNorm.beta", with: "LayerNorm.bias")
    let prefix = configuration.family == .llama ? "model." : "bert."
    if name.hasPrefix(prefix) || outside.contains(where: { name.hasPrefix($0) }) { return name }
    return prefix + name
  }

  private static func writeConfiguration(
    model: PretrainedModel, layout: TrainableLayout, labelNames: [String], to path: String
  ) throws {
    let source = model.directory + "/config.json"
    guard let data = FileManager.default.contents(atPath: source),
      var json = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    else { throw AdapterError(path: source, reason: "not a JSON object") }
    json["torch_dtype"] = "float32"
    json["dtype"] = "float32"
    let isLlama = model.configuration.family == .llama
    if case .classification(let labels, _) = layout.task {
      json["architectures"] = [
        isLlama ? "LlamaForSequenceClassification" : "BertForSequenceClassification"
      ]
      if json["model_type"] as? String == "qwen2" {
        json["architectures"] = ["Qwen2ForSequenceClassification"]
      } else if json["model_type"] as? String == "mistral" {
        json["architectures"] = ["MistralForSequenceClassification"]
      }
      let names = (0..<labels).map { $0 < labelNames.count ? labelNames[$0] : "LABEL_\($0)" }
      json["id2label"] = Dictionary(
        uniqueKeysWithValues: names.enumerated().map { (String($0), $1) })
      json["label2id"] = Dictionary(
        names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }
    let output = try JSONSerialization.data(
      withJSONObject: json, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    try writeAtomically(to: path + "/config.json") { file in
      try output.withUnsafeBytes { try file.append($0) }
    }
  }
}

extension TrainableLayout {
  /// What takes the place of the model's own tensors, by their names in model.safetensors: the head, and
  /// with full fine-tuning all weights.
  fileprivate var replacedSegments: [String: TrainableSegment] {
    Dictionary(
      uniqueKeysWithValues: segments.compactMap { segment in
        switch segment.kind {
        case .loraA, .loraB: nil
        case .base: (segment.name, segment)
        case .headWeight, .headBias:
          (segment.name.replacing(Self.adapterPrefix, with: "", maxReplacements: 1), segment)
        }
      })
  }

  /// Tensors that a file may hold a second time under these names, and that are outdated once the first
  /// is trained.
  fileprivate func copiesOfTrained(_ model: PretrainedModel) -> [String] {
    guard adaptation == .full else { return [] }
    let ties = model.parts.languageHead != "lm_head.weight"
    return ["cls.predictions.decoder.bias"]
      + (ties ? ["lm_head.weight", "cls.predictions.decoder.weight"] : [])
  }

  /// Adds scale * B A to `weight` if `tensor` is the weight of an adapted layer.
  func addProduct(
    to weight: inout [Float], tensor: String, vector: [Float], model: PretrainedModel
  ) {
    for segment in segments {
      guard case .loraB(let role) = segment.kind else { continue }
      let module = model.configuration.moduleName(of: role, layer: segment.layer ?? 0)
      guard
        tensor == module + ".weight"
          || model.configuration.basePrefix + tensor == module + ".weight"
      else { continue }
      guard let a = segments.first(where: { $0.kind == .loraA(role) && $0.layer == segment.layer })
      else { preconditionFailure("\(segment.name) has no A") }
      vector.withUnsafeBufferPointer { values in
        let base = values.baseAddress!
        weight.withUnsafeMutableBufferPointer { out in
          matmul(
            out.baseAddress!, stride: a.shape[1], rows: segment.shape[0], columns: a.shape[1],
            inner: segment.shape[1], base + segment.range.lowerBound, strideA: segment.shape[1],
            base + a.range.lowerBound, strideB: a.shape[1], alpha: lora.scale, .add)
        }
      }
    }
  }
}
