// The directory of one run. No two runs share one: it is made by one exclusive call, or, where an
// empty one is given, taken by its lock (RunLock.swift) and by making config.yaml exclusively.

package import Configuration
internal import Files
package import Foundation
internal import Safetensors

/// The directory of one run.
package struct RunDirectory: Sendable {
  /// The directory in it with a PEFT adapter.
  package static let adapterName = "adapter"
  /// The directory in it with a whole model, of full fine-tuning.
  package static let modelName = "model"

  /// Its path, as it was given or made.
  package let path: String

  /// A file or folder in it.
  package func file(_ name: String) -> String { path + "/" + name }

  /// The advice to those who do not want to go on with the run.
  package var beginningAnew: String { "move \(path) away or give another --output to begin anew" }

  /// Throws where `output` could not become the directory of a new run: it has to be new or empty but for
  /// the files of its batch job and what the start of a run left that never began.
  ///
  /// - Parameter experiment: The new run's; whoever finds a run of the same hears of --resume.
  /// - Throws: `CommandFailure` (64), `SafetensorsError` where it cannot be read.
  package static func check(output: String, for experiment: Experiment) throws {
    guard try isThere(output) else { return }
    try checkKind(output)
    let directory = RunDirectory(path: output)
    let content = try namesIfThere(in: output)?.filter { !isLeftover($0) } ?? []
    if content.isEmpty { return }
    if content == ["config.yaml"], try directory.neverBegan(experiment) { return }
    throw CommandFailure(
      ExitCode.usage, try "--output \(output): " + directory.occupation(content, for: experiment))
  }

  /// Throws (64) where a file is there.
  package static func checkKind(_ output: String) throws {
    if let kind = try fileKind(of: output), kind != .folder {
      throw CommandFailure(ExitCode.usage, "--output \(output): is a file; give a new directory")
    }
  }

  /// The reason why a new run has no place here.
  private func occupation(_ content: [String], for experiment: Experiment) throws -> String {
    let configuration = file("config.yaml")
    guard content.contains("config.yaml") || content.contains("manifest.json") else {
      return "is not empty; give a new directory"
    }
    guard let bytes = try contentsIfThere(of: configuration),
      let text = String(validating: bytes, as: UTF8.self),
      let saved = try? Experiment.read(text: text, name: configuration, directory: "/").experiment,
      experiment.differences(from: saved).isEmpty
    else { return "holds another run; give a new directory" }
    let manifest = try Manifest.ofRun(self)
    guard manifest?.status == "finished",
      manifest?.totals.rounds ?? 0 >= experiment.federation.rounds
    else {
      return
        "holds an unfinished run of this experiment; go on with --resume, or give a new directory"
    }
    return "holds a finished run of this experiment; give a new directory"
  }

  /// Whether this process may write files there.
  package var isWritable: Bool { access(path, W_OK) == 0 }

  /// Whether config.yaml is all of a run that never began: it was cut short when it was written, and there is
  /// no manifest.
  package func neverBegan(_ experiment: Experiment) throws -> Bool {
    guard let text = try contentsIfThere(of: file("config.yaml")) else { return false }
    guard try !isThere(file("manifest.json")) else { return false }
    let whole = Array(experiment.yaml.utf8)
    return text.count < whole.count && whole.starts(with: text)
  }

  /// Whether a file may lie in the directory of a new run: those of its batch job (slurm/submit.sh writes
  /// job.sh and job-ID.log there before the program starts), the lock, and what a killed process was writing.
  private static func isLeftover(_ name: String) -> Bool {
    name == "job.sh" || (name.hasPrefix("job-") && name.hasSuffix(".log"))
      || name == RunLock.name || isTemporaryName(name)
  }

  /// Makes the directory of a new run.
  /// - Parameters:
  ///   - output: The directory, new or empty; nil for a new one under `runs`.
  ///   - name: The beginning of a new one's name.
  package static func create(
    output: String?, name: String, now: Date = Date(), parent: String = "runs"
  ) throws -> RunDirectory {
    if let output {
      try makeFolders(output)
      return RunDirectory(path: output)
    }
    try makeFolders(parent)
    return try makeNew(parent + "/" + name + strftimeText("-%Y%m%d-%H%M%S", now))
  }

  /// Puts config.yaml there, whole or not at all.
  ///
  /// - Precondition: `check` found nothing, and the directory is locked: a config.yaml that is there was
  ///   cut short.
  package func begin(_ configuration: String) throws {
    let path = file("config.yaml")
    try OutputFile.replace(path, with: configuration, onlyIfNew: !isThere(path))
  }

  private static func makeNew(_ path: String) throws -> RunDirectory {
    for number in 1...10_000 {
      let candidate = number == 1 ? path : "\(path)-\(number)"
      if uninterrupted({ mkdir(candidate, 0o755) }) == 0 { return RunDirectory(path: candidate) }
      if errno != EEXIST { throw CommandFailure.system(candidate, errno) }
    }
    throw CommandFailure(ExitCode.inputOutput, "\(path): 10000 runs have this name already")
  }

  package init(path: String) {
    self.path = path
  }
}
