// The numbers of special tokens, and which of them stand before and after every text.

internal import Safetensors

/// Special tokens as llama.cpp's metadata has them.
struct SpecialTokens {
  /// The entries.
  let entries: [GGUFEntry]

  /// A special token: the name in Hugging Face's files, and llama.cpp's key.
  private static let kinds = [
    ("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"),
    ("mask", "mask"),
  ]

  /// - Throws: `TokenizerProblem` where a text gets tokens that llama.cpp does not add.
  init(_ files: TokenizerFiles, _ vocabulary: Vocabulary) throws {
    let template = try Template(files.tokenizer["post_processor"])
    var numbers: [String: Int] = [:]
    for (name, _) in Self.kinds {
      numbers[name] = Self.number(name, files, vocabulary)
    }
    // BERT's first and last token have names of their own.
    for (name, other) in [("bos", "cls"), ("eos", "sep")] where numbers[name] == nil {
      numbers[name] = Self.number(other, files, vocabulary)
    }
    for (name, token) in [("bos", template.first), ("eos", template.last)] {
      guard let token else { continue }
      guard let number = vocabulary.number(of: token) else {
        throw TokenizerProblem(
          "token \(JSONValue.string(token).excerpt) of its post_processor is missing")
      }
      numbers[name] = number
    }
    func adds(_ name: String, _ token: String?) -> Bool {
      token != nil
        || !template.isThere && files.configuration["add_\(name)_token"]?.truth == true
    }
    entries =
      Self.kinds.compactMap { name, key in
        numbers[name].map { GGUFEntry("tokenizer.ggml.\(key)_token_id", .uint32(UInt32($0))) }
      } + [
        GGUFEntry("tokenizer.ggml.add_bos_token", .bool(adds("bos", template.first))),
        GGUFEntry("tokenizer.ggml.add_eos_token", .bool(adds("eos", template.last))),
      ]
  }

  private static func number(
    _ name: String, _ files: TokenizerFiles, _ vocabulary: Vocabulary
  ) -> Int? {
    let entry = files.configuration[name + "_token"]
    if let token = entry?.text ?? entry?["content"]?.text, let number = vocabulary.added[token] {
      return number
    }
    guard let number = files.model[name + "_token_id"]?.integer,
      vocabulary.tokens.indices.contains(number)
    else { return nil }
    return number
  }

  /// The tokens that the post-processor puts around one text.
  private struct Template {
    var first: String?
    var last: String?
    /// False if tokenizer.json has no post-processor that could add tokens.
    var isThere = true

    init(_ processor: JSONValue?) throws {
      switch processor?["type"]?.text {
      case nil, "ByteLevel": isThere = processor != nil
      case "Sequence":
        for part in processor?["processors"]?.elements ?? [] {
          let inner = try Template(part)
          (first, last) = (first ?? inner.first, last ?? inner.last)
        }
      case "RobertaProcessing", "BertProcessing":
        first = processor?["cls"]?.elements.first?.text
        last = processor?["sep"]?.elements.first?.text
      case "TemplateProcessing":
        let parts = processor?["single"]?.elements ?? []
        guard let text = parts.firstIndex(where: { $0["Sequence"] != nil }),
          text <= 1, parts.count - text <= 2
        else {
          throw TokenizerProblem("llama.cpp adds at most one token before and after a text")
        }
        first = text == 1 ? parts[0]["SpecialToken"]?["id"]?.text : nil
        last = parts.count - text == 2 ? parts[text + 1]["SpecialToken"]?["id"]?.text : nil
      case .some(let other):
        throw TokenizerProblem("post_processor \(other) is not supported")
      }
    }
  }
}
