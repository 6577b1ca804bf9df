// A full Hugging Face model directory: the adapter folded into the weights, W + scale * B A, or the
// weights as full fine-tuning left them.

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
      let stored = try files.readFloats(named: tensor.name)
      let orientation = StoredOrientation(tensor: full, shape: tensor.shape, model.configuration)
      var values = merged[full] ?? orientation.toRows(stored)
      layout.addProduct(to: &values, tensor: full, vector: vector, model: model)
      tensors.append(
        TensorToWrite(
          name: model.configuration.fileName(ofTensor: full), shape: tensor.shape,
          floats: orientation.fromRows(values)))
    }
    for (name, segment) in replaced.sorted(by: {
      ($0.value.range.lowerBound, $0.key) < ($1.value.range.lowerBound, $1.key)
    }) {
      let isTransposed =
        segment.shape.count == 2 && model.configuration.isStoredTransposed(name)
      let orientation = StoredOrientation(
        tensor: name, shape: isTransposed ? segment.shape.reversed() : segment.shape,
        model.configuration)
      tensors.append(
        TensorToWrite(
          name: model.configuration.fileName(ofTensor: name), shape: orientation.shape,
          floats: orientation.fromRows(Array(vector[segment.range]))))
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
    guard case .object(var json)? = try? JSONValue(parsing: bytes) else {
      throw ModelError(path: source, reason: "not a JSON object")
    }
    json["torch_dtype"] = .string("float32")
    json["dtype"] = .string("float32")
    if model.languageHead != nil { json["tie_word_embeddings"] = .bool(model.tiesLanguageHead) }
    if let labels = layout.taskHead.labels {
      var type: String?
      if case .string(let text)? = json["model_type"] { type = text }
      json["architectures"] = .array(
        [model.configuration.family.classifier(of: type)].compactMap { $0.map(JSONValue.string) })
      for name in ["num_labels", "_num_labels"] { json[name] = nil }
      json["problem_type"] = layout.taskHead.problemType.map(JSONValue.string)
      let names = (0..<labels).map { $0 < labelNames.count ? labelNames[$0] : "LABEL_\($0)" }
      json["id2label"] = .object(
        Dictionary(
          uniqueKeysWithValues: names.enumerated().map { (String($0), JSONValue.string($1)) }))
      json["label2id"] = .object(
        Dictionary(
          names.enumerated().map { ($1, JSONValue.number(String($0))) },
          uniquingKeysWith: { first, _ in first }))
    }
    let output = Array((JSONValue.object(json).document() + "\n").utf8)
    try writeAtomically(to: path + "/config.json") { file in
      try output.withUnsafeBytes { try file.append($0) }
    }
  }
}

/// The way in which files hold a matrix: as rows of outputs, or transposed (Conv1D of GPT-2).
private struct StoredOrientation {
  /// The shape in files.
  let shape: [Int]
  private let isTransposed: Bool

  init(tensor: String, shape: [Int], _ configuration: ModelConfiguration) {
    self.shape = shape
    isTransposed = shape.count == 2 && configuration.isStoredTransposed(tensor)
  }

  /// Values of a file as rows of outputs.
  func toRows(_ values: [Float]) -> [Float] {
    isTransposed ? transposed(values, rows: shape[0], columns: shape[1]) : values
  }

  /// Rows of outputs as files hold them.
  func fromRows(_ values: [Float]) -> [Float] {
    isTransposed ? transposed(values, rows: shape[1], columns: shape[0]) : values
  }

  private func transposed(_ values: [Float], rows: Int, columns: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: values.count) { buffer, count in
      let out = UnsafeMutableBufferPointer(rebasing: buffer[..<values.count])
      transpose(values, rows: rows, columns: columns, into: out)
      count = values.count
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
        if let head = model.configuration.names.languageHead, segment.name == head.bias,
          let copy = head.biasCopy, !model.tiesLanguageHead
        {
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
    guard adaptation == .full, let head = model.configuration.names.languageHead else { return [] }
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
