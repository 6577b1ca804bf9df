// Checks that a corpus fits a model, and the lengths of its examples.

internal import Configuration
internal import Corpora
internal import Files
internal import Transformers

extension Experiment {
  /// Throws where `data.max_length` would cut images.
  func requireWholeImages(of configuration: ModelConfiguration) throws {
    guard let image = configuration.image, data.maximumLength < image.tokenCount else { return }
    throw CommandFailure(
      ExitCode.usage,
      "data.max_length: an image has \(image.tokenCount) tokens in this model, and is never cut;"
        + " give at least that")
  }
}

extension TokenCorpus {
  /// Throws where the corpus has images and the model reads text, or the other way round, or images
  /// of another size.
  func requireImages(of configuration: ModelConfiguration) throws {
    let what =
      switch (configuration.image, train.images) {
      case (nil, nil): String?.none
      case (.some, nil): "the model reads images, and the corpus has texts"
      case (nil, .some): "the corpus has images, and the model reads text"
      case (let wanted?, let found?):
        found.shape == [wanted.size, wanted.size, wanted.channels]
          ? nil
          : "images are \(found.height) x \(found.width) of \(found.channels) channels, and the"
            + " model takes \(wanted.size) x \(wanted.size) of \(wanted.channels); prepare them"
            + " for this model"
      }
    if let what { throw CommandFailure(ExitCode.data, "\(directory): \(what)") }
  }

  /// Throws where a token is not of the model's vocabulary.
  func requireTokens(of configuration: ModelConfiguration) throws {
    let vocabulary = configuration.vocabularySize
    guard train.images == nil else { return }
    for (name, split) in namedSplits where Int(split.largestToken) >= vocabulary {
      throw CommandFailure(
        ExitCode.data,
        "\(directory): split \(name) has token \(split.largestToken), but the model has only tokens"
          + " 0 to \(vocabulary - 1); prepare the corpus with this model's tokenizer")
    }
  }

  /// The splits that the corpus has, by name.
  var namedSplits: [(name: String, split: TokenDataset)] {
    [("train", train), ("test", test)] + (validation.map { [("validation", $0)] } ?? [])
  }

  /// The longest example of all splits, cut to `limit` tokens.
  func longest(limit: Int) -> Int {
    namedSplits.reduce(0) { max($0, $1.split.longest(limit: limit)) }
  }
}

extension TokenDataset {
  /// The longest example, cut to `limit` tokens.
  func longest(limit: Int) -> Int {
    (0..<count).reduce(0) { max($0, tokenCount(of: $1, limit: limit)) }
  }
}
