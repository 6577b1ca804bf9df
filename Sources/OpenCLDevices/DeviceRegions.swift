// Which memory of a device stands for an address.

/// Addresses that stand for memory of a device.
package struct DeviceRegion {
  /// The first address.
  package let start: UInt
  /// The bytes after it.
  package let byteCount: Int
  /// OpenCL's memory object.
  package let memory: UnsafeMutableRawPointer

  /// A region.
  package init(start: UInt, byteCount: Int, memory: UnsafeMutableRawPointer) {
    self.start = start
    self.byteCount = byteCount
    self.memory = memory
  }
}

/// Regions that do not overlap, in ascending order.
package struct DeviceRegions {
  /// All of them.
  package private(set) var all: [DeviceRegion] = []

  /// No region.
  package init() {}

  /// The region of an address; nil if there is none.
  package func find(_ address: UInt) -> DeviceRegion? {
    let index = firstIndex(above: address) - 1
    guard index >= 0, address - all[index].start < UInt(all[index].byteCount) else { return nil }
    return all[index]
  }

  /// The start of the first `byteCount` bytes of `range` that are in no region; nil if there are
  /// none.
  package func gap(of byteCount: Int, in range: Range<UInt>) -> UInt? {
    var start = range.lowerBound
    for region in all where range.contains(region.start) {
      if region.start - start >= UInt(byteCount) { return start }
      start = region.start + UInt(region.byteCount)
    }
    return range.upperBound - start >= UInt(byteCount) ? start : nil
  }

  /// Adds a region.
  package mutating func add(_ region: DeviceRegion) {
    all.insert(region, at: firstIndex(above: region.start))
  }

  /// Removes the region that starts here; nil if there is none.
  package mutating func remove(start: UInt) -> DeviceRegion? {
    let index = firstIndex(above: start) - 1
    guard index >= 0, all[index].start == start else { return nil }
    return all.remove(at: index)
  }

  /// The first region that starts above an address.
  private func firstIndex(above address: UInt) -> Int {
    var (low, high) = (0, all.count)
    while low < high {
      let middle = (low + high) / 2
      if all[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
