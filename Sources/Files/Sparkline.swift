// Curves in a line of text, and how much room a line has.

import Foundation

/// How text for people is laid out.
package struct TextStyle: Sendable {
  /// The characters of a line.
  package var width: Int
  /// Whether only ASCII is used, as logs and old terminals want it.
  package var isPlain: Bool

  /// Lines of this width.
  package init(width: Int = 100, isPlain: Bool = false) {
    self.width = max(40, width)
    self.isPlain = isPlain
  }

  /// As wide as the terminal of standard output, or as $COLUMNS says; 100 characters where neither is known.
  package static func standardOutput(isPlain: Bool) -> TextStyle {
    let given = ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) }
    return TextStyle(
      width: terminalWidth(STDOUT_FILENO) ?? given ?? 100, isPlain: isPlain)
  }
}

/// The characters of a terminal's line; nil where it is no terminal or does not say.
package func terminalWidth(_ descriptor: Int32) -> Int? {
  var size = winsize()
  guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
  return Int(size.ws_col)
}

/// Values as blocks of eight heights, from the smallest to the largest; a gap where there is none.
///
/// - Parameter width: The most characters; more values than that are averaged.
package func sparkline(_ values: [Double?], width: Int) -> String {
  let count = min(values.count, max(1, width))
  let bins = (0..<count).map { bin -> Double? in
    let part = values[(bin * values.count / count)..<((bin + 1) * values.count / count)]
    let known = part.compactMap { $0 }.filter(\.isFinite)
    // Divided first, so that a mean of finite values is finite.
    return known.isEmpty ? nil : known.reduce(0) { $0 + $1 / Double(known.count) }
  }
  let known = bins.compactMap { $0 }
  guard let low = known.min(), let high = known.max() else { return "" }
  let blocks = Array("▁▂▃▄▅▆▇█")
  return String(
    bins.map { value -> Character in
      guard let value else { return " " }
      guard high > low else { return blocks[3] }
      return blocks[min(7, Int((value / 2 - low / 2) / (high / 2 - low / 2) * 8))]
    })
}
