// What the server remembers of its clients' last downloads stays small.

import Communication
import Corpora
import Federation
import Sparsity
import TestSupport
import Testing

@Suite struct ClientKnowledgeTests {
  @Test("the server remembers the supports that are some client's latest, each once and encoded")
  func remembered() throws {
    let length = 2000
    let clients = (0..<40).map { [$0] }
    func run(_ method: Method, rounds: Int, cohort: Int) throws -> ClientKnowledge {
      var value = plan(rounds: rounds, cohort: .uniform(size: cohort), method: method)
      value.method.downloadIndices = .difference
      let run = try FederatedRun(
        plan: value, partition: Partition(clients: clients),
        objective: QuadraticObjective(
          scales: wobble(length, salt: 3).map { 0.1 + $0.magnitude },
          train: (0..<40).map { wobble(length, salt: 100 + $0) }),
        initialVector: wobble(length, salt: 1), communicator: SingleProcessCommunicator())
      _ = try run.run(onRound: { _ in })
      return run.knowledge
    }
    // Everybody takes part: one support, the last.
    #expect(try run(.flasc(download: 0.25, upload: 0.1), rounds: 6, cohort: 40).supports.count == 1)
    // Two of forty: no more supports than clients, however many rounds.
    let rare = try run(.flasc(download: 0.25, upload: 0.1), rounds: 300, cohort: 2)
    #expect(rare.numbers.count == 40 && rare.supports.count <= 40 && rare.supports.count > 10)
    let bytes = rare.supports.values.reduce(0) { $0 + $1.bytes.count }
    let expected = EncodedSupport.expectedBytes(length: length, count: 500)
    #expect(bytes <= rare.supports.count * (expected + 20))
    // A support that stays the same is one, in whichever round it came.
    let nested = try run(.sparseAdapter(density: 0.25), rounds: 60, cohort: 2)
    #expect(nested.supports.count <= 2)
    // What the method says is not remembered.
    #expect(try run(.denseLoRA, rounds: 3, cohort: 2).numbers.isEmpty)
    // What was saved is the same, whatever the numbers.
    let numbers = Dictionary(uniqueKeysWithValues: rare.supports.keys.map { ($0, 1000 - $0) })
    let saved = ClientKnowledge(
      numbers: rare.numbers.mapValues { numbers[$0]! },
      supports: Dictionary(uniqueKeysWithValues: rare.supports.map { (numbers[$0.key]!, $0.value) })
    )
    #expect(saved == rare && saved != nested)
  }
}
