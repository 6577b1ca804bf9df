// What Linux knows of a process: its memory, whether a debugger holds it, whether it is stopped
// (/proc/PID/status, proc(5)).

import Foundation

/// A process as /proc/PID/status has it.
package struct ProcessStatus: Sendable, Equatable {
  /// Resident memory now, in bytes.
  package var residentBytes = 0
  /// The most resident memory since the process began, in bytes.
  package var peakResidentBytes = 0
  /// Whether a debugger or tracer is attached.
  package var isTraced = false
  /// Running, sleeping, stopped and so on, as the kernel says it: `S (sleeping)`.
  package var state = ""

  /// The status of a process of this host; nil where it cannot be read.
  package init?(process: String = "self") {
    guard let file = fopen("/proc/\(process)/status", "r") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 16384)
    let count = fread(&buffer, 1, buffer.count, file)
    self.init(text: String(decoding: buffer.prefix(count), as: UTF8.self))
  }

  /// The text of such a file.
  package init(text: String) {
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      // "123456 kB"
      var bytes: Int { (Int(value.prefix(while: \.isNumber)) ?? 0) * 1024 }
      switch line[..<colon] {
      case "VmRSS": residentBytes = bytes
      case "VmHWM": peakResidentBytes = bytes
      case "TracerPid": isTraced = value != "0"
      case "State": state = String(value)
      default: break
      }
    }
  }
}
