// The splits of one tokenized corpus, and whether they belong together.

internal import Safetensors

/// A directory CORPUS.TOKENIZER with train, test and, where made, validation.
public struct TokenCorpus: Sendable {
  /// The directory, as it was given.
  public let directory: String
  /// What the clients train on.
  public let train: TokenDataset
  /// What choices are made on, where the corpus has it.
  public let validation: TokenDataset?
  /// What results are reported on.
  public let test: TokenDataset

  /// Opens `train.safetensors`, `test.safetensors` and, if it is there, `validation.safetensors`.
  ///
  /// - Parameter imageTokens: the tokens that a model makes of an image.
  /// - Throws: `SafetensorsError` or `CorpusError`, also when the splits differ in their label
  ///   names or tokenizer, or only some of them have labels.
  public init(directory: String, imageTokens: Int = 1) throws {
    self.directory = directory
    train = try TokenDataset(path: directory + "/train.safetensors", imageTokens: imageTokens)
    test = try TokenDataset(path: directory + "/test.safetensors", imageTokens: imageTokens)
    let held = directory + "/validation.safetensors"
    validation = try isThere(held) ? try TokenDataset(path: held, imageTokens: imageTokens) : nil
    for split in [test, validation].compactMap(\.self) {
      func refuse(_ reason: String) -> CorpusError { CorpusError(path: split.path, reason: reason) }
      if split.hasLabels != train.hasLabels {
        throw refuse(
          "has \(split.hasLabels ? "labels" : "no labels"), unlike \(train.path)"
        )
      }
      let optional = [
        ("loss", split.hasAnswers, train.hasAnswers),
        ("label_sets", split.hasLabelSets, train.hasLabelSets),
        ("scores", split.scores != nil, train.scores != nil),
        ("choice_counts", split.hasChoices, train.hasChoices),
        ("images", split.images != nil, train.images != nil),
      ]
      for (name, has, trainHas) in optional where has != trainHas {
        throw refuse("has \(has ? "a" : "no") tensor \(name), unlike \(train.path)")
      }
      if split.images?.shape != train.images?.shape {
        throw refuse("its images have another shape than those of \(train.path)")
      }
      if split.labelSetWidth != train.labelSetWidth {
        throw refuse(
          "label_sets has \(split.labelSetWidth) labels, and \(train.labelSetWidth) in \(train.path)"
        )
      }
      if split.labelNames != train.labelNames {
        throw refuse("its label_names differ from those of \(train.path)")
      }
      if let hash = split.tokenizerHash, let other = train.tokenizerHash, hash != other {
        throw refuse("its tokenizer_sha256 differs from that of \(train.path)")
      }
    }
  }

  private var splits: [TokenDataset] { [train, test] + [validation].compactMap(\.self) }

  /// The number of classes in all splits; 0 without labels.
  public var labelCount: Int { splits.map(\.labelCount).max() ?? 0 }

  /// The largest token of all splits, which has to be less than the model's vocabulary.
  public var largestToken: Int32 { splits.map(\.largestToken).max() ?? 0 }

  /// Checks that the tokens of answers are marked, as instruction tuning needs.
  ///
  /// - Throws: `CorpusError` when they are not.
  public func requireAnswers() throws {
    try require(train.hasAnswers, "loss, which instruction tuning needs; `prepare chat` makes one")
  }

  /// Checks that examples have sets of labels, as multi-label classification needs.
  ///
  /// - Throws: `CorpusError` when they have none.
  public func requireLabelSets() throws {
    try require(
      train.hasLabelSets,
      "label_sets, which multi-label classification needs; `prepare text --labels` makes one")
  }

  /// Checks that examples have scores, as regression needs.
  ///
  /// - Throws: `CorpusError` when they have none.
  public func requireScores() throws {
    try require(
      train.scores != nil, "scores, which regression needs; `prepare text --score` makes one")
  }

  /// Checks that examples have choices, as multiple choice needs, and a right one among them.
  ///
  /// - Throws: `CorpusError` when they have none.
  public func requireChoices() throws {
    try require(
      train.hasChoices, "choice_counts, which multiple choice needs; `prepare choices` makes one")
    for split in splits {
      for example in 0..<split.count
      where Int(split.label(of: example)) >= split.choices(of: example).count {
        throw CorpusError(
          path: split.path,
          reason: "example \(example) has label \(split.label(of: example)) of"
            + " \(split.choices(of: example).count) choices")
      }
    }
  }

  private func require(_ isThere: Bool, _ what: String) throws {
    if !isThere { throw CorpusError(path: train.path, reason: "no tensor \(what)") }
  }

  /// Checks that examples have classes, as classification needs.
  ///
  /// - Throws: `CorpusError` when they have none, or there are fewer than two.
  public func requireLabels() throws {
    guard train.hasLabels else {
      throw CorpusError(path: train.path, reason: "no tensor labels, which classification needs")
    }
    guard labelCount >= 2 else {
      throw CorpusError(path: train.path, reason: "\(labelCount) class; classification needs 2")
    }
  }
}
