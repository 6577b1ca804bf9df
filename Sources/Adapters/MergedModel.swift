// A full Hugging Face model directory: the adapter folded into the weights, W + scale * B A, or the
// weights as full fine-tuning left them.

internal import Foundation
internal import Kernels
internal import Safetensors
public import Transformers

/// Writes full models: with an adapter merged in, or fully trained.
public enum MergedModel {
  /// Writes `model` with the adapter of `vector` merged, or with the weights of `vector` in place
  /// of its own, and the head of `vector`, to the directory `path`.
  ///
  /// All float tensors are written as F32 into one `model.safetensors`; `config.json` names the
  /// architecture and the labels; the files of tokenizer and generation are copied
  /// (CompanionFiles.swift).
  /// - Parameter base: weights that take the place of the model's in the adapted layers.
  /// - Throws: `ModelError` or `SafetensorsError`.
  public static func write(
    model: PretrainedModel, base: MergedBase? = nil, layout: TrainableLayout, vector: [Float],
    labelNames: [String], to path: String
  ) throws {
    let merged = base?.byName(layout, model.configuration) ?? [:]
    let files = try SafetensorsCollection(directory: model.directory)
    try makeFolders(path)
    var tensors: [TensorToWrite] = []
    let replaced = layout.replacedSegments(model)
    let outdated = Set(replaced.keys).union(layout.copiesOfTrained(model))
    for tensor in files.tensors {
      let full = model.configuration.fullName(ofTensor: tensor.name)
      if outdated.contains(full) { continue }
      switch tensor.elementType {
      case .f32, .f16, .bf16: break
      default: continue  // position_ids of old checkpoints, which no model reads
      }
      var values = try files.readFloats(named: tensor.name)
      if let found = merged[full] { values = found }
      layout.addProduct(to: &values, tensor: full, vector: vector, model: model)
      tensors.append(
        TensorToWrite(
          name: full, shape: tensor.shape, floats: values))
    }
    for (name, segment) in replaced.sorted(by: {
      ($0.value.range.lowerBound, $0.key) < ($1.value.range.lowerBound, $1.key)
    }) {
      tensors.append(
        TensorToWrite(name: name, shape: segment.shape, floats: Array(vector[segment.range])))
    }
    try SafetensorsWriter.write(
      tensors, metadata: ["format": "pt"], to: path + "/model.safetensors")
    try writeConfiguration(model: model, layout: layout, labelNames: labelNames, to: path)
    try CompanionFiles.copy(from: model.directory, to: path)
  }

  private static func writeConfiguration(
    model: PretrainedModel, layout: TrainableLayout, labelNames: [String], to path: String
  ) throws {
    let source = model.directory + "/config.json"
    guard let bytes = try contentsIfThere(of: source) else {
      throw ModelError(path: source, reason: "no such file", isMissing: true)
    }
    guard var json = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
      throw ModelError(path: source, reason: "not a JSON object")
    }
    json["torch_dtype"] = "float32"
    json["dtype"] = "float32"
    if model.languageHead != nil { json["tie_word_embeddings"] = model.tiesLanguageHead }
    if let labels = layout.taskHead.labels {
      let family = model.configuration.family
      json["architectures"] = [family.classifier(of: json["model_type"] as? String)].compactMap {
        $0
      }
      for name in ["num_labels", "_num_labels"] { json[name] = nil }
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
  /// The segments that take the place of the model's own tensors, by their names in
  /// model.safetensors: the head, and with full fine-tuning all weights.
  fileprivate func replacedSegments(_ model: PretrainedModel) -> [String: TrainableSegment] {
    var found: [String: TrainableSegment] = [:]
    for segment in segments {
      switch segment.kind {
      case .loraA, .loraB: continue
      case .base:
        found[segment.name] = segment
        // transformers adds this one where the head is not tied.
        let head = model.configuration.names.languageHead
        if segment.name == head.bias, let copy = head.biasCopy, !model.tiesLanguageHead {
          found[copy] = segment
        }
      case .headDenseWeight, .headDenseBias, .headWeight, .headBias:
        found[segment.modelName] = segment
      }
    }
    return found
  }

  /// Tensors that a file may hold a second time under these names, and that are outdated once the first
  /// is trained.
  fileprivate func copiesOfTrained(_ model: PretrainedModel) -> [String] {
    guard adaptation == .full else { return [] }
    let head = model.configuration.names.languageHead
    let hasBias = segments.contains { $0.name == head.bias }
    return (hasBias ? [head.biasCopy].compactMap { $0 } : [])
      + (model.tiesLanguageHead ? [head.output + ".weight"] : [])
  }

  /// Adds scale * B A to `weight` if `tensor`, a full name, is the weight of an adapted layer.
  func addProduct(
    to weight: inout [Float], tensor: String, vector: [Float], model: PretrainedModel
  ) {
    for segment in segments {
      guard case .loraB(let role) = segment.kind else { continue }
      let module = model.configuration.moduleName(of: role, layer: segment.layer ?? 0)
      guard tensor == module + ".weight" else { continue }
      guard let a = segments.first(where: { $0.kind == .loraA(role) && $0.layer == segment.layer })
      else { preconditionFailure("\(segment.name) has no A") }
      vector.withUnsafeBufferPointer { values in
        let base = values.baseAddress!
        weight.withUnsafeMutableBufferPointer { out in
          addLowRankProduct(
            to: out.baseAddress!, b: base + segment.range.lowerBound, a: base + a.range.lowerBound,
            loraRank: segment.shape[1], scale: lora.scale, outputs: segment.shape[0],
            inputs: a.shape[1])
        }
      }
    }
  }
}
