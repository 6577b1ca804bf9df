// Windows over blocks end to end, as large transfers are cut.

import Communication
import Testing

@Suite("block layout") struct BlockLayoutTests {
  @Test("slices cover everything once, none above the limit")
  func slices() {
    #expect(BlockLayout.slices(of: 0, ofAtMost: 5) == [])
    #expect(BlockLayout.slices(of: 5, ofAtMost: 5) == [0..<5])
    #expect(BlockLayout.slices(of: 11, ofAtMost: 5) == [0..<5, 5..<10, 10..<11])
  }

  @Test("the windows put every byte of every block in its place", arguments: [1, 2, 3, 7, 100])
  func windows(_ limit: Int) {
    let layout = BlockLayout(counts: [3, 0, 10, 1, 0, 5])
    #expect(layout.total == 19)
    #expect(layout.offsets == [0, 3, 3, 13, 14, 14])
    var seen = layout.counts.map { _ in [Int]() }
    for window in layout.windows(ofAtMost: limit) {
      #expect(window.count <= limit)
      let counts = layout.counts(in: window)
      #expect(counts.reduce(0, +) == window.count)
      for block in layout.counts.indices {
        let part = layout.part(ofBlock: block, in: window)
        #expect(part.count == counts[block])
        seen[block] += Array(part)
      }
    }
    #expect(seen == layout.counts.map { Array(0..<$0) })
  }

  @Test("sizes beyond 32 bits are laid out without overflow")
  func large() {
    let layout = BlockLayout(counts: [3 << 30, 5 << 30])
    let windows = layout.windows(ofAtMost: 1 << 30)
    #expect(windows.count == 8)
    #expect(layout.counts(in: windows[3]) == [0, 1 << 30])
    #expect(layout.part(ofBlock: 1, in: windows[7]) == (4 << 30)..<(5 << 30))
  }
}
