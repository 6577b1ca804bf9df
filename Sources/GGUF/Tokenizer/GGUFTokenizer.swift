// A tokenizer in GGUF's metadata, from the files that Hugging Face saves: byte-level BPE (GPT-2,
// Llama 3, Qwen, SmolLM) and lower-casing WordPiece (BERT).

internal import Safetensors

/// The metadata of a tokenizer.
package enum GGUFTokenizer {
  /// The entries `tokenizer.*` of the tokenizer in a model directory.
  /// - Parameter vocabularySize: the rows of the token embedding.
  /// - Throws: `SafetensorsError` where tokenizer.json is missing or malformed, or llama.cpp has no
  ///   such tokenizer.
  package static func entries(directory: String, vocabularySize: Int) throws -> [GGUFEntry] {
    let files = try TokenizerFiles(directory: directory)
    do {
      let type = files.tokenizer["model"]?["type"]?.text ?? "none"
      var entries: [GGUFEntry]
      switch type {
      case "BPE": entries = try bytePairs(files, vocabularySize)
      case "WordPiece": entries = try wordPieces(files, vocabularySize)
      default:
        throw TokenizerProblem(
          "tokenizers of type \(type) are not written to GGUF; written are byte-level BPE and"
            + " WordPiece")
      }
      if let template = files.chatTemplate {
        entries.append(GGUFEntry("tokenizer.chat_template", .string(template)))
      }
      return entries
    } catch let problem as TokenizerProblem {
      throw SafetensorsError(
        path: directory + "/tokenizer.json", reason: problem.description)
    }
  }

  private static func bytePairs(_ files: TokenizerFiles, _ size: Int) throws -> [GGUFEntry] {
    if files.tokenizer["model"]?["byte_fallback"]?.truth == true {
      throw TokenizerProblem("BPE as in SentencePiece (byte_fallback) is not written to GGUF")
    }
    let name = try PreTokenizer.name(of: files.tokenizer)
    let vocabulary = try Vocabulary(files.tokenizer, size: size)
    let merges = try files.tokenizer["model"]?["merges"]?.elements.map { merge in
      if let text = merge.text { return text }
      let parts = merge.elements.compactMap(\.text)
      guard parts.count == 2 else { throw TokenizerProblem("its merges are no pairs of tokens") }
      return parts.map { $0.replacing(" ", with: "\u{120}") }.joined(separator: " ")
    }
    return entries("gpt2", name, vocabulary)
      + [GGUFEntry("tokenizer.ggml.merges", .strings(merges ?? []))]
      + (try SpecialTokens(files, vocabulary).entries)
  }

  private static func wordPieces(_ files: TokenizerFiles, _ size: Int) throws -> [GGUFEntry] {
    let normalizer = files.tokenizer["normalizer"]
    guard normalizer?["type"]?.text == "BertNormalizer",
      normalizer?["lowercase"]?.truth == true, normalizer?["strip_accents"]?.truth != false,
      files.tokenizer["pre_tokenizer"]?["type"]?.text == "BertPreTokenizer",
      files.tokenizer["model"]?["continuing_subword_prefix"]?.text ?? "##" == "##"
    else { throw TokenizerProblem("llama.cpp's WordPiece is that of lower-casing BERT alone") }
    var vocabulary = try Vocabulary(files.tokenizer, size: size)
    let special = try SpecialTokens(files, vocabulary)
    // llama.cpp marks beginnings of words, not continuations.
    vocabulary.changeTexts { $0.hasPrefix("##") ? String($0.dropFirst(2)) : "\u{2581}" + $0 }
    // llama.cpp ignores the name of the pre-tokenizer here.
    return entries("bert", "default", vocabulary) + special.entries
  }

  private static func entries(
    _ model: String, _ preTokenizer: String, _ vocabulary: Vocabulary
  ) -> [GGUFEntry] {
    [
      GGUFEntry("tokenizer.ggml.model", .string(model)),
      GGUFEntry("tokenizer.ggml.pre", .string(preTokenizer)),
      GGUFEntry("tokenizer.ggml.tokens", .strings(vocabulary.tokens)),
      GGUFEntry("tokenizer.ggml.token_type", .int32s(vocabulary.kinds.map(\.rawValue))),
    ]
  }
}
