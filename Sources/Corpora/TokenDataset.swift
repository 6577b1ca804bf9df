// One split of a tokenized corpus: a safetensors file, mapped, so that the ranks of a node share
// its pages.
//   tokens   U16, U32 or I32, (T): all examples end to end
//   offsets  I64, (examples + 1): example i is tokens[offsets[i] ..< offsets[i + 1]]
//   labels   I32, (examples), optional: the class of each example
//   clients  I32, (examples), optional: the natural owner of each example
//   label_sets  U8, (examples, labels), optional: 1 for each label that an example has
//   scores   F32, (examples), optional: the score of each example
//   choice_counts  I32, (examples), optional: the choices of each example, whose tokens are those of
//            all its choices, each with the question before it; labels has the right one
//   choice_lengths, choice_characters  I32, (choices): tokens, and characters of the choice's text
//   loss     U8, (T), optional: 1 for a token of an answer, which the loss of instruction tuning counts
// or, in place of tokens and offsets:
//   images   U8, (examples, height, width, channels): the pixels (ImageRows.swift)
// Metadata: label_names and client_names (JSON lists of texts), tokenizer_sha256. It is written by `prepare`.

import FoundationEssentials
import Safetensors

/// What is wrong with a token data set, in one line.
public struct CorpusError: Error, CustomStringConvertible, Sendable {
  /// The file or directory.
  public let path: String
  /// What was found, where, and what is allowed.
  public let reason: String

  /// `path: reason`.
  public var description: String { "\(path): \(reason)" }
}

/// The examples of one split, checked when the file is opened.
public final class TokenDataset: Sendable {
  /// The file, as it was given.
  public let path: String
  /// The number of examples, at least 1.
  public let count: Int
  /// The class of each example, from 0; nil where the corpus has none.
  public let labels: [Int32]?
  /// The natural owner of each example, from 0; nil where the corpus has none.
  public let owners: [Int32]?
  /// The score of each example; nil where the corpus has none.
  public let scores: [Float]?
  /// Labels of an example with a set of them; 0 where the corpus has no sets.
  public let labelSetWidth: Int
  /// The names of the classes by number; empty where the file does not say.
  public let labelNames: [String]
  /// The names of the natural owners by number; empty where the file does not say.
  public let clientNames: [String]
  /// The number of classes: of `labelNames`, or else the largest label plus 1; 0 without labels.
  public let labelCount: Int
  /// The SHA-256 of the tokenizer's file, where it is known.
  public let tokenizerHash: String?
  /// The tokens to which longer examples were cut when the data set was made; nil if none was cut.
  public let cutLength: Int?
  /// The largest token, which has to be less than the model's vocabulary.
  public let largestToken: Int32

  /// The images; nil if the examples are texts.
  public let images: ImageRows?

  private let file: SafetensorsFile
  private let texts: TokenRows?
  /// A byte for each example and label; nil if the corpus has no sets of labels.
  nonisolated(unsafe) private let labelSets: UnsafeRawBufferPointer?
  private let choiceRows: ChoiceRows?
  /// A byte for each token; nil if the corpus has no answers.
  nonisolated(unsafe) private let lossMask: UnsafeRawBufferPointer?

  /// Maps and checks the file.
  ///
  /// - Parameter imageTokens: the tokens that a model makes of an image.
  /// - Throws: `SafetensorsError` for a file that is not safetensors, `CorpusError` for one that is
  ///   no data set.
  public init(path: String, imageTokens: Int = 1) throws {
    func refuse(_ reason: String) -> CorpusError { CorpusError(path: path, reason: reason) }
    self.path = path
    file = try SafetensorsFile(path: path)

    let images = try ImageRows(file, tokens: imageTokens)
    let texts = images == nil ? try TokenRows(file) : nil
    (self.images, self.texts) = (images, texts)
    let count = images?.count ?? texts?.count ?? 0
    self.count = count
    largestToken = texts?.largestToken ?? 0
    labelSetWidth = file["label_sets"]?.shape.last ?? 0
    labelSets = try Self.marks("label_sets", in: file, shape: [count, labelSetWidth])
    scores = try Self.scores(in: file, count: count)
    if let texts {
      lossMask = try Self.marks("loss", in: file, shape: [texts.tokenCount])
      choiceRows = try ChoiceRows(file, exampleCount: count, offsets: texts.offsets)
    } else {
      (lossMask, choiceRows) = (nil, nil)
    }

    labels = try Self.column("labels", in: file, count: count)
    owners = try Self.column("clients", in: file, count: count)
    labelNames = try Self.names("label_names", in: file)
    clientNames = try Self.names("client_names", in: file)
    tokenizerHash = file.metadata["tokenizer_sha256"]
    let wasCut = Int(file.metadata["truncated"] ?? "") ?? 0 > 0
    cutLength = wasCut ? Int(file.metadata["length"] ?? "") : nil
    let largestLabel = Int(labels?.max() ?? -1)
    if labelSetWidth > 0, !labelNames.isEmpty, labelNames.count != labelSetWidth {
      throw refuse("label_sets has \(labelSetWidth) labels, but \(labelNames.count) label_names")
    }
    labelCount =
      labels == nil ? labelSetWidth : labelNames.isEmpty ? largestLabel + 1 : labelNames.count
    if !labelNames.isEmpty, largestLabel >= labelNames.count {
      let example = labels?.firstIndex { $0 >= labelNames.count } ?? 0
      throw refuse(
        "example \(example) has label \(labels?[example] ?? 0) of \(labelNames.count) label_names"
      )
    }
    if !clientNames.isEmpty,
      let example = owners?.firstIndex(where: { Int($0) >= clientNames.count })
    {
      throw refuse(
        "example \(example) has client \(owners?[example] ?? 0) of \(clientNames.count) client_names"
      )
    }
  }

  /// True if examples have sets of labels.
  public var hasLabelSets: Bool { labelSets != nil }

  /// For each label, true if the example has it.
  ///
  /// - Precondition: `hasLabelSets`.
  public func labelSet(of example: Int) -> [Bool] {
    guard let labelSets else { preconditionFailure("\(path) has no sets of labels") }
    return (0..<labelSetWidth).map { labelSets[example * labelSetWidth + $0] == 1 }
  }

  /// The score of an example.
  ///
  /// - Precondition: the corpus has scores.
  public func score(of example: Int) -> Float {
    guard let scores else { preconditionFailure("\(path) has no scores") }
    return scores[example]
  }

  /// True if examples have choices, with the right one as their label and their tokens marked.
  public var hasChoices: Bool { choiceRows != nil && hasLabels && hasAnswers }

  /// The choices of an example, in order; their tokens lie one after the other.
  ///
  /// - Precondition: `hasChoices`.
  public func choices(of example: Int) -> [Choice] {
    guard let choiceRows else { preconditionFailure("\(path) has no choices") }
    return choiceRows[example]
  }

  /// True if the tokens of answers are marked.
  public var hasAnswers: Bool { lossMask != nil }

  /// For the first tokens of an example, `limit` at most: true if the token belongs to an answer.
  ///
  /// - Precondition: `hasAnswers`.
  public func isAnswer(of example: Int, limit: Int = .max) -> [Bool] {
    guard let lossMask, let texts else { preconditionFailure("\(path) has no answers") }
    let first = texts.offsets[example]
    return (0..<tokenCount(of: example, limit: limit)).map { lossMask[first + $0] == 1 }
  }

  /// Whether each example has a class.
  public var hasLabels: Bool { labels != nil }

  /// The class of an example.
  ///
  /// - Precondition: `hasLabels`.
  public func label(of example: Int) -> Int32 {
    guard let labels else { preconditionFailure("\(path) has no labels") }
    return labels[example]
  }

  /// The natural owner of an example; nil where the corpus has none.
  public func owner(of example: Int) -> Int32? { owners?[example] }

  /// The tokens of an example, or `limit` when it has more.
  public func tokenCount(of example: Int, limit: Int = .max) -> Int {
    min(texts?.length(of: example) ?? images?.tokens ?? 0, limit)
  }

  /// Appends the first tokens of an example, `limit` at most; 0 for each token of an image.
  public func appendTokens(of example: Int, limit: Int = .max, to tokens: inout [Int32]) {
    if let texts {
      texts.append(example, limit: limit, to: &tokens)
    } else {
      tokens += repeatElement(0, count: tokenCount(of: example, limit: limit))
    }
  }

  /// Appends the patches of an image, (patches, channels * rows * columns).
  ///
  /// - Precondition: the examples are images of whole patches.
  public func appendPatches(of example: Int, size: Int, to patches: inout [Float]) {
    guard let images else { preconditionFailure("\(path) has no images") }
    images.append(example, patchSize: size, to: &patches)
  }
}

extension TokenDataset {
  /// Bytes of 0 and 1, where the file has such a tensor.
  private static func marks(
    _ name: String, in file: SafetensorsFile, shape: [Int]
  ) throws -> UnsafeRawBufferPointer? {
    guard let tensor = file[name] else { return nil }
    guard tensor.elementType == .u8, tensor.shape == shape, tensor.elementCount > 0 else {
      throw CorpusError(
        path: file.path,
        reason: "\(name) is \(tensor.elementType.rawValue) \(tensor.shape), not U8 \(shape)")
    }
    let marks = file.bytes(of: tensor)
    if let place = marks.firstIndex(where: { $0 > 1 }) {
      throw CorpusError(
        path: file.path, reason: "\(name), place \(place): \(marks[place]); 0 or 1 was expected")
    }
    return marks
  }

  private static func scores(in file: SafetensorsFile, count: Int) throws -> [Float]? {
    guard file["scores"] != nil else { return nil }
    let tensor = try file.vector("scores", of: [.f32])
    guard tensor.elementCount == count else {
      throw CorpusError(
        path: file.path, reason: "\(tensor.elementCount) scores for \(count) examples")
    }
    let values = try file.readFloats(named: "scores")
    if let example = values.firstIndex(where: { !$0.isFinite }) {
      throw CorpusError(path: file.path, reason: "scores, example \(example): not a finite number")
    }
    return values
  }

  /// A number of 0 or more for each example, where the file has such a tensor.
  private static func column(
    _ name: String, in file: SafetensorsFile, count: Int
  ) throws -> [Int32]? {
    guard file[name] != nil else { return nil }
    let tensor = try file.vector(name, of: [.i32])
    guard tensor.elementCount == count else {
      throw CorpusError(
        path: file.path, reason: "\(tensor.elementCount) \(name) for \(count) examples")
    }
    let values = try file.readIntegers(named: name).map { Int32($0) }
    if let example = values.firstIndex(where: { $0 < 0 }) {
      throw CorpusError(
        path: file.path,
        reason: "\(name), example \(example): \(values[example]); only 0 and above are allowed")
    }
    return values
  }

  private static func names(_ key: String, in file: SafetensorsFile) throws -> [String] {
    guard let text = file.metadata[key] else { return [] }
    guard let names = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
      throw CorpusError(path: file.path, reason: "metadata \(key) is not a JSON list of texts")
    }
    return names
  }
}
