// A full model as a GGUF file for llama.cpp: the adapter merged into the weights, or the weights as
// full fine-tuning left them, with the metadata of model and tokenizer.

internal import GGUF
internal import Safetensors
public import Transformers

/// Writes GGUF files of full models.
public enum GGUFModel {
  /// Writes `model` with the adapter of `vector` merged, or with the weights of `vector` in place
  /// of its own, to the new file `path`.
  ///
  /// Matrices have the number format of the model's own files; norms, biases and tables of
  /// positions are F32.
  /// - Parameters:
  ///   - base: weights that take the place of the model's in the adapted layers.
  ///   - name: the name of the model, for people.
  /// - Returns: Lines about what is different in llama.cpp, such as a head that is not in the file.
  /// - Throws: `ModelError` if llama.cpp does not have such a model or tokenizer, or a file is
  ///   missing; `SafetensorsError` as `GGUFWriter.write`.
  public static func write(
    model: PretrainedModel, base: MergedBase? = nil, layout: TrainableLayout, vector: [Float],
    name: String, toNew path: String
  ) throws -> [String] {
    let architecture = try GGUFArchitecture(model)
    let description = try architecture.description(path: model.directory + "/config.json")
    let tokenizer = try GGUFTokenizer.entries(
      directory: model.directory, vocabularySize: model.configuration.vocabularySize)
    let merged = try MergedTensors(model: model, base: base, layout: layout, vector: vector)
    // The format of most matrices.
    let common = merged.all.map(\.format).first { $0 != .f32 } ?? .f32
    var tensors: [GGUFTensor] = []
    for tensor in merged.all where !model.tiesOutput(tensor.name) {
      let found = architecture.tensor(
        tensor.name, shape: tensor.shape, stored: tensor.format, values: tensor.values)
      if let found { tensors.append(found) }
    }
    tensors += description.tensors
    var entries = [
      GGUFEntry("general.architecture", .string(architecture.name)),
      GGUFEntry("general.type", .string("model")),
      GGUFEntry("general.name", .string(name)),
      GGUFEntry("general.file_type", .uint32(common.fileType)),
      GGUFEntry("general.quantization_version", .uint32(2)),
    ]
    entries += description.entries
    if !model.configuration.isCausal, let pooling = layout.taskHead.pooling {
      entries.append(
        GGUFEntry("\(architecture.name).pooling_type", .uint32(pooling.llamaType)))
    }
    try GGUFWriter.write(entries + tokenizer, tensors, toNew: path)
    var remarks: [String] = []
    if !layout.headModules.isEmpty {
      remarks.append("without the classifier (\(layout.headModules.joined(separator: ", ")))")
    }
    if architecture.ignoresWindow(description.entries) {
      remarks.append("llama.cpp computes this model without its sliding window")
    }
    return remarks
  }
}

extension MergedTensor {
  /// The number format of its elements.
  fileprivate var format: GGUFElementType {
    switch stored {
    case .f16: .f16
    case .bf16: .bf16
    default: .f32
    }
  }
}

extension GGUFElementType {
  /// `general.file_type` of a model whose matrices have this format.
  fileprivate var fileType: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .bf16: 32
    }
  }
}

extension PretrainedModel {
  /// True if a tensor is the language head, and the head is the token embedding.
  fileprivate func tiesOutput(_ tensor: String) -> Bool {
    tiesLanguageHead && tensor == configuration.names.languageHead.map { $0.output + ".weight" }
  }
}

extension Pooling {
  /// llama.cpp's number.
  fileprivate var llamaType: UInt32 {
    switch self {
    case .mean: 1
    case .first: 2
    case .last: 3
    }
  }
}
