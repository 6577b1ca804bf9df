// The files beside a model's weights and config.json that belong to its tokenizer and to
// generation.

internal import Foundation
internal import Safetensors

/// The files of a model directory that a copy of the model needs besides its weights.
enum CompanionFiles {
  /// Names of such files; all that begin with `tokenizer` belong to them too.
  static let names: Set<String> = [
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "generation_config.json",
    "merges.txt", "sentencepiece.bpe.model", "special_tokens_map.json", "spiece.model",
    "vocab.json", "vocab.txt",
  ]
  /// A directory of such files.
  static let templates = "additional_chat_templates"

  /// Copies the files, following symbolic links, as the model caches of the hub use them.
  /// - Throws: `AdapterError` where one cannot be read, `SafetensorsError` where one cannot be
  ///   written.
  static func copy(from source: String, to target: String) throws {
    for name in try content(of: source) where names.contains(name) || name.hasPrefix("tokenizer") {
      try copyFile(source + "/" + name, to: target + "/" + name)
    }
    let from = source + "/" + templates
    guard FileManager.default.fileExists(atPath: from) else { return }
    let to = target + "/" + templates
    do {
      try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
    } catch {
      throw AdapterError(path: to, reason: "cannot be made: \(error.localizedDescription)")
    }
    for name in try content(of: from) { try copyFile(from + "/" + name, to: to + "/" + name) }
  }

  private static func content(of directory: String) throws -> [String] {
    do { return try FileManager.default.contentsOfDirectory(atPath: directory).sorted() } catch {
      throw AdapterError(
        path: directory, reason: "cannot be listed: \(error.localizedDescription)")
    }
  }

  private static func copyFile(_ source: String, to target: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: source, isDirectory: &isDirectory),
      !isDirectory.boolValue
    else { return }
    guard let data = FileManager.default.contents(atPath: source) else {
      throw AdapterError(path: source, reason: "cannot be read")
    }
    // A run writes its model again at each evaluation.
    if FileManager.default.contents(atPath: target) == data { return }
    try writeAtomically(to: target) { file in try data.withUnsafeBytes { try file.append($0) } }
  }
}
