// A corpus as an objective sees it: how many examples each split has, their tokens, their labels.

/// A part of the corpus.
public enum Split: String, Sendable, CaseIterable {
  /// Clients train on it.
  case train
  /// Hyperparameters are chosen on it.
  case validation
  /// Results are reported on it.
  case test
}

/// The examples of all splits.
package protocol Examples {
  /// True if every example has a label.
  var hasLabels: Bool { get }

  /// The number of examples; 0 if the corpus lacks the split.
  func exampleCount(_ split: Split) -> Int

  /// The number of tokens of an example that is cut to `limit` tokens.
  func tokenCount(of example: Int, in split: Split, limit: Int) -> Int

  /// Appends the tokens of an example that is cut to `limit` tokens.
  func appendTokens(
    of example: Int, in split: Split, limit: Int, to tokens: inout [Int32])

  /// Appends the patches of an image, (patches, channels * rows * columns).
  /// - Precondition: the examples are images.
  func appendPatches(
    of example: Int, in split: Split, size: Int, to patches: inout [Float])

  /// The label of an example.
  /// - Precondition: the examples have labels.
  func label(of example: Int, in split: Split) -> Int32

  /// For each token of an example that is cut to `limit` tokens: true if it belongs to an answer.
  /// - Precondition: answers are marked.
  func isAnswer(of example: Int, in split: Split, limit: Int) -> [Bool]

  /// For each label, true if an example has it.
  /// - Precondition: the examples have sets of labels.
  func labelSet(of example: Int, in split: Split) -> [Bool]

  /// The score of an example.
  /// - Precondition: the examples have scores.
  func score(of example: Int, in split: Split) -> Float

  /// The choices of an example, whose tokens lie one after the other.
  /// - Precondition: the examples have choices.
  func choices(of example: Int, in split: Split) -> [Choice]
}

extension TokenCorpus: Examples {
  /// The examples of a split; nil if the corpus lacks the split.
  package func dataset(_ split: Split) -> TokenDataset? {
    switch split {
    case .train: train
    case .validation: validation
    case .test: test
    }
  }

  /// True if every example has a label.
  package var hasLabels: Bool { train.hasLabels }

  /// The number of examples; 0 if the corpus lacks the split.
  package func exampleCount(_ split: Split) -> Int { dataset(split)?.count ?? 0 }

  /// The number of tokens of an example that is cut to `limit` tokens.
  package func tokenCount(of example: Int, in split: Split, limit: Int) -> Int {
    existing(split).tokenCount(of: example, limit: limit)
  }

  /// Appends the tokens of an example that is cut to `limit` tokens.
  package func appendTokens(
    of example: Int, in split: Split, limit: Int, to tokens: inout [Int32]
  ) {
    existing(split).appendTokens(of: example, limit: limit, to: &tokens)
  }

  /// Appends the patches of an image.
  package func appendPatches(
    of example: Int, in split: Split, size: Int, to patches: inout [Float]
  ) {
    existing(split).appendPatches(of: example, size: size, to: &patches)
  }

  /// The label of an example.
  package func label(of example: Int, in split: Split) -> Int32 {
    existing(split).label(of: example)
  }

  /// For each token of an example that is cut to `limit` tokens: true if it belongs to an answer.
  package func isAnswer(of example: Int, in split: Split, limit: Int) -> [Bool] {
    existing(split).isAnswer(of: example, limit: limit)
  }

  /// For each label, true if an example has it.
  package func labelSet(of example: Int, in split: Split) -> [Bool] {
    existing(split).labelSet(of: example)
  }

  /// The score of an example.
  package func score(of example: Int, in split: Split) -> Float {
    existing(split).score(of: example)
  }

  /// The choices of an example, whose tokens lie one after the other.
  package func choices(of example: Int, in split: Split) -> [Choice] {
    existing(split).choices(of: example)
  }

  private func existing(_ split: Split) -> TokenDataset {
    guard let found = dataset(split) else {
      preconditionFailure("the corpus has no \(split.rawValue) split")
    }
    return found
  }
}
