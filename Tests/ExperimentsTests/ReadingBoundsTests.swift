// Texts that would take long to read, and names and numbers as users write them.

import Configuration
import Experiments
import Foundation
import Testing

private let minimal = "model: {path: m}\ndata: {path: d}\n"

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

struct ReadingBoundsTests {
  /// Nine levels of nine aliases each: 10^9 nodes in 500 bytes.
  private static func bomb(_ open: String, _ close: String, last: String) -> String {
    var text = "a0: &a0 \(open)1\(close)\n"
    for level in 1...9 {
      let items = (0..<9).map { open == "[" ? "*a\(level - 1)" : "k\($0): *a\(level - 1)" }
      text += "a\(level): &a\(level) \(open)\(items.joined(separator: ", "))\(close)\n"
    }
    return text + last
  }

  @Test(
    "a text that would take long is refused at once, in a short line",
    arguments: [
      bomb("[", "]", last: "seed: *a9\n"), bomb("{", "}", last: "seed: *a9\n"),
      bomb("[", "]", last: "seed: {? *a9 : 1, *a9 : 2}\n"),
      bomb("[", "]", last: "adapter: {targets: *a9}\n"),
      String(repeating: "k", count: 200_000) + ": 1\n",
      "seed: " + String(repeating: "1", count: 200_000),
      "seed: '" + String(repeating: "1", count: 900_000) + "'",
      "adapter: {targets: [" + String(repeating: "a, ", count: 60_000) + "a]}",
      "seed: [" + String(repeating: "1, ", count: 120_000) + "1]",
      (0..<20_000).map { "k\($0): 1\n" }.joined(),
      String(repeating: "seed: 1\n", count: 20_000),
      "seed: " + String(repeating: "[", count: 900) + String(repeating: "]", count: 900),
      "seed: " + String(repeating: "- ", count: 900) + "1",
    ])
  func bounded(text: String) {
    let start = ContinuousClock.now
    let found = problems(minimal + text) + problems(minimal, ["seed=\(text)"])
    // A second each, on a busy machine.
    #expect(ContinuousClock.now - start < .seconds(8))
    #expect(found.count >= 2 && found.count <= 202)
    #expect(found.allSatisfy { $0.count < 2000 && !$0.contains("\n") }, "\(found)")
  }

  @Test("an alias that stands for little is read")
  func alias() throws {
    let reading = try Experiment.read(
      text: minimal + "method: {download: &half {density: 0.5}, upload: *half}",
      name: "x.yaml", directory: "/")
    #expect(reading.experiment.method.upload.density == .constant(0.5))
    #expect(reading.experiment.method.download.density == .constant(0.5))
  }

  @Test("a large sweep file and a large experiment file are refused by their size")
  func files() throws {
    let scratch = try Scratch()
    let large = try scratch.write(
      minimal + String(repeating: "# a remark\n", count: 30_000), to: "x.yaml")
    #expect {
      try ExperimentRequest(path: large).load()
    } throws: {
      "\($0)" == "experiment file \(large) has more than 256 KiB"
    }
    #expect {
      try Sweep(path: large)
    } throws: {
      "\($0)" == "sweep file \(large) has more than 256 KiB"
    }
    // Without an end: only its beginning is read.
    #expect {
      try ExperimentRequest(path: "/dev/zero").load()
    } throws: {
      "\($0)".hasSuffix("has more than 256 KiB")
    }
  }

  @Test("a sweep whose product has no bound is refused at once")
  func product() throws {
    let scratch = try Scratch()
    let list = "[" + (0..<100).map(String.init).joined(separator: ", ") + "]"
    let keys = ["seed", "local.epochs", "federation.rounds", "adapter.alpha", "adapter.lora_rank"]
    let text = "experiment: x.yaml\ngrid: {" + keys.map { "\($0): \(list)" }.joined(separator: ", ")
    let path = try scratch.write(text + "}", to: "s.sweep.yaml")
    #expect {
      try Sweep(path: path)
    } throws: {
      "\($0)".contains("has more than 10000 points")
    }
  }
}

struct KeySuggestionTests {
  @Test(
    "an unknown key gets the paths that were meant",
    arguments: [
      ("lr", "local.learning_rate"), ("rounds", "federation.rounds"),
      ("density", "method.download.density or method.upload.density"),
      ("upload.density", "method.upload.density"), ("local.lr", "local.learning_rate"),
      ("learning_rate", "local.learning_rate or federation.server.learning_rate"),
      ("federation.seed", "seed"), ("adapter.rank", "adapter.lora_rank"),
      ("federation.learning_rate", "federation.server.learning_rate or local.learning_rate"),
      ("fedration.rounds", "federation.rounds"), ("local.epoch", "local.epochs"),
      ("batch-size", "local.batch_size"), ("adaptor.lora_rank", "adapter.lora_rank"),
    ])
  func meant(word: String, expected: String) {
    let found = problems(minimal, ["\(word)=1"])
    #expect(found.count == 1)
    #expect(
      found[0].hasPrefix("--set \(word)=1: unknown key; did you mean \(expected)? allowed "),
      "\(found)")
  }

  @Test("a key that is like none gets the list alone, and a setting without a key says so")
  func unlike() {
    #expect(problems(minimal, ["qqqqqqqq=1"])[0].contains("unknown key; allowed at the top: "))
    #expect(problems(minimal, ["=1"]) == ["--set =1: has no key; give path.to.key=value"])
    #expect(problems(minimal, [""]) == ["--set : has no value; give path.to.key=value"])
    #expect(
      problems(minimal, ["seed="])
        == [
          "--set seed=: an empty value is not allowed; give an integer from 0 to \(UInt64.max)"
        ])
  }

  @Test("a fraction is the number that its decimal is, and is written as that")
  func fractions() throws {
    func density(_ text: String) throws -> Experiment {
      try Experiment.read(
        text: minimal + "method: {upload: {density: \(text)}}", name: "x.yaml", directory: "/"
      ).experiment
    }
    #expect(try density("1/16") == density("0.0625"))
    #expect(try density("1/16").yaml.contains("density: 0.0625\n"))
    let third = try density("1/3")
    #expect(third.method.upload.density == .constant(1.0 / 3.0))
    #expect(try Experiment.read(text: third.yaml, name: "x", directory: "/").experiment == third)
    #expect(
      try density("{initial: 3/4, factor: 1/2, period: 3}").method.upload.density
        == .geometric(initial: 0.75, factor: 0.5, period: 3))
    let set = try Experiment.read(
      text: minimal, name: "x.yaml", directory: "/", settings: ["local.learning_rate=1/8"])
    #expect(set.experiment.local.learningRate == 0.125)
    for text in ["1/0", "0/0", "1/", "/2", "1/2/3", "1 / 2", "'1/2'", "3/2", "a/b", "-1/2"] {
      #expect(problems(minimal + "method: {upload: {density: \(text)}}").count == 1, "\(text)")
    }
  }

  @Test("a sweep takes fractions too")
  func sweeps() throws {
    let scratch = try Scratch()
    func points(_ rest: String) throws -> [Sweep.Point] {
      try Sweep(path: scratch.write("experiment: x.yaml\n" + rest, to: "s.sweep.yaml")).points
    }
    #expect(
      try points("search: {ranks: [1], densities: [1/16, 1/4]}")
        == points("search: {ranks: [1], densities: [0.0625, 0.25]}"))
    #expect(
      try points("random: {count: 3, values: {local.momentum: {uniform: [1/4, 1/2]}}}")
        == points("random: {count: 3, values: {local.momentum: {uniform: [0.25, 0.5]}}}"))
    #expect(
      try points("grid: {method.upload.density: [1/16]}")[0].settings
        == ["method.upload.density=1/16"])
  }
}
