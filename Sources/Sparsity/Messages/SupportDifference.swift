// A support as the difference to one that the reader knows: which of its coordinates stay or go, and
// which others come. With m known coordinates of n, the first are numbers below m (positions in the
// known list), the second numbers below n - m (positions among the others), so each list costs
// only what its own density makes it cost. The section of a message:
//
//   offset  bytes  meaning
//        0      4  number of known coordinates that are listed
//        4      4  bytes of their Rice stream
//        8      1  its Rice parameter; plus 128 where the listed ones stay, else they go
//        9         the Rice stream of the listed positions, then that of the added ones
//
// With Rice parameter 0 a stream is a bitmap up to its last one. The shorter list of those that
// stay and those that go is the one listed.

/// What makes a support of a known one.
struct SupportDifference {
  /// The bytes before the streams.
  static let fixedBytes = 9
  /// Positions in the known support.
  let listed: [UInt32]
  /// Whether the listed ones stay; otherwise they go and the others stay.
  let listsKept: Bool
  /// Positions among the coordinates that are not in the known support.
  let addedPositions: [UInt32]
  private let listedStream: RiceStream
  let added: RiceStream

  var bytes: Int { Self.fixedBytes + listedStream.bytes + added.bytes }

  /// The difference of a support to a known one of the same length.
  ///
  /// - Complexity: O(m + k) for m known and k kept coordinates, without branches on either.
  init(of support: SupportMask, to known: SupportMask) {
    let (mine, theirs) = (support.indices, known.indices)
    let (k, m) = (mine.count, theirs.count)
    // One slot more in each, as each is stored before it is known to be kept.
    let scratch = UnsafeMutablePointer<UInt32>.allocate(capacity: m + 2 * k + 3)
    defer { scratch.deallocate() }
    let (gone, stay, come) = (scratch, scratch + (m + 1), scratch + (m + k + 2))
    var (goneCount, stayCount, comeCount) = (0, 0, 0)
    mine.withUnsafeBufferPointer { mine in
      theirs.withUnsafeBufferPointer { theirs in
        var (i, j) = (0, 0)
        while i < m && j < k {
          let (x, y) = (theirs[i], mine[j])
          gone[goneCount] = UInt32(truncatingIfNeeded: i)
          stay[stayCount] = UInt32(truncatingIfNeeded: i)
          come[comeCount] = y &- UInt32(truncatingIfNeeded: i)
          goneCount &+= x < y ? 1 : 0
          stayCount &+= x == y ? 1 : 0
          comeCount &+= y < x ? 1 : 0
          i &+= x <= y ? 1 : 0
          j &+= y <= x ? 1 : 0
        }
        while i < m {
          gone[goneCount] = UInt32(truncatingIfNeeded: i)
          goneCount &+= 1
          i &+= 1
        }
        while j < k {
          come[comeCount] = mine[j] &- UInt32(truncatingIfNeeded: m)
          comeCount &+= 1
          j &+= 1
        }
      }
    }
    listsKept = stayCount < goneCount
    listed = Array(
      UnsafeBufferPointer(
        start: listsKept ? stay : gone, count: listsKept ? stayCount : goneCount))
    addedPositions = Array(UnsafeBufferPointer(start: come, count: comeCount))
    listedStream = RiceStream(best: listed)
    added = RiceStream(best: addedPositions)
  }

  /// Writes the section; it may touch ``riceWriterSlack`` bytes after it.
  func write(to section: UnsafeMutableRawPointer) {
    section.storeBytes(of: UInt32(listed.count).littleEndian, as: UInt32.self)
    section.storeBytes(
      of: UInt32(listedStream.bytes).littleEndian, toByteOffset: 4, as: UInt32.self)
    let flag: UInt8 = listsKept ? 128 : 0
    section.storeBytes(of: UInt8(listedStream.parameter) | flag, toByteOffset: 8, as: UInt8.self)
    listedStream.write(listed, to: section + Self.fixedBytes)
    added.write(addedPositions, to: section + Self.fixedBytes + listedStream.bytes)
  }

  /// Reads a section and applies it to the known support.
  ///
  /// - Parameter parameter: the Rice parameter of the added coordinates.
  /// - Throws: for anything but a section that gives `count` coordinates.
  static func read(
    _ section: UnsafeRawBufferPointer, count: Int, parameter: Int, known: SupportMask
  ) throws(VectorCodecError) -> SupportMask {
    let m = known.count
    guard section.count >= fixedBytes else {
      throw .init("\(section.count) bytes are too few for the difference to the known support")
    }
    func number(_ offset: Int) -> Int {
      Int(UInt32(littleEndian: section.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    let (listedCount, listedBytes) = (number(0), number(4))
    let listsKept = section[8] & 128 != 0
    let listedParameter = Int(section[8] & 127)
    guard listedParameter <= largestRiceParameter else {
      throw .init("Rice parameter \(listedParameter) is outside 0...\(largestRiceParameter)")
    }
    guard listedCount <= m, listedBytes <= section.count - fixedBytes else {
      throw .init(
        "\(listedCount) of \(m) known coordinates are listed in \(listedBytes) of "
          + "\(section.count - fixedBytes) bytes")
    }
    let addedCount = count - (listsKept ? listedCount : m - listedCount)
    guard (0...(known.length - m)).contains(addedCount) else {
      throw .init("\(addedCount) of \(known.length - m) coordinates are added")
    }
    let streams = UnsafeRawBufferPointer(rebasing: section[fixedBytes...])
    let listed = try readRiceStream(
      UnsafeRawBufferPointer(rebasing: streams[..<listedBytes]), count: listedCount,
      parameter: listedParameter, length: m)
    let added = try readRiceStream(
      UnsafeRawBufferPointer(rebasing: streams[listedBytes...]), count: addedCount,
      parameter: parameter, length: known.length - m)
    return merge(known, listed: listed, listsKept: listsKept, added: added, count: count)
  }

  /// The known coordinates that stay and the added ones, in order.
  private static func merge(
    _ known: SupportMask, listed: [UInt32], listsKept: Bool, added: [UInt32], count: Int
  ) -> SupportMask {
    let theirs = known.indices
    // Ends that no position reaches: they are below 2^32 - 1.
    let (listed, added) = (listed + [.max], added + [.max])
    let indices = [UInt32](unsafeUninitializedCapacity: count + 1) { buffer, initialized in
      let result = buffer.baseAddress!
      theirs.withUnsafeBufferPointer { theirs in
        listed.withUnsafeBufferPointer { listed in
          added.withUnsafeBufferPointer { added in
            let keptFlag = listsKept ? 1 : 0
            var (i, j, l, next) = (0, 0, 0, 0)
            while i < theirs.count {
              let position = UInt32(truncatingIfNeeded: i)
              // So many coordinates before the next known one are not known.
              let before = theirs[i] &- position
              let comes = added[j] < before ? 1 : 0
              let isListed = listed[l] == position ? 1 : 0
              let stays = isListed == keptFlag ? 1 : 0
              result[next] = comes == 1 ? added[j] &+ position : theirs[i]
              next &+= comes | stays
              j &+= comes
              l &+= isListed & (comes ^ 1)
              i &+= comes ^ 1
            }
            while j < added.count - 1 {
              result[next] = added[j] &+ UInt32(truncatingIfNeeded: i)
              next &+= 1
              j &+= 1
            }
            precondition(next == count, "\(next) merged coordinates for a count of \(count)")
          }
        }
      }
      initialized = count
    }
    return SupportMask(length: known.length, ascending: indices)
  }
}

extension SupportMask {
  /// 32 bits that another support has by chance only, once in 2^32.
  ///
  /// The wrapping sum of mixed indices, so that the loop runs at vector width.
  var checksum: UInt32 {
    var sum: UInt32 = 0
    if let list {
      list.withUnsafeBufferPointer { list in
        for i in 0..<list.count { sum &+= mixed(list[i]) }
      }
    } else {
      for i in 0..<length { sum &+= mixed(UInt32(truncatingIfNeeded: i)) }
    }
    return mixed(sum ^ mixed(~UInt32(truncatingIfNeeded: length)))
  }
}

/// 8 bits that depend on where each tensor ends.
func tensorsChecksum(_ ends: [Int]) -> UInt8 {
  let sum = ends.reduce(0) { mixed($0 ^ UInt32(truncatingIfNeeded: $1)) }
  return UInt8(truncatingIfNeeded: sum)
}

/// The last steps of MurmurHash3 (Appleby 2011): each bit changes each with about even chance.
@inline(__always)
private func mixed(_ bits: UInt32) -> UInt32 {
  var bits = bits &+ 0x9E37_79B9
  bits = (bits ^ (bits &>> 16)) &* 0x85EB_CA6B
  bits = (bits ^ (bits &>> 13)) &* 0xC2B2_AE35
  return bits ^ (bits &>> 16)
}
