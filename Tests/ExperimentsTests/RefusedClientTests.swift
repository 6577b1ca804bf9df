// A run in which some clients' updates are not finite, from its tables to its end; and what watches a run: metrics, inspect.
import Communication
import Configuration
import Digests
import Experiments
import Files
import Foundation
import RunFiles
import Testing

private let experiment = """
  model: {path: m}
  data: {path: d}
  partition: {kind: iid, clients: 6}
  federation: {rounds: 6, cohort_size: 6, server: {optimizer: sgd, learning_rate: 1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 2, splits: [test], maximum_examples: 10}
  checkpoint: {every_rounds: 1}
  """

private func run(
  _ scratch: Scratch, _ name: String, ranks: Int, settings: [String] = [],
  notFinite: @escaping @Sendable (_ example: Int, _ round: Int) -> Bool
) throws -> RunOutcome? {
  let file = try scratch.write(experiment, to: "x.yaml")
  let (assets, output) = (scratch.assets, scratch.path + "/" + name)
  return try ThreadCommunicators.run(size: ranks) { communicator in
    try runExperiment(
      ExperimentRequest(path: file, settings: settings), output: output, resume: true,
      environment: RunEnvironment(mpiLibrary: nil), assets: assets, communicator: communicator,
      assemble: quadratic(notFinite: notFinite))
  }[0]
}

private func rows(_ csv: String) -> [[String: String]] {
  let lines = csv.split(separator: "\n").map {
    $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
  return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
}

@Suite struct RefusedClientTests {
  /// Client c of 6 has the examples c, c + 6, ...: clients 1 and 4 diverge in round 1, client 2 in round 3.
  private static let some: @Sendable (Int, Int) -> Bool = { example, round in
    round == 1 && (example == 1 || example == 10) || round == 3 && example == 2
  }

  @Test("tables count and mark refused clients, the same on any number of ranks", arguments: 1...3)
  func tables(ranks: Int) throws {
    let scratch = try Scratch()
    let outcome = try #require(
      try run(scratch, "r", ranks: ranks, notFinite: Self.some))
    let rounds = rows(try scratch.read("r/rounds.csv"))
    #expect(rounds.map { $0["refused_clients"] } == ["0", "2", "0", "1", "0", "0"])
    let clients = rows(try scratch.read("r/clients.csv"))
    let refused = clients.filter { $0["status"] == "refused" }
    #expect(refused.map { $0["client"] } == ["1", "4", "2"])
    for row in refused {
      #expect(row["loss"] == "" && row["accuracy"] == "" && row["upload_norm"] == "")
      #expect(row["upload_payload_bytes"] == "0" && row["download_payload_bytes"] != "0")
      #expect(Int(row["tokens"]!)! > 0)
    }
    #expect(clients.filter { $0["status"] == "used" }.count == 33)
    #expect(outcome.text.contains("3 clients left out of their rounds"))
    let manifest = try scratch.read("r/manifest.json")
    #expect(manifest.contains("\"refused_uploads\" : 3"))
    let one = try run(scratch, "one", ranks: 1, notFinite: Self.some)
    #expect(one?.digest == outcome.digest)
    // Not the run in which all are sound.
    let sound = try run(scratch, "sound", ranks: 1) { _, _ in false }
    #expect(sound?.digest != outcome.digest)
  }

  @Test(
    "three rounds without a finite update end the run, its tables and checkpoint stay, and resuming ends alike"
  )
  func diverged() throws {
    let scratch = try Scratch()
    for _ in 0..<2 {
      let failure = try #require(throws: RunFailure.self) {
        try run(scratch, "r", ranks: 2) { _, round in round >= 2 }
      }
      #expect(failure.exitCode == 65)
    }
    #expect(
      rows(try scratch.read("r/rounds.csv")).map { $0["refused_clients"] } == [
        "0", "0", "6", "6", "6",
      ])
    let manifest = try scratch.read("r/manifest.json")
    #expect(manifest.contains("\"status\" : \"failed\""))
    #expect(manifest.contains("round 5: no client's update was finite in 3 rounds in a row"))
    let names = try FileManager.default.contentsOfDirectory(
      atPath: scratch.path + "/r/checkpoints")
    #expect(names.sorted().last == "round-000004.safetensors")
  }

  @Test("with non_finite: stop the first such client ends the run")
  func stop() throws {
    let scratch = try Scratch()
    let failure = try #require(throws: RunFailure.self) {
      try run(
        scratch, "r", ranks: 1, settings: ["federation.non_finite=stop"], notFinite: Self.some)
    }
    #expect(failure.exitCode == 65)
    #expect(failure.description.contains("round 2, client 1: the training loss is not finite"))
  }

  @Test("metrics.jsonl has the rows of the tables, typed, in the order in which they came")
  func metrics() throws {
    let scratch = try Scratch()
    _ = try run(
      scratch, "r", ranks: 1, settings: ["evaluation.clients=2"], notFinite: Self.some)
    let texts = try scratch.read("r/metrics.jsonl").split(separator: "\n")
    let lines = try texts.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(lines.filter { $0["kind"] as? String == "round" }.count == 6)
    #expect(lines.filter { $0["kind"] as? String == "evaluation" }.count == 3)
    #expect(lines.filter { $0["kind"] as? String == "evaluation_clients" }.count == 3)
    let rounds = rows(try scratch.read("r/rounds.csv"))
    let ofRounds = zip(texts, lines).filter { $0.1["kind"] as? String == "round" }
    for ((text, line), row) in zip(ofRounds, rounds) {
      #expect(Set(line.keys) == Set(row.keys).union(["kind"]))
      #expect(line["digest"] as? String == row["digest"])
      #expect(text.contains("\"train_loss\":\(row["train_loss"]!),"))
      #expect(line["clip"] is NSNull)
      #expect((line["memory_mb"] as? Double ?? 0) > 1)
      #expect((line["peak_memory_mb"] as? Double)! >= (line["memory_mb"] as? Double)! - 0.1)
    }
    #expect(lines.allSatisfy { $0["round"] is Int })
  }

  @Test("inspect draws curves as wide as it may, and none where it is to be plain")
  func inspect() throws {
    let scratch = try Scratch()
    _ = try run(scratch, "r", ranks: 1, notFinite: Self.some)
    let blocks = Set("▁▂▃▄▅▆▇█")
    for width in [70, 100] {
      let text = try inspection(of: scratch.path + "/r", style: TextStyle(width: width))
      let lines = text.split(separator: "\n").map(String.init)
      let loss = try #require(lines.first { $0.contains("train loss") })
      // The loss falls from the first round to the last.
      let drawn = loss.filter { blocks.contains($0) }
      #expect(drawn.count == 6 && drawn.first == "█" && drawn.last == "▁", "\(loss)")
      #expect(lines.contains { $0.contains("clients refused") && $0.contains("2.0000") })
      for name in ["test accuracy", "download MB", "upload MB", "round seconds", "largest rank MB"]
      {
        let line = try #require(lines.first { $0.contains(name) })
        #expect(line.count <= width)
      }
    }
    let plain = try inspection(of: scratch.path + "/r", style: TextStyle(isPlain: true))
    #expect(plain.contains("train loss") && plain.utf8.allSatisfy { $0 < 128 })
    // A run that was broken off says how far it came.
    let manifest = try scratch.read("r/manifest.json")
    _ = try scratch.write(
      manifest.replacingOccurrences(of: "\"finished\"", with: "\"running\""),
      to: "r/manifest.json")
    let broken = try inspection(of: scratch.path + "/r")
    #expect(broken.contains("6 of 6 rounds") && broken.contains("no process runs in it"))
  }

  @Test("the manifest says what was read, by digests that other tools give")
  func manifest() throws {
    let scratch = try Scratch()
    // xxhsum -H64 of these bytes.
    _ = try scratch.write("Nobody inspects the spammish repetition", to: "home/m/model.safetensors")
    _ = try scratch.write("", to: "home/d/train.safetensors")
    _ = try run(scratch, "r", ranks: 2, notFinite: Self.some)
    let manifest = try #require(
      try JSONSerialization.jsonObject(with: Data(scratch.read("r/manifest.json").utf8))
        as? [String: Any])
    let inputs = try #require(manifest["inputs"] as? [[String: Any]])
    #expect(inputs.map { $0["xxh64"] as? String } == ["fbcea83c8a378bf1", "ef46db3751d8e999"])
    #expect(inputs.map { $0["bytes"] as? Int } == [39, 0])
    #expect((inputs[0]["path"] as? String)?.hasSuffix("/home/m/model.safetensors") == true)
    let config = try scratch.read("r/config.yaml")
    #expect(manifest["config_sha256"] as? String == SHA256.hexDigits(of: Array(config.utf8)))
    let software = try #require(manifest["software"] as? [String: Any])
    #expect(((software["program"] as? [String: Any])?["xxh64"] as? String)?.count == 16)
    let ranks = try #require(manifest["ranks"] as? [[String: Any]])
    #expect(ranks.allSatisfy { ($0["processor"] as? String)?.isEmpty == false })
  }
}
