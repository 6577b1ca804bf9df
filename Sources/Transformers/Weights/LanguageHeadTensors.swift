// The tensors of a model's product to the vocabulary. Like transformers 5, a head that config.json
// ties to the token embedding is the embedding, unless the files hold another head: then it is that
// one.

internal import Safetensors

/// The names of the tensors of the product to the vocabulary.
struct LanguageHeadTensors {
  /// The tensor of the product, (V, C), by its full name; nil where the files have none.
  let output: String?
  /// Tensors that stand for those that the model asks for, by full names.
  let aliases: [String: String]
  /// Remarks for the user.
  let notices: [String]

  init(
    _ configuration: ModelConfiguration, directory: String, files: SafetensorsCollection,
    byFullName: [String: TensorDescriptor], used: UsedTensors
  ) throws {
    guard let names = configuration.names.languageHead,
      let tokens = configuration.names.embeddings.tokens
    else {
      (output, aliases, notices) = (nil, [:], [])
      return
    }
    let embedding = tokens + ".weight"
    let untied = names.output + ".weight"
    var notices: [String] = []
    /// True if the files hold `name` with other values than `other`, whose copy it should be.
    func differs(_ name: String, from other: String) throws -> Bool {
      guard let a = byFullName[name], let b = byFullName[other] else { return false }
      used.insert(a.name)
      guard configuration.tiesWordEmbeddings, try !files.isSame(a, b) else { return false }
      notices.append(
        "\(directory): config.json ties \(name) to \(other), but the files hold both with different"
          + " values; \(name) is used, as transformers does")
      return true
    }
    let isWithoutBias = names.bias.map {
      byFullName[$0] == nil && byFullName[names.biasCopy ?? $0] == nil
    }
    if let transform = names.transform, byFullName[transform + ".weight"] == nil {
      output = nil
    } else if names.transform == nil, isWithoutBias == true {
      output = nil
    } else if configuration.tiesWordEmbeddings {
      output = try differs(untied, from: embedding) ? untied : embedding
    } else {
      output = byFullName[untied] == nil ? nil : untied
    }
    var aliases: [String: String] = [:]
    if output != nil, let bias = names.bias, let copy = names.biasCopy {
      let isTied = configuration.tiesWordEmbeddings
      if byFullName[copy] != nil,
        try differs(copy, from: bias) || !isTied || byFullName[bias] == nil
      {
        aliases[bias] = copy
        if let original = byFullName[bias] { used.insert(original.name) }
      }
    }
    self.aliases = aliases
    self.notices = notices
  }
}
