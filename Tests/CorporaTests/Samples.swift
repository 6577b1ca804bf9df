// What tests of partitions share.

import Corpora
import RandomStreams

/// Labels in random order, some rarer than others.
func labels(_ count: Int, classes: Int, seed: UInt64 = 9) -> [Int32] {
  var stream = RandomStream(seed: seed, purpose: .split)
  return (0..<count).map { _ in
    Int32(min(stream.integer(below: classes), stream.integer(below: classes)))
  }
}

/// Whether every example has one owner, and owners have theirs in order.
func isExact(_ partition: Partition, _ count: Int) -> Bool {
  partition.clients.flatMap(\.self).sorted() == Array(0..<count)
    && partition.clients.allSatisfy { $0 == $0.sorted() }
}
