// Buffers are counted by the code that takes them.

import Testing
import Transformers

@Suite("Buffer plans")
struct BufferPlanTests {
  @Test("what is counted is what fits, and buffers do not overlap", arguments: [0, 1, 15, 16, 17])
  func fits(_ count: Int) {
    func take(_ plan: BufferPlan) -> [UnsafeMutablePointer<Float>] {
      [plan.take(count), plan.take(3), plan.take(count)]
    }
    let found = BufferPlan.count { _ = take($0) }
    #expect(found.asked == 2 * count + 3)
    #expect(found.aligned == 2 * ((count + 15) / 16 * 16) + 16)
    let plan = BufferPlan { _ = take($0) }
    let buffers = take(plan)
    for (index, buffer) in buffers.enumerated() {
      #expect(Int(bitPattern: buffer) % 64 == 0)
      for place in 0..<(index == 1 ? 3 : count) { buffer[place] = Float(index) }
    }
    #expect((0..<count).allSatisfy { buffers[0][$0] == 0 && buffers[2][$0] == 2 })
    #expect((0..<3).allSatisfy { buffers[1][$0] == 1 })
    withExtendedLifetime(plan) {}
  }
}
