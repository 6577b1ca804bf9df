// Numbers for people: fixed decimals, bytes, durations, dates.

package import Foundation

/// A number with so many decimals.
package func fixed(_ value: Double, _ decimals: Int) -> String {
  String(format: "%.\(decimals)f", value)
}

/// An integer with its digits in groups of three.
package func grouped(_ value: Int) -> String {
  var text = ""
  for (index, digit) in String(value.magnitude).reversed().enumerated() {
    if index > 0, index % 3 == 0 { text.append(" ") }
    text.append(digit)
  }
  return (value < 0 ? "-" : "") + String(text.reversed())
}

/// Bytes with a unit of powers of 1000, as networks have it.
package func byteText(_ bytes: Int) -> String {
  var value = Double(bytes)
  for unit in ["B", "kB", "MB", "GB"] {
    if value < 1000 {
      return unit == "B" ? "\(bytes) B" : fixed(value, value < 10 ? 2 : 1) + " \(unit)"
    }
    value /= 1000
  }
  return fixed(value, 2) + " TB"
}

/// Seconds as `42 s`, `3:05 min` or `2:10 h`; `?` for negative ones.
package func durationText(_ seconds: Double) -> String {
  guard seconds >= 0 else { return "?" }
  if seconds == .infinity { return "inf" }
  if seconds >= 1e9 { return String(format: "%.2e h", seconds / 3600) }
  let whole = Int(seconds.rounded())
  if whole < 60 { return "\(whole) s" }
  if whole < 3600 { return String(format: "%d:%02d min", whole / 60, whole % 60) }
  return String(format: "%d:%02d h", whole / 3600, whole / 60 % 60)
}

/// A date in UTC as `2026-11-22T13:05:00Z`.
package func timeText(_ date: Date) -> String {
  strftimeText("%Y-%m-%dT%H:%M:%SZ", date, isLocal: false)
}

/// A date in the local time zone by the C library's format.
package func strftimeText(_ format: String, _ date: Date, isLocal: Bool = true) -> String {
  var seconds = time_t(date.timeIntervalSince1970)
  var parts = tm()
  if isLocal { localtime_r(&seconds, &parts) } else { gmtime_r(&seconds, &parts) }
  var buffer = [CChar](repeating: 0, count: 64)
  let count = strftime(&buffer, buffer.count, format, &parts)
  return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A word as a shell reads it back.
package func shellWord(_ text: String) -> String {
  let isPlain = text.utf8.allSatisfy { byte in
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "_-./=:,+@%".utf8.contains(byte)
    }
  }
  if isPlain, !text.isEmpty { return text }
  return "'"
    + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
    + "'"
}
