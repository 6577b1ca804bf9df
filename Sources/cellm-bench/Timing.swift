// Timing of repeated work: warm-up, then the median of the repeats.

import Kernels

/// Seconds of a repeated piece of work.
struct Timing {
  /// Seconds of each counted repeat, ascending.
  let seconds: [Double]

  /// Runs `body` `warmUps` times without counting, then `repeats` times.
  init(warmUps: Int = 1, repeats: Int, _ body: () throws -> Void) rethrows {
    for _ in 0..<warmUps { try body() }
    var seconds: [Double] = []
    for _ in 0..<repeats {
      let start = ContinuousClock.now
      try body()
      let elapsed = (ContinuousClock.now - start).components
      seconds.append(Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
    }
    self.seconds = seconds.sorted()
  }

  var median: Double { seconds[seconds.count / 2] }
}

/// Floating point operations a second of sgemm on `weight^T`-shaped products.
func measureProductRate(rows: Int, columns: Int, inner: Int, repeats: Int = 7) -> Double {
  let a = [Float](repeating: 0.5, count: rows * inner)
  let b = [Float](repeating: 0.25, count: columns * inner)
  var out = [Float](repeating: 0, count: rows * columns)
  let timing = Timing(warmUps: 2, repeats: repeats) {
    linearForward(
      output: &out, input: a, weight: b, tokens: rows, inputs: inner, outputs: columns)
  }
  return 2 * Double(rows * columns * inner) / timing.median
}

/// A line of named columns: `name=value` pairs, then the same as CSV with a header.
func report(_ human: String, _ columns: [(String, String)]) {
  print(human)
  print("csv," + columns.map { "\($0.0)=\($0.1)" }.joined(separator: ","))
}
