// Timing of repeated work: warm-up, then the median of the repeats, by the wall clock and by this
// thread's CPU time. On a shared machine the first says what a user waits for, the second what the
// code costs: rates relative to the machine's own limits are taken from CPU time.

import Foundation
import Kernels

/// Seconds of one piece of work.
struct Seconds {
  var wall: Double
  var cpu: Double

  /// Seconds that `body` takes.
  static func of(_ body: () throws -> Void) rethrows -> Seconds {
    let (wall, cpu) = (clock(CLOCK_MONOTONIC), clock(CLOCK_THREAD_CPUTIME_ID))
    try body()
    return Seconds(
      wall: clock(CLOCK_MONOTONIC) - wall, cpu: clock(CLOCK_THREAD_CPUTIME_ID) - cpu)
  }

  private static func clock(_ kind: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(kind, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

/// Seconds of a repeated piece of work.
struct Timing {
  /// Each counted repeat, in order.
  let repeats: [Seconds]

  /// Runs `body` `warmUps` times without counting, then `repeats` times.
  init(warmUps: Int = 1, repeats: Int, _ body: () throws -> Void) rethrows {
    for _ in 0..<warmUps { try body() }
    self.repeats = try (0..<repeats).map { _ in try Seconds.of(body) }
  }

  /// Runs short work often enough that a repeat takes about a millisecond; seconds are of one call.
  init(short repeats: Int, _ body: () -> Void) {
    body()
    let once = max(Seconds.of(body).wall, 1e-8)
    let calls = max(1, Int(1e-3 / once))
    self.repeats = (0..<repeats).map { _ in
      let all = Seconds.of { for _ in 0..<calls { body() } }
      return Seconds(wall: all.wall / Double(calls), cpu: all.cpu / Double(calls))
    }
  }

  var wall: Double { median(repeats.map(\.wall)) }
  var cpu: Double { median(repeats.map(\.cpu)) }
}

/// The middle of `values`, the upper one of an even number.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Runs `body` with uninitialized floats set to values in -0.5 ..< 0.5.
func withFloats(_ counts: [Int], _ body: ([MutableFloats]) -> Void) {
  let buffers = counts.map { count in
    let buffer = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1) * 4, alignment: 64
    ).bindMemory(to: Float.self, capacity: max(count, 1))
    var state: UInt32 = 1
    for index in 0..<count {
      state = state &* 1_664_525 &+ 1_013_904_223
      buffer[index] = Float(state >> 8) / 16_777_216 - 0.5
    }
    return buffer
  }
  body(buffers)
  for buffer in buffers { buffer.deallocate() }
}
