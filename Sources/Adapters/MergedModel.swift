// A full Hugging Face model directory: the adapter folded into the weights, W + scale * B A, or the
// weights as full fine-tuning left them.

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
    let tensors = try MergedTensors(model: model, base: base, layout: layout, vector: vector)
    try makeFolders(path)
    try SafetensorsWriter.write(
      try tensors.all.map {
        TensorToWrite(
          name: model.configuration.fileName(ofTensor: $0.name), shape: $0.storedShape,
          floats: try $0.storedValues())
      }, metadata: ["format": "pt"], to: path + "/model.safetensors")
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
