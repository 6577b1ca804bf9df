// llama.cpp's name of a pre-tokenizer (`tokenizer.ggml.pre`): the rule that cuts a text into words
// before byte pairs are merged. llama.cpp's converter finds the name by the hash of a tokenized
// text. Here it follows from the rule itself, as tokenizer.json has it. Only rules that llama.cpp
// has are named.

internal import Safetensors

/// The pre-tokenizer of a byte-level BPE.
enum PreTokenizer {
  /// A step of tokenizer.json's pre-tokenizer.
  private enum Step: Equatable {
    /// Each digit is a word.
    case digits
    /// Cuts at matches of a pattern, which are words.
    case split(String)
    /// Bytes become characters; true if GPT-2's pattern cuts before.
    case byteLevel(cuts: Bool)
  }

  /// The beginning and the end that the patterns of Llama 3 and Qwen 2 have in common.
  private static let patternStart =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"#
  private static let patternEnd = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// llama.cpp's name.
  /// - Throws: `TokenizerProblem` for a rule that has no name here.
  static func name(of tokenizer: JSONValue) throws -> String {
    let steps = steps(tokenizer["pre_tokenizer"])
    let normalizer = tokenizer["normalizer"]
    let isPlain = normalizer == nil
    let isNFC = normalizer?["type"]?.text == "NFC"
    let ignoresMerges = tokenizer["model"]?["ignore_merges"]?.truth ?? false
    switch steps {
    case [.byteLevel(cuts: true)] where isPlain && !ignoresMerges:
      let isRoberta = tokenizer["post_processor"]?["type"]?.text == "RobertaProcessing"
      return isRoberta ? "roberta-bpe" : "gpt-2"
    case [.digits, .byteLevel(cuts: true)] where isPlain && !ignoresMerges: return "smollm"
    case [.split(patternStart + #"\p{N}{1,3}"# + patternEnd), .byteLevel(cuts: false)]
    where isPlain:
      return ignoresMerges ? "llama-bpe" : "dbrx"
    case [.split(patternStart + #"\p{N}"# + patternEnd), .byteLevel(cuts: false)]
    where (isPlain || isNFC) && !ignoresMerges:
      return "qwen2"
    default:
      throw TokenizerProblem(
        "llama.cpp's name for this pre-tokenizer is not known (tokenizer.ggml.pre); known: dbrx, "
          + "gpt-2, llama-bpe, qwen2, roberta-bpe, smollm")
    }
  }

  /// The steps; nil where one of them is of another kind.
  private static func steps(_ value: JSONValue?) -> [Step]? {
    guard let value else { return nil }
    switch value["type"]?.text {
    case "Sequence":
      var all: [Step] = []
      for part in value["pretokenizers"]?.elements ?? [] {
        guard let steps = steps(part) else { return nil }
        all += steps
      }
      return all
    case "Digits": return value["individual_digits"]?.truth == true ? [.digits] : nil
    case "Split":
      guard let pattern = value["pattern"]?["Regex"]?.text,
        value["behavior"]?.text == "Isolated", value["invert"]?.truth != true
      else { return nil }
      return [.split(pattern)]
    case "ByteLevel":
      guard value["add_prefix_space"]?.truth == false else { return nil }
      return [.byteLevel(cuts: value["use_regex"]?.truth ?? true)]
    default: return nil
    }
  }
}
