// A run directory that a run goes on in: the run's experiment, its manifest, and the checkpoint from
// which it goes on. It is read under the directory's lock, and nothing in it is changed.

internal import Configuration
internal import Files
import Foundation
internal import RunFiles
internal import Safetensors

/// The directory of a run that was begun.
struct ExistingRun {
  let directory: RunDirectory
  /// The newest whole checkpoint; nil for the beginning.
  let checkpoint: Checkpoint?
  /// The rounds of later checkpoints, which are damaged.
  let damaged: [Int]
  /// Whether it is to have more rounds than it was begun with.
  let isExtended: Bool
  /// Where the manifest says that it is finished: its digest.
  let finishedDigest: String?
  /// The numbers of its rounds.
  let numbers: RoundNumbers
  /// What the user should know.
  let notices: [String]
  /// The manifest of the last start; nil if that ended before it wrote one.
  let manifest: Manifest?

  /// The run in `path`, or nil where there is none yet.
  /// - Throws: `CommandFailure`: 64 where it is of another experiment, or something else is there; 65 or 74
  ///   where it has checkpoints and none can be used.
  init?(path: String, experiment: Experiment) throws {
    let directory = RunDirectory(path: path)
    let configuration = directory.file("config.yaml")
    guard let bytes = try contentsIfThere(of: configuration), try !directory.neverBegan(experiment)
    else {
      try RunDirectory.check(output: path, for: experiment)
      return nil
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandFailure(ExitCode.data, "\(configuration): is not a text in UTF-8")
    }
    let saved = try Experiment.read(text: text, name: configuration, directory: "/").experiment
    let differences = experiment.differences(from: saved)
    guard differences.isEmpty else {
      throw CommandFailure(
        ExitCode.usage,
        "--resume: \(path) is a run of another experiment: "
          + differences.prefix(5).joined(separator: "; "))
    }
    self.directory = directory
    manifest = try Manifest.ofRun(directory)
    // Without a manifest no round was played.
    numbers = RoundNumbers(first: manifest.map { $0.firstRoundNumber ?? 0 } ?? 1)
    isExtended = experiment.federation.rounds != saved.federation.rounds
    finishedDigest =
      manifest?.status == "finished" && manifest?.totals.rounds == experiment.federation.rounds
      ? manifest?.digest : nil
    guard finishedDigest == nil else {
      (checkpoint, damaged, notices) = (nil, [], [])
      return
    }
    let folder = CheckpointFolder(path: directory.file("checkpoints"))
    let found = try folder.newest(advice: directory.beginningAnew)
    let savedRounds = try directory.savedRounds(manifest, saved)
    let round = found.checkpoint?.state.round ?? 0
    if savedRounds > 0, found.checkpoint == nil {
      throw CommandFailure(
        ExitCode.inputOutput,
        "\(folder.path): holds no checkpoint, but one was saved after \(savedRounds) rounds or later; "
          + "put the checkpoints back, or \(directory.beginningAnew)")
    }
    checkpoint = found.checkpoint
    damaged = found.damaged.map(\.round)
    var notices = found.damaged.map { "left out: \($0.reason)" }
    if found.damaged.isEmpty, savedRounds > round {
      notices.append(
        "\(folder.path): the checkpoint after \(savedRounds) rounds is gone, the one after "
          + "\(round) is taken")
    }
    if manifest?.inputs == nil, round > 0 {
      notices.append(
        "\(path)/manifest.json does not list the files with which the run began: they are not compared"
      )
    }
    self.notices = notices
  }
}

extension RunDirectory {
  /// Rounds after which a checkpoint was surely saved, 0 where none may have been.
  ///
  /// The manifest says it. Earlier versions' do not: there a later round in the table, or a start that
  /// went on, says that one was.
  fileprivate func savedRounds(_ manifest: Manifest?, _ experiment: Experiment) throws -> Int {
    if let rounds = manifest?.savedRounds { return rounds }
    if let first = manifest?.firstRound, first > 0 { return first }
    let every = experiment.checkpoint.everyRounds
    let table = file("rounds.csv")
    guard every > 0, try isThere(table) else { return 0 }
    let last = try RoundLines.end(in: table, below: .max, number: leadingNumber).last
    // The row of the first round after a checkpoint is written after it.
    return (last ?? 0) >= every ? every : 0
  }
}
