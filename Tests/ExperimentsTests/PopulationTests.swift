// The partition section on a real corpus: `cellm-mpi plan` with its table and its files.

import Configuration
import Experiments
import Files
import Foundation
import Testing

private let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Goldens/federation").path

struct PopulationTests {
  /// `cellm-mpi plan` of a small classifier with 60 examples of 5 labels.
  private func plan(
    _ partition: String, _ settings: [String] = [], file: String? = nil, scratch: Scratch,
    model: String = "llama_adam_w", task: String = "classification"
  ) throws -> String {
    let path = try scratch.write(
      """
      model: {path: \(goldens)/\(model)/model}
      data: {path: \(goldens)/\(model)/corpus, max_length: 16}
      task: {kind: \(task)}
      partition: \(partition)
      adapter: {lora_rank: 4}
      federation: {rounds: 3, cohort_size: 2}
      """, to: "plan.yaml")
    return try planReport(
      ExperimentRequest(path: path, settings: settings), ranks: 1, ranksPerNode: 1,
      partition: file, assets: scratch.assets)
  }

  private func clients(_ path: String) throws -> [[Int]] {
    try JSONDecoder().decode(
      [[Int]].self, from: Data(contentsOf: URL(fileURLWithPath: path)))
  }

  @Test("the plan says how long a round, an evaluation and the run take")
  func time() throws {
    let scratch = try Scratch()
    let text = try plan("{kind: iid, clients: 7}", ["evaluation.every=2"], scratch: scratch)
    // Rounds 2 and 3 are evaluated.
    for row in [
      #"round +[0-9.]+ s  trains [0-9 ]+ tokens; a rank computes [0-9 ]+ a second"#,
      #"evaluation +[0-9.]+ s  reads [0-9 ]+ tokens; "#,
      #"run +[0-9.]+ s  all 3 rounds, 2 evaluations"#,
    ] {
      #expect(text.range(of: row, options: .regularExpression) != nil, "\(row) in\n\(text)")
    }
    let other = try plan(
      "{kind: iid, clients: 7}", ["compute.device=no such device"], scratch: scratch)
    #expect(other.contains("time: not estimated, for compute.device: "))
  }

  @Test(
    "every kind of partition gives the plan its table and every example once",
    arguments: [
      "{kind: dirichlet, clients: 7, alpha: 0.3}", "{kind: iid, clients: 7}",
      "{kind: shards, clients: 7, shards_per_client: 3}",
      "{kind: quantity_skew, clients: 7, sigma: 1.5, minimum_examples: 2}",
      "{kind: shards, clients: 7, iid_mix: 0.5}",
      "{kind: file, path: \(goldens)/llama_adam_w/partition.json, iid_mix: 0.25}",
    ])
  func kinds(partition: String) throws {
    let scratch = try Scratch()
    let file = scratch.path + "/clients.json"
    let text = try plan(partition, file: file, scratch: scratch)
    for row in ["examples", "tokens", "steps a round", "labels", "label distance", "label entropy"]
    { #expect(text.contains("\n  \(row) "), "\(row)") }
    let owned = try clients(file)
    #expect(owned.flatMap(\.self).sorted() == Array(0..<60))
    #expect(text.hasSuffix("\(file): \(owned.count) clients\n"))
  }

  @Test("a written partition read as a file is the same, and its CSV has the same counts")
  func written() throws {
    let scratch = try Scratch()
    let (json, again) = (scratch.path + "/a.json", scratch.path + "/b.json")
    let table = scratch.path + "/a.csv"
    let virtual = "{kind: virtual, clients: 12, alpha: 0.5, median_examples: 9, sigma: 0.7}"
    let text = try plan(virtual, file: json, scratch: scratch)
    _ = try plan(virtual, file: table, scratch: scratch)
    let asFile = "{kind: file, path: \(json), shares_examples: true}"
    let textOfFile = try plan(asFile, file: again, scratch: scratch)
    #expect(try clients(json) == clients(again))
    func population(_ text: String) -> Substring {
      text[text.range(of: "\npopulation")!.lowerBound..<text.range(of: "\npayload")!.lowerBound]
    }
    #expect(population(text) == population(textOfFile))
    #expect(throws: (any Error).self) {
      try plan("{kind: file, path: \(json)}", scratch: scratch)
    }
    let rows = try scratch.read("a.csv").split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    #expect(rows[0] == ["client", "label", "label_name", "examples", "tokens"])
    let sizes = try clients(json).map(\.count)
    for client in 0..<12 {
      let own = rows.dropFirst().filter { $0[0] == "\(client)" }
      #expect(own.reduce(0) { $0 + Int($1[3])! } == sizes[client])
      #expect(Set(own.map { $0[1] }).count == own.count)
      #expect(own.allSatisfy { Int($0[4])! >= Int($0[3])! && !$0[2].isEmpty })
    }
  }

  @Test("a million virtual clients are planned from some of them")
  func million() throws {
    let scratch = try Scratch()
    let text = try plan("{kind: virtual, clients: 1000000}", scratch: scratch)
    #expect(text.contains("population: 1 000 000 clients, 60 training examples\n"))
    #expect(text.contains("of 10 000 clients in even distances"))
  }

  @Test("held-out examples are said and not counted as trained")
  func holdout() throws {
    let scratch = try Scratch()
    let whole = try plan("{kind: iid, clients: 4}", scratch: scratch)
    let text = try plan(
      "{kind: iid, clients: 4}", ["evaluation.clients=2", "evaluation.holdout=0.5"],
      scratch: scratch)
    #expect(whole.contains("60 training examples\n"))
    #expect(text.contains("60 training examples, of which about 50.0 % are held out\n"))
    func most(_ text: String) -> Int {
      let row = text.split(separator: "\n").first { $0.hasPrefix("  examples ") }!
      return Int(row.split(separator: " ").dropLast().last!)!
    }
    #expect(most(whole) == 15 && most(text) < 13)
  }

  @Test("without labels, kinds that need them say what else there is")
  func withoutLabels() throws {
    let scratch = try Scratch()
    for (kind, words) in [
      ("{kind: shards, clients: 3}", "shards needs labels"),
      ("{kind: dirichlet, clients: 3}", "dirichlet needs labels"),
      ("{kind: natural}", "natural needs a corpus with clients of its own"),
      ("{kind: virtual, clients: 3}", "this corpus has neither"),
    ] {
      let error = try #require(throws: CommandFailure.self) {
        try plan(kind, scratch: scratch, model: "llama_lm", task: "language_modelling")
      }
      #expect(error.exitCode == 64 && error.description.contains(words), "\(error)")
    }
    let error = try #require(throws: CommandFailure.self) {
      try plan("{kind: iid, clients: 3}", file: scratch.path + "/x.txt", scratch: scratch)
    }
    #expect(error.description.contains(".csv or .json"))
    let taken = try scratch.write("mine", to: "taken.csv")
    let refusal = try #require(throws: CommandFailure.self) {
      try plan("{kind: iid, clients: 3}", file: taken, scratch: scratch)
    }
    #expect(refusal.exitCode == 64 && refusal.description.contains("exists; give a new file"))
    #expect(try scratch.read("taken.csv") == "mine")
  }
}
