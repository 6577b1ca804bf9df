// Where to cut a table back to a round. Rows come by rounds, so what has to go stands at the end:
// the file is read backwards, line by line, until a line of an earlier round. That takes constant
// memory and the time of what is cut off.

internal import Files
import Foundation
internal import Safetensors

/// The end of a file of lines, in the order of their rounds.
package struct RoundLines {
  private let descriptor: Int32
  private let path: String
  /// Bytes of the file from `start` on.
  private var window: [UInt8] = []
  private var start: Int
  private static let block = 1 << 16
  /// No line of ours is longer.
  private static let longest = 1 << 26

  /// Where the lines of rounds below `round` end.
  ///
  /// - Parameters:
  ///   - header: The bytes at the beginning that always stay.
  ///   - number: The round of a line; nil where it has none.
  /// - Returns: The offset, and the round of the last line before it.
  package static func end(
    in path: String, below round: Int, header: Int = 0,
    number: (ArraySlice<UInt8>) -> Int?
  ) throws -> (offset: Int, last: Int?) {
    let descriptor = uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw CommandFailure.system(path, errno) }
    defer { close(descriptor) }
    let length = uninterrupted { lseek(descriptor, 0, SEEK_END) }
    guard length >= 0 else { throw CommandFailure.system(path, errno) }
    var lines = RoundLines(descriptor, path, end: Int(length))
    try lines.dropUnfinished()
    while lines.end > header, let line = try lines.last() {
      if let found = number(line), found < round { return (lines.end, found) }
      lines.drop(line)
    }
    return (max(lines.end, header), nil)
  }

  private init(_ descriptor: Int32, _ path: String, end: Int) {
    self.descriptor = descriptor
    self.path = path
    start = end
  }

  /// The offset of the end of what is left.
  private var end: Int { start + window.count }

  /// Takes off a last line without an end, which a crash cut short.
  private mutating func dropUnfinished() throws {
    while true {
      if let newline = window.lastIndex(of: UInt8(ascii: "\n")) {
        window.removeSubrange((newline + 1)...)
        return
      }
      window.removeAll()
      if start == 0 { return }
      try readBlock()
    }
  }

  /// The last line without its end; nil where nothing is left.
  private mutating func last() throws -> ArraySlice<UInt8>? {
    while true {
      if let newline = window.dropLast().lastIndex(of: UInt8(ascii: "\n")) {
        return window[(newline + 1)..<(window.count - 1)]
      }
      if start == 0 { return window.isEmpty ? nil : window[..<(window.count - 1)] }
      guard window.count < Self.longest else {
        throw CommandFailure(
          ExitCode.data, "\(path): has a line of more than \(Self.longest) bytes")
      }
      try readBlock()
    }
  }

  private mutating func drop(_ line: ArraySlice<UInt8>) {
    window.removeSubrange(line.startIndex...)
  }

  /// Reads the block before the window.
  private mutating func readBlock() throws {
    let count = min(Self.block, start)
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        uninterrupted {
          pread(
            descriptor, buffer.baseAddress! + filled, count - filled, off_t(start - count + filled))
        }
      }
      guard got >= 0 else { throw CommandFailure.system(path, errno) }
      guard got > 0 else { throw CommandFailure(ExitCode.inputOutput, "\(path): became shorter") }
      filled += got
    }
    window = bytes + window
    start -= count
  }
}

/// The number with which a line of a table begins.
package func leadingNumber(_ line: ArraySlice<UInt8>) -> Int? {
  Int(String(decoding: line.prefix(while: { $0 != UInt8(ascii: ",") }), as: UTF8.self))
}
