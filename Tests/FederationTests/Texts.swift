// What the ranks of a test report from their threads, and what the process uses.
import Foundation

/// Texts that several threads append to.
final class Texts: @unchecked Sendable {
  private let lock = NSLock()
  private var texts: [String] = []

  func append(_ text: String) { lock.withLock { texts.append(text) } }
  var all: [String] { lock.withLock { texts } }
}

/// The memory of this process that is in use now, from the second number of /proc/self/statm.
func residentBytes() throws -> Int {
  let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
  return Int(text.split(separator: " ")[1])! * Int(getpagesize())
}
