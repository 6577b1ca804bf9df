// The files of a run on several hosts and after it: hosts with other files than the first are
// named, an export refuses a model that changed, and says which vector and which round it writes.

import Communication
import Configuration
import Experiments
import Files
import Foundation
import RunFiles
import Testing

private let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().appendingPathComponent("Goldens/federation").path

@Suite("A run's model and corpus")
struct ModelInputsTests {
  /// An experiment on names in $CELLM_HOME, and homes that hold copies of model and corpus.
  private func prepared(_ scratch: Scratch, homes: Int) throws -> (
    file: String, assets: [AssetDirectory]
  ) {
    let assets = try (0..<homes).map { home -> AssetDirectory in
      let path = scratch.path + "/home-\(home)"
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true)
      for name in ["model", "corpus"] {
        try FileManager.default.copyItem(
          atPath: goldens + "/llama_adam_w/" + name, toPath: path + "/" + name)
      }
      return AssetDirectory(environment: ["CELLM_HOME": path])
    }
    let text = """
      model: {path: model}
      data: {path: corpus, max_length: 16}
      partition: {kind: iid, clients: 4}
      adapter: {lora_rank: 2, alpha: 4}
      method: {download: {density: 0.25}, upload: {density: 0.25}}
      federation: {rounds: 2, cohort_size: 2}
      local: {batch_size: 4, learning_rate: 0.2}
      evaluation: {every: 1, splits: [test]}
      output: {tensorboard: false}
      """
    return (try scratch.write(text, to: "x.yaml"), assets)
  }

  /// Runs on a rank for each asset directory; the failures' lines and codes, or the digest.
  private func play(
    _ file: String, _ assets: [AssetDirectory], ranksPerNode: Int, output: String
  ) throws -> (digest: String?, failures: [RunFailure]) {
    let ends = try ThreadCommunicators.run(size: assets.count, ranksPerNode: ranksPerNode) {
      communicator -> Result<String?, RunFailure> in
      do {
        let outcome = try runExperiment(
          ExperimentRequest(path: file), output: output,
          environment: RunEnvironment(mpiLibrary: nil), assets: assets[communicator.rank],
          communicator: communicator, assemble: assembleTransformer)
        return .success(outcome?.digest)
      } catch let failure as RunFailure {
        return .failure(failure)
      }
    }
    return (
      try? ends[0].get(),
      ends.compactMap { if case .failure(let failure) = $0 { failure } else { nil } }
    )
  }

  private func change(_ path: String) throws {
    let url = URL(fileURLWithPath: path)
    var data = try Data(contentsOf: url)
    data[data.count - 1] ^= 1
    try data.write(to: url)
  }

  @Test("copies of the same files on other hosts are as good as the files", arguments: [1, 3])
  func copies(ranksPerNode: Int) throws {
    let scratch = try Scratch()
    let (file, assets) = try prepared(scratch, homes: 3)
    let one = try play(file, [assets[0]], ranksPerNode: 1, output: scratch.path + "/one")
    let three = try play(file, assets, ranksPerNode: ranksPerNode, output: scratch.path + "/three")
    #expect(three.failures.isEmpty)
    #expect(one.digest != nil && one.digest == three.digest)
  }

  @Test(
    "a rank that sees another file ends the run with 65, and the file is named",
    arguments: ["model/model.safetensors", "corpus/test.safetensors"], [1, 3])
  func differing(name: String, ranksPerNode: Int) throws {
    let scratch = try Scratch()
    let (file, assets) = try prepared(scratch, homes: 3)
    try change(scratch.path + "/home-2/" + name)
    let (_, failures) = try play(
      file, assets, ranksPerNode: ranksPerNode, output: scratch.path + "/r")
    #expect(failures.map(\.exitCode) == [65, 65, 65])
    let lines = failures.flatMap(\.lines)
    #expect(lines.count == 1)
    let line = lines.first ?? ""
    #expect(line.contains("rank 0 on") && line.contains("rank 2 on"), "\(line)")
    #expect(line.contains("/home-0/" + name) && line.contains("/home-2/" + name), "\(line)")
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/r"))
  }

  @Test("an export says which vector and round it writes, and refuses a model that changed")
  func export() throws {
    let scratch = try Scratch()
    let (file, assets) = try prepared(scratch, homes: 1)
    let run = scratch.path + "/r"
    _ = try play(file, assets, ranksPerNode: 1, output: run)
    func write(_ name: String, merge: Bool = false, masked: Bool = false) throws -> String {
      try exportRun(
        run, to: scratch.path + "/" + name, merge: merge, masked: masked, assets: assets[0])
    }
    let whole = try write("whole")
    #expect(
      whole.contains(
        "after 2 of 2 rounds; the whole vector; evaluated was the masked one, which --masked writes"
      ))
    let masked = try write("masked", masked: true)
    #expect(masked.contains("after 2 of 2 rounds; the masked vector, which was evaluated"))
    func bytes(_ name: String) throws -> Data {
      try Data(
        contentsOf: URL(fileURLWithPath: scratch.path + "/\(name)/adapter_model.safetensors"))
    }
    #expect(try bytes("whole") != bytes("masked"))
    #expect(try bytes("masked").count == bytes("whole").count)
    // What a killed export was writing is in nobody's way.
    let begun = scratch.path + "/begun"
    try FileManager.default.createDirectory(atPath: begun, withIntermediateDirectories: true)
    _ = try scratch.write("", to: "begun/.adapter_model.safetensors.\(UUID().uuidString).tmp")
    _ = try scratch.write("", to: "begun/.lock")
    _ = try write("begun")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: begun).sorted()
        == ["adapter_config.json", "adapter_model.safetensors"])
    let taken = #expect(throws: CommandFailure.self) { try write("begun") }
    #expect(taken?.exitCode == 64 && taken?.description.contains("not a new or empty") == true)
    try change(scratch.path + "/home-0/model/model.safetensors")
    let refusal = #expect(throws: CommandFailure.self) { try write("merged", merge: true) }
    #expect(refusal?.exitCode == 65)
    let found = refusal?.description ?? ""
    #expect(
      found.contains("model/model.safetensors: is not the file with which the run began"),
      "\(found)")
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/merged"))
  }

  @Test("what cannot be examined in $CELLM_HOME is not said to be missing")
  func unreadable() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/home/x"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    for attempt in [
      { _ = try scratch.assets.existing("x", what: "model") },
      { _ = try inspection(of: "x", assets: scratch.assets) },
      { _ = try inspection(of: path, assets: scratch.assets) },
    ] {
      do {
        try attempt()
        Issue.record("a link to itself was taken")
      } catch {
        #expect(ExitCode.code(of: error) == 74)
        #expect("\(error)" == "\(path): Too many levels of symbolic links")
      }
    }
  }

  @Test("what is not in $CELLM_HOME is met with what is there, what is near and what can be done")
  func advice() throws {
    let scratch = try Scratch()
    let (_, assets) = try prepared(scratch, homes: 1)
    func advice(_ name: String) -> String {
      do { return try inspection(of: name, assets: assets[0]) } catch { return "\(error)" }
    }
    #expect(advice("modle").contains("which has corpus, model; did you mean model?"))
    #expect(advice("something-else").contains("which has corpus, model; give one of them"))
    #expect(advice("minilm-l6").contains("type make assets ASSETS=\"minilm-l6\""))
    #expect(
      advice("20newsgroups.smollm2-135m").contains(
        "make assets ASSETS=\"20newsgroups.smollm2-135m\""))
    #expect(!advice("mine.smollm2-135m").contains("make assets"))
    #expect(advice("org/model").contains("type scripts/prepare hub org/model first"))
  }
}
