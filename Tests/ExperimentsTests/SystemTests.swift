// The section `system` of an experiment: keys, traces, columns.

import Communication
import Configuration
import Experiments
import Federation
import Foundation
import RunFiles
import Testing

private let minimal = """
  model: {path: m}
  data: {path: d}
  partition: {kind: iid, clients: 6}
  federation: {rounds: 6, cohort_size: 3, server: {optimizer: adam_w, learning_rate: 0.1}}
  local: {batch_size: 2, learning_rate: 0.1}
  evaluation: {every: 2, splits: [test], maximum_examples: 10}

  """

private func problems(_ text: String, _ settings: [String] = []) -> [String] {
  do {
    _ = try Experiment.read(text: text, name: "x.yaml", directory: "/base", settings: settings)
    return []
  } catch let error as ExperimentProblems {
    return error.problems.map(\.description)
  } catch {
    return ["unexpected: \(error)"]
  }
}

/// A table by its column names.
private func table(_ csv: String) -> [[String: String]] {
  let rows = csv.split(separator: "\n").map {
    $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
  return rows.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(rows[0], $0)) }
}

struct SystemTests {
  private let full = """
    system:
      kind: drawn
      download: {median: 1e6, sigma: 0.75}
      upload: 250000
      latency: 0
      tokens_per_second: {median: 30, sigma: 0}
      tier_speeds: [1, 0.5]
      unavailability: 0.125
      dropout: 1
      deadline: 60
      extra_clients: 2
      server_time: 0.5
    method: {tiers: [{lora_rank: 2}, {lora_rank: 4}]}

    """

  @Test("every key is read, written and read again")
  func keys() throws {
    let value = try Experiment.read(
      text: minimal + full, name: "x.yaml", directory: "/base"
    ).experiment
    let again = try Experiment.read(text: value.yaml, name: "y", directory: "/").experiment
    #expect(again == value)
    let system = try #require(
      try value.federationPlan(assets: AssetDirectory(environment: [:])).system)
    #expect(
      system
        == SystemModel(
          clients: .drawn(
            download: LogNormal(median: 1e6, sigma: 0.75), upload: LogNormal(median: 250_000),
            latency: LogNormal(median: 0), tokensPerSecond: LogNormal(median: 30)),
          tierSpeeds: [1, 0.5], unavailability: 0.125, dropout: 1, deadline: 60, extraClients: 2,
          serverSeconds: 0.5))
    let off = try Experiment.read(text: minimal, name: "x", directory: "/").experiment
    #expect(off.yaml.contains("system:\n  kind: none\nseed"))
    #expect(try off.federationPlan(assets: AssetDirectory(environment: [:])).system == nil)
  }

  @Test("keys without effect are refused")
  func withoutEffect() {
    #expect(
      problems(minimal, ["system.dropout=0.5"]) == [
        "--set system.dropout=0.5: has no effect with system.kind: none; leave it out, or give"
          + " system.kind: drawn or trace"
      ])
    #expect(
      problems(minimal, ["system.kind=trace", "system.path=/t.csv", "system.upload=3"]).count == 1)
    #expect(problems(minimal, ["system.kind=trace"]).count == 1)
    #expect(
      problems(minimal, ["system.kind=drawn", "system.extra_clients=4"]) == [
        "--set system.extra_clients=4: 4 is not allowed; give an integer from 0 to 3, as"
          + " the population is 6 and federation.cohort_size is 3"
      ])
    #expect(
      problems(minimal, ["system.kind=drawn", "system.tier_speeds=[1, 2]"]) == [
        "--set system.tier_speeds=[1, 2]: 2 numbers are not allowed; give one for each of the 0"
          + " tiers of method.tiers"
      ])
    let lossy = ["system.kind=drawn", "system.dropout=0.1"]
    #expect(
      problems(minimal, lossy + ["privacy={clipping: fixed, clip: 1, noise_multiplier: 1}"]) == [
        "--set system.dropout=0.1: is not allowed with privacy.clipping: fixed, whose noise is for"
          + " cohorts of one size; leave it out"
      ])
    let file = """
      model: {path: m}
      data: {path: d}
      federation: {cohort: {kind: file, path: /c.json}}
      system: {kind: drawn, extra_clients: 1}
      """
    #expect(problems(file).count == 1)
    for wrong in [
      "system.kind=fast", "system.download=0", "system.download={median: 1}", "system.latency=-1",
      "system.deadline=0", "system.unavailability=1", "system.tier_speeds=[0]",
      "system.extra_clients=-1",
    ] {
      #expect(problems(minimal, ["system.kind=drawn", wrong]).count == 1, "\(wrong)")
    }
  }

  @Test("a trace is CSV or JSON with a row for each client, in any order")
  func traces() throws {
    let scratch = try Scratch()
    func systems(_ text: String) throws -> ClientSystems? {
      let path = try scratch.write(text, to: "trace")
      return try Experiment.read(
        text: minimal + "system: {kind: trace, path: \(path)}", name: "x", directory: "/"
      ).experiment.federationPlan(assets: scratch.assets).system?.clients
    }
    let expected = ClientSystems.trace([
      ClientSystem(download: 10, upload: 20, latency: 0.5, tokensPerSecond: 7),
      ClientSystem(download: 1, upload: 2, latency: 0, tokensPerSecond: 1e3),
    ])
    #expect(
      try systems(
        "client,upload,download,latency,tokens_per_second\n1,2,1,0,1e3\n0,20,10,0.5,7\n")
        == expected)
    #expect(
      try systems(
        """
        [{"client": 0, "download": 10, "upload": 20, "latency": 0.5, "tokens_per_second": 7},
         {"client": 1, "download": 1, "upload": 2, "latency": 0, "tokens_per_second": 1000}]
        """) == expected)
    let header = "client,download,upload,latency,tokens_per_second\n"
    for (wrong, what) in [
      ("client,download\n0,1\n", "line 1: the columns"), (header, "no client"),
      (header + "0,1,2,3\n", "line 2: not 5 numbers"), (header + "1,1,1,1,1\n", "0 to 0"),
      (header + "0,1,1,1,1\n0,1,1,1,1\n", "line 3: client is 0"),
      (header + "0,0,1,1,1\n", "rates must be greater than 0"),
      (header + "0,1,1,-1,1\n", "latency at least 0"), ("[{\"client\": 0}]", "entry 0"),
      ("[1]", "not a JSON list"),
    ] {
      #expect("\(wrong)") { try systems(wrong) } throws: { "\($0)".contains(what) }
    }
  }

  @Test("the tables have the modelled times and statuses, the same on 1, 2 and 3 ranks")
  func tables() throws {
    let scratch = try Scratch()
    let file = try scratch.write(minimal, to: "x.yaml")
    let settings = [
      "system.kind=drawn", "system.download={median: 1000, sigma: 0.5}", "system.upload=500",
      "system.tokens_per_second={median: 10, sigma: 1}", "system.latency=0.25",
      "system.dropout=0.2", "system.deadline=2.5", "system.extra_clients=2",
      "system.server_time=0.125",
    ]
    var text: [String] = []
    for ranks in 1...3 {
      let output = "\(scratch.path)/r\(ranks)"
      let assets = scratch.assets
      let outcome = try ThreadCommunicators.run(size: ranks) { communicator in
        try runExperiment(
          ExperimentRequest(path: file, settings: settings), output: output,
          environment: RunEnvironment(mpiLibrary: nil), assets: assets,
          communicator: communicator, assemble: quadratic())
      }[0]
      text.append(try #require(outcome).text.replacing("/r\(ranks)", with: "/r1"))
      for name in ["rounds", "clients", "evaluation"] {
        let clock = { (row: [String: String]) in row.filter { !isMeasured($0.key) } }
        #expect(
          try table(scratch.read("r\(ranks)/\(name).csv")).map(clock)
            == table(scratch.read("r1/\(name).csv")).map(clock), "\(name), \(ranks) ranks")
      }
    }
    #expect(Set(text).count == 1 && text[0].contains("modelled time"))
    let rounds = table(try scratch.read("r1/rounds.csv"))
    let clients = table(try scratch.read("r1/clients.csv"))
    func number(_ row: [String: String], _ column: String) -> Double {
      row[column].flatMap(Double.init) ?? .nan
    }
    var total = 0.0
    for (index, round) in rounds.enumerated() {
      let own = clients.filter { $0["round"] == round["round"] }
      for status in ["used", "unavailable", "dropped", "late"] {
        #expect(own.count { $0["status"] == status } == Int(round["\(status)_clients"] ?? ""))
      }
      // The end of the round from the rows of its clients.
      let arrivals = own.filter { $0["status"] != "dropped" }
        .map { number($0, "modelled_time_s") }.sorted()
      let losses = own.filter { $0["status"] == "dropped" }.map { number($0, "modelled_time_s") }
      let inTime = arrivals.filter { $0 <= 2.5 }
      let end = inTime.count >= 3 ? inTime[2] : min(2.5, (arrivals + losses).max() ?? 0)
      #expect(number(round, "modelled_time_s") == end + 0.125, "round \(index)")
      total += end + 0.125
      #expect(number(round, "total_modelled_time_s") == total)
      #expect(
        own.reduce(0) { $0 + number($1, "upload_payload_bytes") }
          == number(round, "upload_payload_bytes"))
    }
    #expect(Set(clients.compactMap { $0["status"] }) == ["used", "dropped", "late"])
    for row in table(try scratch.read("r1/evaluation.csv")) {
      let round = try #require(row["round"].flatMap(Int.init))
      #expect(row["total_modelled_time_s"] == rounds[round - 1]["total_modelled_time_s"])
    }
    #expect(try inspection(of: scratch.path + "/r1").contains("total_modelled_time_s"))
  }

  @Test("tiers are evaluated where that is asked, in rows that say which")
  func tierRows() throws {
    let scratch = try Scratch()
    let file = try scratch.write(minimal, to: "x.yaml")
    let settings = [
      "method.tiers=[{download_density: 0.1}, {download_density: 0.9}]", "evaluation.tiers=true",
    ]
    let outcome = try #require(
      try runExperiment(
        ExperimentRequest(path: file, settings: settings), output: scratch.path + "/r",
        environment: RunEnvironment(mpiLibrary: nil), assets: scratch.assets,
        communicator: SingleProcessCommunicator(), assemble: quadratic()))
    let rows = table(try scratch.read("r/evaluation.csv"))
    #expect(rows.prefix(3).map { $0["tier"] } == ["", "0", "1"])
    #expect(rows.prefix(3).map { $0["masked"] } == ["false", "true", "true"])
    #expect(rows.count == 9 && Set(rows.prefix(3).map { $0["loss"] }).count == 3)
    #expect(!outcome.text.contains("(masked)"))
    #expect(
      problems(minimal, ["evaluation.tiers=true"]) == [
        "--set evaluation.tiers=true: has no effect with method.tiers: []; leave it out, or give"
          + " method.tiers: a list of tiers"
      ])
  }

  @Test("without a system there is no column of it")
  func off() throws {
    let scratch = try Scratch()
    let file = try scratch.write(minimal, to: "x.yaml")
    _ = try runExperiment(
      ExperimentRequest(path: file), output: scratch.path + "/r",
      environment: RunEnvironment(mpiLibrary: nil), assets: scratch.assets,
      communicator: SingleProcessCommunicator(), assemble: quadratic())
    for name in ["rounds", "clients", "evaluation"] {
      let header = try scratch.read("r/\(name).csv").prefix { $0 != "\n" }
      #expect(!header.contains("modelled") && !header.contains("dropped"))
    }
    #expect(try !scratch.read("r/manifest.json").contains("modelled"))
  }

  @Test("a run in which everybody is lost ends, and says so")
  func everybodyLost() throws {
    let scratch = try Scratch()
    let file = try scratch.write(minimal, to: "x.yaml")
    let outcome = try #require(
      try runExperiment(
        ExperimentRequest(path: file, settings: ["system.kind=drawn", "system.dropout=1"]),
        output: scratch.path + "/r", environment: RunEnvironment(mpiLibrary: nil),
        assets: scratch.assets, communicator: SingleProcessCommunicator(), assemble: quadratic()))
    let rounds = table(try scratch.read("r/rounds.csv"))
    #expect(rounds.count == 6 && rounds.allSatisfy { $0["digest"] == outcome.digest })
    #expect(rounds.allSatisfy { $0["train_loss"] == "" && $0["used_clients"] == "0" })
    #expect(table(try scratch.read("r/clients.csv")).allSatisfy { $0["status"] == "dropped" })
  }
}
