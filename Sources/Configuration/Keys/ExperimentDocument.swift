// YAML text -> node tree with line numbers. Yams stops at the first repeated key; here each is
// renamed in place and the text read again, so that all are reported along with everything else.
// A text is bounded before and after it is read: its bytes, its depth, and its nodes with all
// aliases expanded. A few hundred bytes of aliases of aliases would otherwise stand for 10^9 nodes.

internal import Foundation
package import Yams

/// The node tree of an experiment file or of the value of a `--set` argument.
package struct ExperimentDocument {
  /// Text that is no YAML.
  package struct Failure: Error {
    package let line: Int
    package let text: String
  }

  /// nil for an empty text.
  package private(set) var root: Node?

  private static let repetitionMark = "repeated-"
  private var hasRepetitions: Bool

  /// The most bytes of a text.
  package static let largestText = 256 << 10
  /// The most bytes of a text with aliases, which bounds its depth: each level takes a byte.
  private static let largestTextWithAliases = 16 << 10
  /// The most nodes, those of an alias counted each time.
  private static let largestNodeCount = 100_000
  /// The deepest nesting.
  private static let largestDepth = 32
  /// The most bytes that are read again because of repeated keys.
  private static let largestRepeatedReading = 1 << 20

  package init(text: String) throws(Failure) {
    try Self.check(text)
    root = nil
    hasRepetitions = false
    try read(text)
    if let root { try Self.check(root) }
  }

  private mutating func read(_ text: String) throws(Failure) {
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
        guard let renamed, repetitions < 100,
          repetitions * current.utf8.count < Self.largestRepeatedReading
        else {
          throw Failure(
            line: context.mark.line,
            text: clipped(names.joined(separator: ", ")) + " is given more than once")
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

  /// Refuses a text that would take long to read.
  private static func check(_ text: String) throws(Failure) {
    guard text.utf8.count <= largestText else {
      throw Failure(line: 1, text: "has more than \(largestText >> 10) KiB")
    }
    if text.utf8.contains(0) {
      throw Failure(line: 1, text: "not a text: it contains a zero byte")
    }
    let bytes = Array(text.utf8)
    guard let alias = AliasScan.firstAlias(in: bytes) else { return }
    func line(_ place: Int) -> Int { bytes[..<place].count { $0 == UInt8(ascii: "\n") } + 1 }
    guard bytes.count <= largestTextWithAliases else {
      throw Failure(
        line: line(alias),
        text: "a text with an alias (*name) has at most \(largestTextWithAliases >> 10) KiB")
    }
    // Yams compares keys as a whole while it reads, and an alias's with all that it stands for.
    if let key = AliasScan.firstComplexKey(in: bytes) {
      throw Failure(
        line: line(key), text: "a key has to be a word, not an alias, a list or a mapping")
    }
  }

  /// Refuses a tree that is too deep or, with its aliases expanded, too large.
  private static func check(_ root: Node) throws(Failure) {
    var count = 0
    var line = 1
    /// True if a node is within the bounds.
    func isSmall(_ node: Node, depth: Int) -> Bool {
      count += 1
      if let found = node.mark?.line { line = found }
      guard count <= largestNodeCount, depth <= largestDepth else { return false }
      switch node {
      case .sequence(let nodes): return nodes.allSatisfy { isSmall($0, depth: depth + 1) }
      case .mapping(let pairs):
        return pairs.allSatisfy {
          isSmall($0.key, depth: depth + 1) && isSmall($0.value, depth: depth + 1)
        }
      default: return true
      }
    }
    guard !isSmall(root, depth: 0) else { return }
    throw Failure(
      line: line,
      text: count > largestNodeCount
        ? "has more than \(largestNodeCount) values, those of aliases counted each time"
        : "is nested more than \(largestDepth) deep")
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
  package func unmark(_ word: inout String) -> Bool {
    guard hasRepetitions, word.hasPrefix(Self.repetitionMark) else { return false }
    let rest = word.dropFirst(Self.repetitionMark.count)
    guard let dash = rest.firstIndex(of: "-") else { return false }
    word = String(rest[rest.index(after: dash)...])
    return true
  }
}

/// Aliases in the bytes of a text, before it is read as YAML. What looks like one in a comment or in
/// quotation marks counts too.
private enum AliasScan {
  /// The first `*name` that may be an alias.
  static func firstAlias(in bytes: [UInt8]) -> Int? {
    bytes.indices.first { place in
      bytes[place] == UInt8(ascii: "*") && isStart(place, bytes)
        && place + 1 < bytes.count && isNamePart(bytes[place + 1])
    }
  }

  /// The first key that may be more than a word: `? key`, `[...]: `, `{...}: `, `*name: `.
  static func firstComplexKey(in bytes: [UInt8]) -> Int? {
    bytes.indices.first { place in
      var next = place + 1
      switch bytes[place] {
      case UInt8(ascii: "?"):
        return isStart(place, bytes) && (next == bytes.count || isSpace(bytes[next]))
      case UInt8(ascii: "]"), UInt8(ascii: "}"): break
      case UInt8(ascii: "*"):
        guard isStart(place, bytes) else { return false }
        while next < bytes.count, isNamePart(bytes[next]) { next += 1 }
      default: return false
      }
      while next < bytes.count, isSpace(bytes[next]) { next += 1 }
      return next < bytes.count && bytes[next] == UInt8(ascii: ":")
    }
  }

  private static func isStart(_ place: Int, _ bytes: [UInt8]) -> Bool {
    guard place > 0 else { return true }
    let before = bytes[place - 1]
    // Some characters beyond ASCII end a line.
    return isSpace(before) || "[{,:?-".utf8.contains(before) || before >= 0x80
  }

  private static func isSpace(_ byte: UInt8) -> Bool { " \t\r\n".utf8.contains(byte) }

  private static func isNamePart(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
  }
}

/// A text of the user on one line of a message, cut where it is long.
package func clipped(_ text: String, to limit: Int = 80) -> String {
  let start = text.unicodeScalars.prefix(limit + 1)
  let line = String(start).replacingOccurrences(of: "\n", with: " ")
  return start.count > limit ? String(line.unicodeScalars.prefix(limit - 3)) + "..." : line
}
