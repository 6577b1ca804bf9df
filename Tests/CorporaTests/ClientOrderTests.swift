// The order of a client's examples, and what the corpus calls the client.

import Corpora
import Foundation
import TestSupport
import Testing

@Suite("the order of examples and the names of clients")
struct ClientOrderTests {
  private func file(_ text: String) throws -> Partition {
    let folder = try TemporaryDirectory()
    try Data(text.utf8).write(to: URL(filePath: folder.file("p.json")))
    return try Partition.fromFile(path: folder.file("p.json"), exampleCount: 12)
  }

  private func identity(_ population: any Population) -> [Int] {
    var numbers: [Int] = []
    population.identify { numbers += $0 }
    return numbers
  }

  @Test("a file's order is the client's order, and tells one population from another")
  func fileOrder() throws {
    let given = try file("[[7, 2, 5], [0, 11, 1, 3]]")
    #expect(given.clients == [[7, 2, 5], [0, 11, 1, 3]])
    #expect(given.examples(of: 1) == [0, 11, 1, 3])
    #expect(identity(given) != identity(try file("[[2, 5, 7], [0, 1, 3, 11]]")))
    // The held-out side and the other one keep the order.
    for side in [HoldoutPopulation.Side.training, .heldOut] {
      let part = HoldoutPopulation(given, share: 0.5, side: side, seed: 3)
      let kept = Set(part.examples(of: 1))
      #expect(part.examples(of: 1) == given.examples(of: 1).filter(kept.contains))
    }
  }

  @Test("other partitions, and mixed ones, are in ascending order")
  func ascending() throws {
    let labels: [Int32] = (0..<60).map { Int32($0 % 3) }
    let made = [
      try Partition.iid(exampleCount: 60, clients: 7, seed: 1),
      try Partition.dirichlet(labels: labels, clients: 7, alpha: 0.5, seed: 1),
      try Partition.shards(labels: labels, clients: 7, seed: 1),
      try Partition.quantitySkew(exampleCount: 60, clients: 7, sigma: 1, seed: 1),
      try Partition.natural(owners: labels),
      try file("[[7, 2, 5], [0, 11, 1, 3]]").mixed(share: 0.5, seed: 1),
    ]
    for partition in made {
      for client in 0..<partition.clientCount {
        let own = partition.examples(of: client)
        #expect(own == own.sorted())
      }
    }
  }

  @Test("natural clients have the corpus's names, or else its numbers, also after a gap")
  func names() throws {
    // Client 2, C, has no training example.
    let owners: [Int32] = [4, 0, 0, 3, 1, 4]
    let named = try Partition.natural(owners: owners, names: ["A", "B", "C", "D", "E"])
    #expect((0..<4).map { named.name(of: $0) } == ["A", "B", "D", "E"])
    #expect(named.clients == [[1, 2], [4], [3], [0, 5]])
    let numbered = try Partition.natural(owners: owners)
    #expect((0..<4).map { numbered.name(of: $0) } == ["0", "1", "3", "4"])
    // Names tell nothing apart.
    #expect(identity(named) == identity(numbered))
    let mixed = try named.mixed(share: 0.5, seed: 1)
    let held = HoldoutPopulation(mixed, share: 0.25, side: .training, seed: 1)
    #expect((0..<4).map { held.name(of: $0) } == ["A", "B", "D", "E"])
    #expect(try Partition.iid(exampleCount: 6, clients: 2, seed: 0).name(of: 1) == nil)
    #expect(try file("[[0], [1]]").name(of: 0) == nil)
  }
}
