// YAML text -> node tree with line numbers. Yams stops at the first repeated key; here each is
// renamed in place and the text read again, so that all are reported along with everything else.

import Foundation
internal import Yams

/// The node tree of an experiment file or of the value of a `--set` argument.
struct ExperimentDocument {
  /// Text that is no YAML.
  struct Failure: Error {
    let line: Int
    let text: String
  }

  /// nil for an empty text.
  let root: Node?

  private static let repetitionMark = "repeated-"
  private let hasRepetitions: Bool

  init(text: String) throws(Failure) {
    guard text.utf8.count <= 1 << 20 else {
      throw Failure(line: 1, text: "an experiment file has at most 1 MiB")
    }
    if text.unicodeScalars.contains("\0") {
      throw Failure(line: 1, text: "not a text: it contains a zero byte")
    }
    var current = text
    var repetitions = 0
    while true {
      do {
        root = try Yams.compose(yaml: current)
        hasRepetitions = repetitions > 0
        return
      } catch YamlError.duplicatedKeysInMapping(let names, let context) {
        repetitions += 1
        let renamed = Self.rename(at: context.mark, in: current, number: repetitions)
        guard let renamed, repetitions < 100 else {
          throw Failure(
            line: context.mark.line,
            text: "\(names.joined(separator: ", ")) is given more than once")
        }
        current = renamed
      } catch YamlError.scanner(_, let problem, let mark, _) {
        throw Failure(line: mark.line, text: "not YAML: \(problem)")
      } catch YamlError.parser(_, let problem, let mark, _) {
        throw Failure(line: mark.line, text: "not YAML: \(problem)")
      } catch YamlError.composer(_, let problem, let mark, _) {
        throw Failure(line: mark.line, text: "not YAML as used here: \(problem)")
      } catch {
        let first = "\(error)".split(separator: "\n").first.map(String.init) ?? ""
        throw Failure(line: 1, text: "not YAML: \(first)")
      }
    }
  }

  private static func rename(at mark: Mark, in text: String, number: Int) -> String? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.indices.contains(mark.line - 1), mark.column >= 1 else { return nil }
    let line = lines[mark.line - 1]
    let scalars = line.unicodeScalars
    guard
      let index = scalars.index(
        scalars.startIndex, offsetBy: mark.column - 1, limitedBy: scalars.endIndex),
      index < scalars.endIndex, scalars[index] != "\"", scalars[index] != "'"
    else { return nil }
    lines[mark.line - 1] = "\(line[..<index])\(repetitionMark)\(number)-\(line[index...])"
    return lines.joined(separator: "\n")
  }

  /// Takes the mark of a repeated key off; says whether there was one.
  func unmark(_ word: inout String) -> Bool {
    guard hasRepetitions, word.hasPrefix(Self.repetitionMark) else { return false }
    let rest = word.dropFirst(Self.repetitionMark.count)
    guard let dash = rest.firstIndex(of: "-") else { return false }
    word = String(rest[rest.index(after: dash)...])
    return true
  }
}
