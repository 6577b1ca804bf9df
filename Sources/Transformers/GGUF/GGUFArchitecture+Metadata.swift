// The metadata of a whole model: its sizes, norms and rotary positions under llama.cpp's keys.

package import GGUF
internal import Safetensors

extension GGUFArchitecture {
  /// The entries that describe the model, and tensors that only llama.cpp has (rotary factors).
  /// - Parameter path: For messages.
  /// - Throws: `ModelError` if llama.cpp computes such a model differently.
  package func description(path: String) throws -> (entries: [GGUFEntry], tensors: [GGUFTensor]) {
    do {
      guard family.activations.contains(configuration.activation) else {
        throw FieldProblem("llama.cpp does not compute the activation of this model in \(name)")
      }
      let hasBiases = configuration.attentionOutputBias || configuration.feedForwardBias
      guard family.hasAllBiases || !hasBiases else {
        throw FieldProblem("llama.cpp's \(name) has biases of queries, keys and values alone")
      }
      let rotary = try rotaryPositions()
      let own = try family.metadata(configuration)
      let entries = (sizes + rotary.entries + own).map { entry in
        entry.key.hasPrefix("tokenizer.")
          ? entry : GGUFEntry("\(name).\(entry.key)", entry.value)
      }
      return (entries, rotary.tensors)
    } catch let problem as FieldProblem {
      throw ModelError(path: path, reason: "\(problem); so there is no GGUF file of it")
    }
  }

  /// True if some block sees only a window of tokens, and llama.cpp computes without windows.
  package func ignoresWindow(_ entries: [GGUFEntry]) -> Bool {
    configuration.attention.contains { $0.window != nil }
      && (family.ignoresWindow
        || !entries.contains { $0.key == name + ".attention.sliding_window" })
  }

  private var sizes: [GGUFEntry] {
    let epsilon =
      configuration.norm.isLayer
      ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"
    var entries = [
      GGUFEntry("vocab_size", count(configuration.vocabularySize)),
      GGUFEntry("context_length", count(configuration.maximumPositions)),
      GGUFEntry("embedding_length", count(configuration.channels)),
      GGUFEntry("block_count", count(configuration.layerCount)),
      GGUFEntry("feed_forward_length", count(configuration.intermediateSize)),
      GGUFEntry("attention.head_count", count(configuration.headCount)),
      GGUFEntry("attention.head_count_kv", count(configuration.keyValueHeadCount)),
      GGUFEntry(epsilon, .float32(configuration.normEpsilon)),
    ]
    if !configuration.isCausal { entries.append(GGUFEntry("attention.causal", .bool(false))) }
    return entries
  }

  /// The positions of blocks that see all tokens; a family's own metadata has those of the others.
  private func rotaryPositions() throws -> (entries: [GGUFEntry], tensors: [GGUFTensor]) {
    let rotated = configuration.attention.filter { $0.rotary != nil }
    guard let rotary = (rotated.first { $0.window == nil } ?? rotated.first)?.rotary else {
      return ([], [])
    }
    let size = configuration.headSize
    var entries = [
      GGUFEntry("attention.key_length", count(size)),
      GGUFEntry("attention.value_length", count(size)),
      GGUFEntry("rope.dimension_count", count(rotary.channels(size))),
      GGUFEntry("rope.freq_base", .float32(Float(rotary.theta))),
    ]
    var tensors: [GGUFTensor] = []
    func add(_ name: String, _ factors: [Double]) {
      let values = factors.map { Float($0) }
      tensors.append(GGUFTensor(name: name, shape: [values.count], values: { values }))
    }
    switch (rotary.scaling, family.rotaryFactors) {
    case (.none, _): break
    case (.linear(let factor), _):
      entries.append(GGUFEntry("rope.scaling.type", .string("linear")))
      entries.append(GGUFEntry("rope.scaling.factor", .float32(Float(factor))))
    case (.llama3, .llama3):
      var plain = rotary
      plain.scaling = .none
      add(
        "rope_freqs.weight",
        zip(plain.frequencies(headSize: size), rotary.frequencies(headSize: size)).map {
          Double($0) / Double($1)
        })
    case (.longRope(let short, let long, let original, let attentionFactor), .long):
      entries.append(GGUFEntry("rope.scaling.type", .string("longrope")))
      entries.append(GGUFEntry("rope.scaling.original_context_length", count(original)))
      entries.append(GGUFEntry("rope.scaling.attn_factor", .float32(Float(attentionFactor))))
      add("rope_factors_long.weight", long)
      add("rope_factors_short.weight", short)
    case (.llama3, _), (.longRope, _), (.yarn, _):
      throw FieldProblem("this kind of scaled rotary positions is not written for \(name)")
    }
    return (entries, tensors)
  }

  private func count(_ value: Int) -> GGUFValue { .uint32(UInt32(value)) }
}
