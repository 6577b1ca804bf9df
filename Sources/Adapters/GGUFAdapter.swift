// An adapter as a GGUF file, which llama.cpp adds to a model (`--lora`): names and order of rows
// are llama.cpp's, A stays (r, inputs) and B (outputs, r). llama.cpp multiplies B A x by alpha / r.

internal import GGUF
public import Transformers

/// Writes GGUF files of adapters.
public enum GGUFAdapter {
  /// Writes the factors of `vector` to the new file `path`, in F32.
  ///
  /// - Returns: The trained modules that llama.cpp does not have, and so are not in the file: a
  ///   classification head, BERT's pooler.
  /// - Throws: `ModelError` if llama.cpp does not have the family, or none of the trained modules;
  ///   `SafetensorsError` as `GGUFWriter.write`.
  /// - Precondition: the layout is one of LoRA, and the model's.
  public static func write(
    _ vector: [Float], layout: TrainableLayout, model: PretrainedModel, toNew path: String
  ) throws -> [String] {
    let architecture = try GGUFArchitecture(model)
    var tensors: [GGUFTensor] = []
    var leftOut: [String] = []
    for (a, b) in layout.factorPairs {
      let module = model.configuration.moduleName(of: a.role, layer: a.segment.layer ?? 0)
      let factors = architecture.factors(
        of: module, loraRank: layout.lora.loraRank, inputs: a.segment.shape[1],
        outputs: b.shape[0], a: { Array(vector[a.segment.range]) },
        b: { Array(vector[b.range]) })
      if let factors { tensors += factors } else { leftOut.append(module) }
    }
    leftOut += layout.headModules
    guard !tensors.isEmpty else {
      throw ModelError(
        path: model.directory,
        reason: "llama.cpp has none of the trained modules (\(leftOut.joined(separator: ", "))), so"
          + " there is no GGUF file of this adapter")
    }
    // llama.cpp divides by r, also where LoRA was scaled by alpha / sqrt(r).
    let lora = layout.lora
    let alpha = lora.isRankStabilized ? lora.scale * Float(lora.loraRank) : lora.alpha
    try GGUFWriter.write(
      [
        GGUFEntry("general.architecture", .string(architecture.name)),
        GGUFEntry("general.type", .string("adapter")),
        GGUFEntry("general.quantization_version", .uint32(2)),
        GGUFEntry("adapter.type", .string("lora")),
        GGUFEntry("adapter.lora.alpha", .float32(alpha)),
      ], tensors, toNew: path)
    return leftOut
  }
}

extension TrainableLayout {
  /// A and B of every adapted module, with the layer that stands for the module.
  fileprivate var factorPairs:
    [(a: (segment: TrainableSegment, role: LinearRole), b: TrainableSegment)]
  {
    segments.compactMap { segment in
      guard case .loraA(let role) = segment.kind else { return nil }
      guard let b = segments.first(where: { $0.kind == .loraB(role) && $0.layer == segment.layer })
      else { preconditionFailure("\(segment.name) has no B") }
      return ((segment, role), b)
    }
  }

  /// The modules of the classification head.
  var headModules: [String] {
    var modules: [String] = []
    for segment in segments where segment.kind.isOfHead && modules.last != segment.module {
      modules.append(segment.module)
    }
    return modules
  }
}
