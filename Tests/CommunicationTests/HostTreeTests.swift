import Communication
import Testing

@Suite("trees over hosts") struct HostTreeTests {
  @Test(
    "every tree joins all ranks to rank 0, and hosts by one link each",
    arguments: TreeShape.allCases)
  func spanning(_ shape: TreeShape) {
    for sizes in [
      [1], [4], [1, 1, 1], [2, 2, 2, 2], [3, 1, 2, 5, 1], Array(repeating: 2, count: 17),
    ] {
      // Ranks dealt round, as mpirun does with --map-by node.
      var hosts = sizes.map { _ in [Int]() }
      var next = 0
      while next < sizes.reduce(0, +) {
        for host in sizes.indices where hosts[host].count < sizes[host] {
          hosts[host].append(next)
          next += 1
        }
      }
      let layout = HostLayout(hosts: hosts)
      for isLeaderOnly in [false, true] {
        let trees = (0..<next).map { rank in
          RankTree(of: rank, in: layout, shape: shape) { _ in isLeaderOnly }
        }
        #expect(trees.count { $0 != nil } == (isLeaderOnly ? sizes.count : next))
        var links = 0
        for (rank, tree) in trees.enumerated() {
          guard let tree else { continue }
          #expect((tree.parent == nil) == (rank == 0))
          for child in tree.children { #expect(trees[child]?.parent == rank) }
          var (above, steps) = (rank, 0)
          while let parent = trees[above]?.parent {
            #expect(trees[parent]!.children.contains(above))
            (above, steps) = (parent, steps + 1)
          }
          #expect(above == 0 && steps <= next)
          if let parent = tree.parent,
            !hosts.contains(where: { $0.contains(rank) && $0.contains(parent) })
          {
            links += 1
          }
        }
        #expect(links == sizes.count - 1, "\(shape), hosts of \(sizes)")
      }
    }
  }

  @Test("the root of a binomial tree has ceil(log2 H) children, of a star all, of a chain one")
  func degrees() {
    for count in 1...70 {
      let log = Int.bitWidth - (count - 1).leadingZeroBitCount
      #expect(TreeShape.binomial.children(of: 0, count: count).count == log)
      #expect(TreeShape.star.children(of: 0, count: count).count == count - 1)
      #expect(TreeShape.chain.children(of: 0, count: count).count == min(1, count - 1))
      let depths = (0..<count).map { place in
        sequence(first: place, next: { TreeShape.binomial.parent(of: $0) }).reduce(-1) { n, _ in
          n + 1
        }
      }
      #expect(depths.max()! <= log)
    }
  }

  @Test("a sum along a tree is a message for each segment from every rank but 0, all counted")
  func ledger() throws {
    for shape in TreeShape.allCases {
      let ledgers = try ThreadCommunicators.run(size: 5, ranksPerNode: 2) { comm in
        let counting = CountingCommunicator(comm)
        let layout = try HostLayout(of: counting)
        let tree = RankTree(of: counting.rank, in: layout, shape: shape) { _ in false }
        var words = [Int64](repeating: 1 << 40, count: 1000)
        try words.withUnsafeMutableBufferPointer {
          try counting.sumAlong(tree, $0, segmentLength: 300)
        }
        return counting.ledger[.message]
      }
      #expect(ledgers.map(\.messagesSent) == [0, 4, 4, 4, 4])
      #expect(ledgers.reduce(0) { $0 + $1.messagesReceived } == 16)
      let sent = ledgers.reduce(0) { $0 + $1.wireBytesSent }
      #expect(sent == ledgers.reduce(0) { $0 + $1.wireBytesReceived })
      // Dense, a few bits a word: far below 8 bytes and above the 12 of the header.
      #expect(sent > 16 * 12 && sent < 4 * 1000)
    }
  }

  @Test(
    "a long download is one message a segment into every rank, and crosses each host's link once")
  func download() throws {
    let ledgers = try ThreadCommunicators.run(size: 6, ranksPerNode: 2) { comm in
      let counting = CountingCommunicator(comm)
      var bytes = [UInt8](repeating: 3, count: counting.rank == 0 ? 1000 : 0)
      try counting.broadcastAlongHosts(
        &bytes, try HostLayout(of: counting), segmentBytes: 300, shortBytes: 100)
      return counting.ledger[.message]
    }
    #expect(ledgers.map(\.wireBytesReceived) == [0, 1000, 1000, 1000, 1000, 1000])
    #expect(ledgers.map(\.messagesReceived) == [0, 4, 4, 4, 4, 4])
    // A leader serves its neighbour and the next leader.
    #expect(ledgers.map(\.wireBytesSent) == [2000, 0, 2000, 0, 1000, 0])
  }
}
