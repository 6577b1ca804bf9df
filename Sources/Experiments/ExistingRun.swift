// A run directory that a run goes on in: what it is of, how far it came, and its tables cut back to
// the round from which it goes on.

import Foundation

/// The directory of a run that was begun.
struct ExistingRun {
  let directory: RunDirectory
  /// The newest whole checkpoint; nil for the beginning.
  let checkpoint: Checkpoint?
  /// Whether it is to have more rounds than it was begun with.
  let isExtended: Bool
  /// Where the manifest says that it is finished: its digest.
  let finishedDigest: String?
  /// What the user should know.
  let notices: [String]
  /// Earlier starts, as the manifest has them.
  let starts: [Manifest.Start]

  /// The run in `path`, or nil where there is none yet.
  /// - Throws: `CommandFailure` where it is of another experiment, or something else is there.
  init?(path: String, experiment: Experiment) throws {
    let directory = RunDirectory(path: path)
    let configuration = directory.file("config.yaml")
    guard FileManager.default.fileExists(atPath: configuration) else {
      try RunDirectory.check(output: path)
      return nil
    }
    let text = try readText(configuration, what: "config.yaml")
    let saved = try Experiment.read(text: text, name: configuration, directory: "/").experiment
    let differences = experiment.differences(from: saved)
    guard differences.isEmpty else {
      throw CommandFailure(
        ExitCode.usage,
        "--resume: \(path) is a run of another experiment: "
          + differences.prefix(5).joined(separator: "; "))
    }
    self.directory = directory
    let manifest = Manifest.read(in: path)
    isExtended = experiment.federation.rounds != saved.federation.rounds
    finishedDigest =
      manifest?.status == "finished" && manifest?.totals.rounds == experiment.federation.rounds
      ? manifest?.digest : nil
    starts = manifest.map { $0.starts + [$0.lastStart] } ?? []
    if finishedDigest == nil {
      let (checkpoint, damaged) = CheckpointFolder(path: directory.file("checkpoints")).newest()
      self.checkpoint = checkpoint
      notices = damaged.map { "left out: \($0)" }
    } else {
      (checkpoint, notices) = (nil, [])
    }
  }
}

extension Experiment {
  /// The lines in which it differs from one of which a run was begun; what changes no result may.
  func differences(from saved: Experiment) -> [String] {
    var (now, then) = (self, saved)
    now.checkpoint = then.checkpoint
    now.watchdog = then.watchdog
    now.output = then.output
    if now.federation.rounds > then.federation.rounds, !then.roundsMatter {
      now.federation.rounds = then.federation.rounds
    }
    now.compute.threads = then.compute.threads
    now.federation.uploads = then.federation.uploads
    guard now != then else { return [] }
    return ExperimentKey.all.compactMap { key in
      let (new, old) = (key.write(now), key.write(then))
      return new == old ? nil : "\(key.path) is \(new ?? "not set"), there \(old ?? "not set")"
    }
  }

  /// Whether what happens in a round depends on how many there will be.
  private var roundsMatter: Bool {
    let schedules = [federation.server.schedule.kind, local.schedule.kind]
    return privacy.targetEpsilon != nil || schedules.contains { $0 == .linear || $0 == .cosine }
  }
}
