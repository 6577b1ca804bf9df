// The files of a Hugging Face tokenizer, as JSON values.

internal import Safetensors

/// A tokenizer that llama.cpp cannot have, or that is not complete: one line.
struct TokenizerProblem: Error {
  let description: String

  init(_ description: String) { self.description = description }
}

/// The tokenizer's files of a model directory.
struct TokenizerFiles {
  /// The directory.
  let directory: String
  /// `tokenizer.json`.
  let tokenizer: JSONValue
  /// `tokenizer_config.json`; null where it is missing.
  let configuration: JSONValue
  /// `config.json` of the model; null where it is missing.
  let model: JSONValue
  /// The chat template; nil for none.
  let chatTemplate: String?

  /// Reads the files of `directory`.
  /// - Throws: `SafetensorsError` where one cannot be read, is not JSON, or tokenizer.json is
  ///   missing.
  init(directory: String) throws {
    self.directory = directory
    func json(_ name: String) throws -> JSONValue? {
      let path = directory + "/" + name
      guard let bytes = try contentsIfThere(of: path) else { return nil }
      do { return try JSONValue(parsing: bytes) } catch {
        throw SafetensorsError(path: path, reason: "not JSON: \(error)")
      }
    }
    guard let tokenizer = try json("tokenizer.json") else {
      throw SafetensorsError(
        path: directory + "/tokenizer.json",
        reason: "no such file; a GGUF file of a model has its tokenizer", errorNumber: 2)
    }
    self.tokenizer = tokenizer
    configuration = try json("tokenizer_config.json") ?? .null
    model = try json("config.json") ?? .null
    let file = try contentsIfThere(of: directory + "/chat_template.jinja")
    chatTemplate =
      configuration["chat_template"]?.text ?? file.map { String(decoding: $0, as: UTF8.self) }
  }
}

extension JSONValue {
  /// A member of an object; nil for other values, and where it is missing or null.
  subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self, let value = members[name], value != .null else {
      return nil
    }
    return value
  }

  /// The elements of an array; empty for other values.
  var elements: [JSONValue] {
    guard case .array(let values) = self else { return [] }
    return values
  }

  /// A string; nil for other values.
  var text: String? {
    guard case .string(let text) = self else { return nil }
    return text
  }

  /// A truth value; nil for other values.
  var truth: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }
}
