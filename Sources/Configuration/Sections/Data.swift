// The section `data`.

extension Experiment {
  /// The tokenized corpus.
  package struct DataSet: Sendable, Equatable {
    /// Directory of token files, or its name in the asset directory.
    package var path = ""
    /// Longer examples are cut to this number of tokens.
    package var maximumLength = 128
  }
}

extension ExperimentKey {
  static let dataKeys: [ExperimentKey] = [
    ExperimentKey(
      "data.path", \.data.path, .path, required: true,
      "directory of the tokenized corpus; it must have been made with the model's tokenizer"),
    ExperimentKey(
      "data.max_length", \.data.maximumLength, .integer(atLeast: 1, atMost: 1 << 24),
      "examples are cut to this many tokens, also if that removes [SEP]"),
  ]
}
