// How the value of a key is read from YAML, written to YAML and described: one form per kind of
// value. A form accepts a value or it does not; the sentence about it is made in one place.

package import Federation
internal import Foundation
package import Yams

/// What reading needs to know beside the YAML node.
package struct ReadingContext {
  /// Paths that start with `.` are relative to this directory.
  let baseDirectory: String
}

/// The kind of value that a key takes.
package struct ValueForm<Value: Sendable>: Sendable {
  /// Completes the sentence "give ...".
  package let allowed: String
  /// The value of a node, or nil where the node holds none of this form.
  package let read: @Sendable (Node, ReadingContext) -> Value?
  /// YAML text in flow style that `read` turns into the same value.
  package let write: @Sendable (Value) -> String
}

extension ValueForm where Value == Int {
  package static func integer(atLeast low: Int, atMost high: Int = .max) -> ValueForm {
    let range = high == .max ? "an integer of at least \(low)" : "an integer from \(low) to \(high)"
    return ValueForm(
      allowed: low == high ? "\(low), the only value of this version" : range,
      read: { node, _ in
        integerValue(of: node).flatMap { $0 >= low && $0 <= high ? $0 : nil }
      }, write: { String($0) })
  }
}

extension ValueForm where Value == UInt64 {
  package static var seed: ValueForm {
    ValueForm(
      allowed: "an integer from 0 to \(UInt64.max)",
      read: { node, _ in plainText(of: node).flatMap { isDigits($0) ? UInt64($0) : nil } },
      write: { String($0) })
  }
}

extension ValueForm where Value == Double {
  /// A number in a range.
  package static func number(_ range: NumberRange) -> ValueForm {
    ValueForm(
      allowed: range.text,
      read: { node, _ in
        guard let value = numberValue(of: node), range.contains(value) else { return nil }
        // Without the sign of -0.
        return value == 0 ? 0 : value
      },
      write: short)
  }
}

extension ValueForm where Value == Bool {
  static var boolean: ValueForm {
    ValueForm(
      allowed: "true or false",
      read: { node, _ in
        switch plainText(of: node) {
        case "true": true
        case "false": false
        default: nil
        }
      }, write: { $0 ? "true" : "false" })
  }
}

extension ValueForm
where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  package static var choice: ValueForm {
    let names = Value.allCases.map(\.rawValue)
    return ValueForm(
      allowed: names.count == 1 ? "\(names[0]), the only value of this version" : orList(names),
      read: { node, _ in node.scalar.flatMap { Value(rawValue: $0.string) } },
      write: { $0.rawValue })
  }
}

extension ValueForm {
  /// A list without repetitions of values that are words.
  package static func list<Element>() -> ValueForm
  where
    Value == [Element], Element: RawRepresentable & CaseIterable & Hashable,
    Element.RawValue == String
  {
    ValueForm(
      allowed: "a list of " + Element.allCases.map(\.rawValue).joined(separator: ", "),
      read: { node, _ in
        guard let nodes = node.sequence else { return nil }
        let elements = nodes.compactMap { $0.scalar.flatMap { Element(rawValue: $0.string) } }
        guard !elements.isEmpty, elements.count == nodes.count else { return nil }
        return Set(elements).count == elements.count ? elements : nil
      }, write: { "[" + $0.map(\.rawValue).joined(separator: ", ") + "]" })
  }

  /// Either a word that stands for nil, or another form.
  package static func either<Wrapped>(_ word: String, or form: ValueForm<Wrapped>) -> ValueForm
  where Value == Wrapped? {
    ValueForm(
      allowed: "\(word) or \(form.allowed)",
      read: { node, context in
        if plainText(of: node) == word { return .some(nil) }
        return form.read(node, context).map { .some($0) }
      }, write: { $0.map(form.write) ?? word })
  }
}

extension ValueForm where Value == ComputeDevice {
  /// `cpu`, `gpu`, `auto`, or a part of a device's name.
  static var device: ValueForm {
    ValueForm(
      allowed: "cpu, gpu, auto, or a part of the name of an OpenCL device",
      read: { node, _ in
        guard let text = node.scalar?.string, !text.isEmpty,
          !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
        else { return nil }
        return switch text {
        case "cpu": .cpu
        case "gpu": .gpu
        case "auto": .auto
        default: .named(text)
        }
      }, write: { quotedIfNeeded($0.word) })
  }
}

extension ValueForm where Value == [String] {
  /// A list of names, none empty and none twice.
  package static var names: ValueForm {
    ValueForm(
      allowed: "a list of names",
      read: { node, _ in
        guard let nodes = node.sequence else { return nil }
        let names = nodes.compactMap { $0.scalar?.string }
        guard !names.isEmpty, names.count == nodes.count, !names.contains("") else { return nil }
        return Set(names).count == names.count ? names : nil
      }, write: { "[" + $0.map(quotedIfNeeded).joined(separator: ", ") + "]" })
  }
}

extension ValueForm where Value == String {
  /// A path: absolute, relative to the experiment file where it starts with `.`, else a name that
  /// is looked up among the assets. Read, it is a name or absolute.
  package static var path: ValueForm {
    ValueForm(
      allowed: "a name in the asset directory, or a path that starts with / or .",
      read: { node, context in
        guard let text = node.scalar?.string, !text.isEmpty, !text.hasPrefix("~"),
          !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 })
        else { return nil }
        guard text.hasPrefix(".") else { return text }
        return absolutePath(text, from: context.baseDirectory)
      }, write: quotedIfNeeded)
  }
}

// MARK: - Scalars

/// The text of a scalar without quotes or an explicit tag; a quoted number is text, not a number.
func plainText(of node: Node) -> String? {
  guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else { return nil }
  return scalar.string
}

private func isDigits(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
}

/// The integer of a scalar, or nil.
package func integerValue(of node: Node) -> Int? {
  guard let text = plainText(of: node) else { return nil }
  return isDigits(text.hasPrefix("-") ? String(text.dropFirst()) : text) ? Int(text) : nil
}

/// The finite number of a scalar, or nil: a decimal, or a fraction of two decimals such as `1/16`.
package func numberValue(of node: Node) -> Double? {
  guard let text = plainText(of: node) else { return nil }
  let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
  let numbers = parts.compactMap(decimal)
  guard numbers.count == parts.count, numbers.count <= 2 else { return nil }
  // The division rounds once: 1/16 has the bits of 0.0625.
  let value = numbers.count == 1 ? numbers[0] : numbers[0] / numbers[1]
  return value.isFinite ? value : nil
}

private func decimal(_ text: Substring) -> Double? {
  guard text.utf8.count <= 400,
    text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) })
  else { return nil }
  return Double(text)
}

/// `a`, `a or b`, `a, b or c`.
func orList(_ names: [String]) -> String {
  guard let last = names.last, names.count > 1 else { return names.first ?? "" }
  return names.dropLast().joined(separator: ", ") + " or " + last
}

/// YAML text of a string: plain where that is safe, else in quotes.
func quotedIfNeeded(_ text: String) -> String {
  let reserved = ["true", "false", "null", "none", "yes", "no", "on", "off", "y", "n"]
  let safe = text.utf8.allSatisfy { byte in
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      || "_./-+@".utf8.contains(byte)
  }
  if safe, let first = text.utf8.first, !"-.+@".utf8.contains(first), Double(text) == nil,
    !reserved.contains(text.lowercased())
  {
    return text
  }
  return "'" + text.replacingOccurrences(of: "'", with: "''") + "'"
}

/// The absolute form of a path, without `.` and without a look at the disk; `..` stays, as what it
/// means depends on links.
package func absolutePath(_ path: String, from base: String) -> String {
  var whole = path
  if !whole.hasPrefix("/") { whole = base + "/" + whole }
  if !whole.hasPrefix("/") { whole = FileManager.default.currentDirectoryPath + "/" + whole }
  let parts = whole.split(separator: "/").filter { $0 != "." }
  return "/" + parts.joined(separator: "/")
}
