// The tokens of a Hugging Face tokenizer with llama.cpp's kinds of tokens.

internal import Safetensors

/// Tokens in the order of their numbers.
struct Vocabulary {
  /// llama.cpp's kinds of tokens.
  enum Kind: Int32 {
    case normal = 1
    case unknown = 2
    case control = 3
    case userDefined = 4
    case unused = 5
  }

  /// The texts; a number without a token is `[PAD7]`.
  private(set) var tokens: [String]
  /// The kind of each.
  private(set) var kinds: [Kind]
  /// The numbers of tokens that were added to the model's own.
  let added: [String: Int]

  /// The tokens of tokenizer.json, and unused ones up to `size`.
  /// - Throws: `TokenizerProblem` for a number that is none of 0 ..< `size`.
  init(_ tokenizer: JSONValue, size: Int) throws {
    tokens = (0..<size).map { "[PAD\($0)]" }
    kinds = Array(repeating: .unused, count: size)
    guard case .object(let own)? = tokenizer["model"]?["vocab"] else {
      throw TokenizerProblem("it has no vocabulary")
    }
    func number(_ value: JSONValue?, _ token: String) throws -> Int {
      guard let number = value?.integer, (0..<size).contains(number) else {
        throw TokenizerProblem(
          "token \(JSONValue.string(token).excerpt) has the number \(value?.excerpt ?? "null"); the model has"
            + " \(size) tokens")
      }
      return number
    }
    for (token, value) in own {
      let number = try number(value, token)
      (tokens[number], kinds[number]) = (token, .normal)
    }
    var added: [String: Int] = [:]
    for entry in tokenizer["added_tokens"]?.elements ?? [] {
      guard let token = entry["content"]?.text else { continue }
      let number = try number(entry["id"], token)
      let isControl = entry["special"]?.truth == true || Self.looksSpecial(token)
      kinds[number] = isControl ? .control : .userDefined
      tokens[number] = isControl ? token : token.replacing("\u{2581}", with: " ")
      added[token] = number
    }
    self.added = added
  }

  /// The number of a token of any kind.
  func number(of token: String) -> Int? { added[token] ?? tokens.firstIndex(of: token) }

  /// Changes the texts of all tokens that are no control tokens.
  mutating func changeTexts(_ change: (String) -> String) {
    for index in tokens.indices where kinds[index] != .control {
      tokens[index] = change(tokens[index])
    }
  }

  /// Texts that llama.cpp's converter takes for control tokens, whatever the file says.
  private static func looksSpecial(_ token: String) -> Bool {
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(token)
      || token.hasPrefix("<|") && token.hasSuffix("|>")
      || token.hasPrefix("<\u{FF5C}") && token.hasSuffix("\u{FF5C}>")
      || token.hasPrefix("<unused") && token.hasSuffix(">")
  }
}
