// What the machine and this process say of themselves: names for the report, memory, bandwidth.

import Foundation
import Kernels

/// Columns that every line carries: CPU, BLAS and its CPU kernels.
func machineColumns() -> [(String, String)] {
  let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
  let model = text.split(separator: "\n").first { $0.hasPrefix("model name") }?
    .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
  let words = BLAS.description.split(separator: " ")
  return [
    ("cpu", model ?? "unknown"), ("blas", words.prefix(2).joined(separator: " ")),
    ("blas_core", words.last.map(String.init) ?? "unknown"),
    ("products", ProductLibrary.current.rawValue), ("isa", InstructionSet.current.rawValue),
  ]
}

/// The largest resident set so far, and what belongs to this process alone (pages that no other
/// process maps: a model file that several ranks map counts in neither `private`).
struct ProcessMemory {
  var peakBytes = 0
  var proportionalBytes = 0
  var privateBytes = 0

  init() {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    peakBytes = usage.ru_maxrss * 1024
    let text = (try? String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)) ?? ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 2, let kilobytes = Int(words[1]) else { continue }
      switch words[0] {
      case "Pss:": proportionalBytes = kilobytes * 1024
      // Clean private pages are the mapped files: shared as soon as a second rank runs.
      case "Private_Dirty:": privateBytes = kilobytes * 1024
      default: break
      }
    }
  }
}

/// Bytes a second of a triad a = b + s * c over `bytes` in all three buffers together.
func triadBandwidth(bytes: Int, repeats: Int = 9) -> Double {
  let count = max(bytes / 12, 16)
  var rate = 0.0
  withFloats([count, count, count]) { buffers in
    let (a, b, c) = (buffers[0], buffers[1], buffers[2])
    let timing = Timing(short: repeats) { triad(a, b, c, count: count) }
    rate = Double(count * 12) / timing.cpu
  }
  return rate
}

/// Floating point operations a second of OpenBLAS's sgemm on `weight^T`-shaped products.
func productRate(rows: Int, columns: Int, inner: Int, repeats: Int = 7) -> Double {
  var rate = 0.0
  let library = ProductLibrary.current
  ProductLibrary.current = .openblas
  defer { ProductLibrary.current = library }
  withFloats([rows * inner, columns * inner, rows * columns]) { buffers in
    let timing = Timing(warmUps: 2, repeats: repeats) {
      linearForward(
        output: buffers[2], input: buffers[0], weight: buffers[1], tokens: rows, inputs: inner,
        outputs: columns)
    }
    rate = 2 * Double(rows * columns * inner) / timing.cpu
  }
  return rate
}

/// One line for people, then the same as CSV in which each field names itself.
func report(_ human: String, _ columns: [(String, String)]) {
  print(human)
  let fields = (columns + machineColumns()).map {
    "\($0.0)=\($0.1.replacingOccurrences(of: ",", with: " "))"
  }
  print("csv," + fields.joined(separator: ","))
}

/// A number with `digits` significant digits.
func short(_ value: Double, _ digits: Int = 4) -> String { String(format: "%.\(digits)g", value) }
