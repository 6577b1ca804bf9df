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
  /// - Throws: `SafetensorsError` or `CorpusError`, also when the splits differ in their label
  ///   names or tokenizer, or only some of them have labels.
  public init(directory: String) throws {
    self.directory = directory
    train = try TokenDataset(path: directory + "/train.safetensors")
    test = try TokenDataset(path: directory + "/test.safetensors")
    let held = directory + "/validation.safetensors"
    validation = try isThere(held) ? try TokenDataset(path: held) : nil
    for split in [test, validation].compactMap(\.self) {
      func refuse(_ reason: String) -> CorpusError { CorpusError(path: split.path, reason: reason) }
      if split.hasLabels != train.hasLabels {
        throw refuse(
          "has \(split.hasLabels ? "labels" : "no labels"), unlike \(train.path)"
        )
      }
      if split.hasAnswers != train.hasAnswers {
        throw refuse(
          "has \(split.hasAnswers ? "a" : "no") tensor loss, unlike \(train.path)"
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
    guard train.hasAnswers else {
      throw CorpusError(
        path: train.path,
        reason: "no tensor loss, which instruction tuning needs; `prepare chat` makes one")
    }
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
