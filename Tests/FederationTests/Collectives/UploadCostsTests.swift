import Communication
import Federation
import Sparsity
import Testing

@Suite("costs of uploads") struct UploadCostsTests {
  static let gigabit = LinkModel(latencySeconds: 50e-6, secondsPerByte: 8e-9)

  /// `clients` clients a rank, each of `kept` coordinates in fp32.
  static func costs(
    hosts: Int, ranksPerHost: Int = 1, clients: Int = 1, length: Int = 4_896_000, kept: Int,
    link: LinkModel = gigabit
  ) -> UploadCosts {
    let layout = HostLayout(
      hosts: (0..<hosts).map { host in (0..<ranksPerHost).map { host * ranksPerHost + $0 } })
    var load = UploadCosts.Load()
    let indexBytes = min(kept / 2, length / 8)
    load.kept = Array(repeating: kept, count: clients)
    load.bytes = clients * (4 * kept + (kept == length ? 0 : indexBytes))
    return UploadCosts(
      length: length, layout: layout, link: link,
      loads: Array(repeating: load, count: hosts * ranksPerHost))
  }

  @Test(
    "dense uploads over hosts go along the chain, few coordinates as they are, many clients summed")
  func choices() {
    #expect(Self.costs(hosts: 4, kept: 4_896_000).best == .pipeline)
    #expect(Self.costs(hosts: 4, kept: 2_000).best == .gather)
    #expect(Self.costs(hosts: 4, ranksPerHost: 8, clients: 4, kept: 306_000).best.addsUp)
    // Ranks of one host decode side by side.
    #expect(Self.costs(hosts: 1, ranksPerHost: 8, kept: 306_000).best == .hostSums)
    #expect(Self.costs(hosts: 1, kept: 306_000).best == .gather)
  }

  @Test("more coordinates, more clients and slower links never cost less")
  func monotonic() {
    let slow = LinkModel(latencySeconds: 500e-6, secondsPerByte: 80e-9)
    for collective in [UploadCollective.gather, .hostSums, .recursiveDoubling, .pipeline] {
      var previous = 0.0
      for kept in [0, 1000, 19_125, 306_000, 1_224_000, 4_896_000] {
        let one = Self.costs(hosts: 4, kept: kept).seconds(collective)
        #expect(one >= previous, "\(collective), \(kept)")
        #expect(Self.costs(hosts: 4, clients: 2, kept: kept).seconds(collective) >= one)
        #expect(Self.costs(hosts: 4, kept: kept, link: slow).seconds(collective) > one)
        previous = one
      }
    }
  }

  @Test(
    "the bytes of a sum are modelled to 15 % at every density, and its union is the expected one")
  func bytes() {
    let length = 200_000
    for (clients, divisor) in [(1, 1), (1, 4), (3, 16), (4, 64), (2, 256)] {
      let kept = length / divisor
      let costs = Self.costs(hosts: 1, clients: clients, length: length, kept: kept)
      var state: UInt64 = 1
      func uniform() -> Double {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Double(state >> 40) / 16_777_216
      }
      let vectors = (0..<clients).map { _ in
        // The sum of uniform numbers is near enough to normal.
        let mask = SupportMask(
          length: length,
          indices: (0..<length).filter { _ in uniform() * Double(divisor) < 1 }.map { UInt32($0) })
        return SparseVector(
          mask: mask,
          values: (0..<mask.count).map { _ in
            Float((0..<12).reduce(-6) { sum, _ in sum + uniform() }) * 1e-3
          })
      }
      let scale = FixedPointScale(
        largestMagnitude: vectors.map(\.largestMagnitude).max()!, totalWeight: clients)
      var words = [Int64](repeating: 0, count: length)
      words.withUnsafeMutableBufferPointer {
        for vector in vectors { scale.add(vector, to: $0) }
      }
      let union = costs.union(of: [0])
      let found = words.count { $0 != 0 }
      #expect(abs(union / Double(found) - 1) < 0.05, "\(union) expected, \(found) found")
      let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: SumSegment.largestBytes(count: length), alignment: 8)
      defer { room.deallocate() }
      var scratch = SumSegment.Scratch()
      let message = words.withUnsafeBufferPointer {
        SumSegment.encode($0, into: room, using: &scratch)
      }
      let modelled = costs.bytes(ofUnion: union)
      #expect(abs(modelled / Double(message) - 1) < 0.15, "\(modelled) modelled, \(message) bytes")
    }
  }
}
