// The files beside a model's weights and config.json that belong to its tokenizer, its image
// processor and to generation.

internal import Safetensors
internal import Transformers

/// The files of a model directory that a copy of the model needs besides its weights.
enum CompanionFiles {
  /// Names of such files; all that begin with `tokenizer` belong to them too.
  static let names: Set<String> = [
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "generation_config.json",
    "merges.txt", "preprocessor_config.json", "processor_config.json", "sentencepiece.bpe.model",
    "special_tokens_map.json", "spiece.model",
    "vocab.json", "vocab.txt",
  ]
  /// A directory of such files.
  static let templates = "additional_chat_templates"

  /// Copies the files, following symbolic links, as the model caches of the hub use them.
  /// - Throws: `ModelError` where the directory is missing, `SafetensorsError` where a file cannot
  ///   be read or written.
  static func copy(from source: String, to target: String) throws {
    guard let content = try namesIfThere(in: source) else {
      throw ModelError(path: source, reason: "no such directory", isMissing: true)
    }
    for name in content where names.contains(name) || name.hasPrefix("tokenizer") {
      try copyFile(source + "/" + name, to: target + "/" + name)
    }
    let from = source + "/" + templates
    guard let names = try namesIfThere(in: from) else { return }
    let to = target + "/" + templates
    try makeFolders(to)
    for name in names { try copyFile(from + "/" + name, to: to + "/" + name) }
  }

  private static func copyFile(_ source: String, to target: String) throws {
    guard try fileKind(of: source) == .file, let bytes = try contentsIfThere(of: source) else {
      return
    }
    // A run writes its model again at each evaluation.
    if try contentsIfThere(of: target) == bytes { return }
    try writeAtomically(to: target) { file in try bytes.withUnsafeBytes { try file.append($0) } }
  }
}
