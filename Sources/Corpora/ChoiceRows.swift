// The choices of a corpus for multiple choice: each is a question with one of its answers.

internal import Safetensors

/// One choice of an example.
public struct Choice: Sendable, Equatable {
  /// Tokens of the question and the choice.
  public let tokens: Int
  /// Characters of the choice's text.
  public let characters: Int
}

/// The choices of all examples.
struct ChoiceRows: Sendable {
  private let choices: [Choice]
  /// The first choice of each example, and the end of the last one's.
  private let starts: [Int]

  /// The choices in a file; nil if it has none.
  /// - Throws: `CorpusError` where they do not fit the examples.
  init?(_ file: SafetensorsFile, exampleCount: Int, offsets: [Int]) throws {
    guard file["choice_counts"] != nil else { return nil }
    func refuse(_ reason: String) -> CorpusError { CorpusError(path: file.path, reason: reason) }
    func numbers(_ name: String) throws -> [Int] {
      guard let tensor = file[name], tensor.elementType == .i32, tensor.shape.count == 1 else {
        throw refuse("no tensor \(name), I32 of one dimension, beside choice_counts")
      }
      let values = try file.readIntegers(named: name)
      guard values.allSatisfy({ $0 > 0 }) else { throw refuse("\(name) has a number below 1") }
      return values
    }
    let counts = try numbers("choice_counts")
    let (lengths, characters) = (try numbers("choice_lengths"), try numbers("choice_characters"))
    guard counts.count == exampleCount, lengths.count == characters.count,
      lengths.count == counts.reduce(0, +)
    else {
      throw refuse(
        "choice_counts, choice_lengths and choice_characters have \(counts.count),"
          + " \(lengths.count) and \(characters.count) numbers, which do not fit each other")
    }
    var starts = [0]
    for (example, count) in counts.enumerated() {
      let range = starts[example]..<starts[example] + count
      starts.append(range.upperBound)
      guard lengths[range].reduce(0, +) == offsets[example + 1] - offsets[example] else {
        throw refuse("example \(example): the lengths of its choices do not add up to its tokens")
      }
    }
    choices = zip(lengths, characters).map { Choice(tokens: $0, characters: $1) }
    self.starts = starts
  }

  subscript(example: Int) -> [Choice] { Array(choices[starts[example]..<starts[example + 1]]) }
}
