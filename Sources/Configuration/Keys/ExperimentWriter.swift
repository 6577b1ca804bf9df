// `Experiment` -> complete YAML, and the table of keys as text for people.

extension Experiment {
  /// The complete file: every key that counts, defaults included. Read again, it is the same value.
  package var yaml: String {
    var lines: [String] = []
    var open: [Substring] = []
    for key in ExperimentKey.all where key.counts(in: self) {
      guard let text = key.write(self) else { continue }
      let parts = key.path.split(separator: ".")
      let sections = Array(parts.dropLast())
      let shared = zip(open, sections).prefix { $0 == $1 }.count
      for depth in shared..<sections.count {
        lines.append(String(repeating: "  ", count: depth) + "\(sections[depth]):")
      }
      open = sections
      let indent = String(repeating: "  ", count: sections.count)
      lines.append("\(indent)\(parts[parts.count - 1]): \(text)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension ExperimentKey {
  /// All keys with defaults, meanings and allowed values, as plain text of at most 100 columns.
  package static var reference: String {
    var text = ""
    for key in all {
      let state =
        key.defaultText.map { "default \($0)" } ?? (key.isRequired ? "required" : "not set")
      text += "\(key.path)  (\(state))\n"
      text += wrapped(key.meaning, indent: "    ")
      text += wrapped("give \(key.allowed)", indent: "    ")
      for condition in key.conditions {
        text += wrapped(
          "counts only with \(condition.path): \(orList(condition.values))", indent: "    ")
      }
    }
    return text
  }

  /// The same as a table in Markdown.
  package static var markdown: String {
    var rows = ["| key | default | meaning | allowed |", "|---|---|---|---|"]
    for key in all {
      let state = key.defaultText.map { "`\($0)`" } ?? (key.isRequired ? "required" : "not set")
      let conditions = key.conditions.map { "`\($0.path)`: \(orList($0.values))" }
      let only =
        conditions.isEmpty ? "" : " (only with " + conditions.joined(separator: " and ") + ")"
      rows.append("| `\(key.path)` | \(state) | \(key.meaning)\(only) | \(key.allowed) |")
    }
    return rows.joined(separator: "\n") + "\n"
  }

  private static func wrapped(_ text: String, indent: String) -> String {
    var lines: [String] = []
    var line = indent
    for word in text.split(separator: " ") {
      if line.count + word.count > 100, line != indent {
        lines.append(line)
        line = indent
      }
      line += (line == indent ? "" : " ") + word
    }
    lines.append(line)
    return lines.joined(separator: "\n") + "\n"
  }
}
