// Rank 0's files of a run: its directory, taken by a lock, with tables, curves, checkpoints and the manifest. A run
// that goes on changes nothing of them before its first round was played, but for the manifest.

internal import Configuration
internal import Corpora
internal import Federation
internal import Files
import Foundation
internal import RunFiles
internal import Safetensors

/// What the record of a run begins with.
struct RunOpening {
  /// The experiment as it was loaded.
  let loaded: ExperimentRequest.Loaded
  /// The run that goes on; nil for a new one.
  let existing: ExistingRun?
  /// The lock of the directory, where that was there already and may hold a run.
  let lock: RunLock?
}

/// Everything that rank 0 keeps of a run.
final class RunRecord {
  let directory: RunDirectory
  /// The time of this start, as the manifest says it.
  var start: String { manifest.start }
  /// The rounds of the checkpoints that are there, ascending.
  private(set) var checkpointRounds: [Int]
  private let tables: RunTables
  private let curves: TensorBoardFile?
  private let lock: RunLock
  private let rules: Experiment.CheckpointSection
  /// The split of which tables for people and the manifest tell.
  private let shownSplit: Split
  private let numbers: RoundNumbers
  private let sendsWholeVector: Bool
  private let trainedName: String
  private var manifest: Manifest
  private var summary: RunSummary
  /// The rounds of the checkpoint that is the state of now; nil where it is not saved.
  private var savedRound: Int?
  /// The rounds of checkpoints that this start found to be damaged.
  private var damaged: [Int]
  private let began = ContinuousClock.now
  private var lastSaved = ContinuousClock.now

  init(
    _ opening: RunOpening, experiment: Experiment, yaml: String, output: String?, host: String,
    manifest: Manifest, assembly: Assembly, say: (String) -> Void, onWait: () -> Void
  ) throws {
    self.manifest = manifest
    rules = experiment.checkpoint
    let splits = experiment.evaluation.splits
    shownSplit = splits.contains(.test) ? .test : splits.first ?? .test
    sendsWholeVector = experiment.sendsWholeVector
    trainedName = assembly.trainedName
    let existing = opening.existing
    if let problem = existing?.changedInputs(manifest.inputs ?? []) { throw problem }
    (directory, lock) = try Self.take(opening, experiment, yaml, output, host, say, onWait)
    checkpointRounds = try CheckpointFolder(path: directory.file("checkpoints")).rounds()
    let progress = existing?.checkpoint?.progress ?? RunProgress()
    let round = existing?.checkpoint?.state.round ?? 0
    numbers = existing?.numbers ?? RoundNumbers()
    let kept = existing.map { RoundsKept(count: round, numbers: $0.numbers) }
    savedRound = existing?.checkpoint?.state.round
    damaged = existing?.damaged ?? []
    tables = try RunTables(
      directory,
      RunTableOptions(
        evaluatesClients: experiment.evaluation.clients > 0,
        evaluatesTiers: experiment.evaluation.tiers, hasClock: experiment.system.kind != .none,
        prunesRanks: experiment.method.rankPruning.factor < 1,
        hasAnswers: experiment.task.kind.targets == .answer,
        hasScores: experiment.task.kind.targets == .score,
        hasChoices: experiment.task.kind.targets == .choice,
        clientName: experiment.partition.kind == .natural
          ? { [partition = assembly.partition] in partition.name(of: $0) } : nil),
      numbers: numbers, keeping: kept)
    let partition = directory.file("partition.csv")
    // Again after a resume: it is a function of the experiment, and may have been cut.
    try assembly.writePartition?(partition)
    curves =
      experiment.output.tensorBoard
      ? try TensorBoardFile(directory, numbers: numbers, keeping: kept) : nil
    summary = progress.summary
    self.manifest.totals = progress.totals
    self.manifest.firstRoundNumber = numbers.first
    self.manifest.firstRound = numbers[after: round]
    self.manifest.savedRounds = round
    if let before = existing?.manifest { self.manifest.goOn(after: before) }
    self.manifest.digest = existing?.checkpoint?.state.digest
    try self.manifest.write(to: directory)
    // config.yaml is replaced last: after a crash before this line the directory still is the shorter run.
    if existing?.isExtended == true {
      try OutputFile.replace(directory.file("config.yaml"), with: yaml)
    }
  }

  /// Takes the directory: that of the run that goes on, or a new one, with config.yaml.
  private static func take(
    _ opening: RunOpening, _ experiment: Experiment, _ yaml: String, _ output: String?,
    _ host: String, _ say: (String) -> Void, _ onWait: () -> Void
  ) throws -> (RunDirectory, RunLock) {
    let directory =
      try opening.existing?.directory
      ?? RunDirectory.create(output: output, name: opening.loaded.name)
    let lock =
      try opening.lock ?? RunLock.take(directory.path, host: host, say: say, onWait: onWait)
    if opening.existing == nil {
      // Another start may have been faster.
      try RunDirectory.check(output: directory.path, for: experiment)
    }
    // What processes of earlier starts left: files that they were writing, and what they said of themselves.
    for folder in [
      "", "checkpoints", RunDirectory.adapterName, RunDirectory.modelName, "residuals",
    ] {
      try removeTemporaries(in: folder.isEmpty ? directory.path : directory.file(folder))
    }
    try? FileManager.default.removeItem(atPath: directory.file(".watch"))
    if opening.existing == nil { try directory.begin(yaml) }
    return (directory, lock)
  }

  /// Saves the state where rounds or minutes ask for it, where the run ends with it, or `now`.
  func saveIfDue(
    _ state: ServerState, _ knowledge: ClientKnowledge, isLast: Bool, now: Bool
  ) throws {
    let byRounds = rules.everyRounds > 0 && state.round % rules.everyRounds == 0
    let minutes = (ContinuousClock.now - lastSaved) / .seconds(60)
    let byMinutes = rules.everyMinutes > 0 && minutes >= rules.everyMinutes
    // More rounds go on from the end of a finished run.
    let atEnd = isLast && (rules.everyRounds > 0 || rules.everyMinutes > 0)
    guard now || byRounds || byMinutes || atEnd, savedRound != state.round else { return }
    // Once a checkpoint, not once a round: that takes longer than a short round.
    try tables.synchronize()
    try curves?.synchronize()
    let progress = RunProgress(totals: manifest.totals, summary: summary)
    checkpointRounds = try CheckpointFolder(path: directory.file("checkpoints"))
      .add(Checkpoint(state, progress, knowledge), keeping: rules.keep, removing: damaged)
    savedRound = state.round
    damaged.removeAll()
    lastSaved = ContinuousClock.now
    manifest.savedRounds = state.round
    try writeManifest()
  }

  /// Writes the manifest while the run goes on: where another rank said there that the run failed, before it
  /// ended the job, that stays. This process may have been stopped within the writing, so that is
  /// looked up when the new file is on the disk.
  private func writeManifest() throws {
    var failed: Manifest?
    let isWritten = try manifest.write(to: directory) {
      failed = failureOfAnotherRank
      return failed == nil
    }
    guard !isWritten, let failed else { return }
    (manifest.status, manifest.failure, manifest.end) = (failed.status, failed.failure, failed.end)
    try manifest.write(to: directory)
  }

  /// The manifest on the disk, where another rank said there that this start failed.
  private var failureOfAnotherRank: Manifest? {
    // Where it cannot be read for a moment, the run goes on.
    guard let found = try? Manifest.ofRun(directory), found.status == "failed",
      found.start == manifest.start
    else { return nil }
    return found
  }

  /// Ends a run that was asked to stop and is saved.
  func stop() throws {
    manifest.status = "stopped"
    close()
    try writeManifest()
  }

  func add(_ round: RoundRecord, wire: WireSummary, memory: MemoryUse, of rounds: Int) throws {
    summary.add(round, of: rounds)
    manifest.totals = summary.totals(after: manifest.totals, wire: wire)
    manifest.digest = round.digest
    if let entry = round.evaluation.first(where: { $0.tier == nil && $0.split == shownSplit }) {
      manifest.evaluation = Manifest.Evaluation(entry, numbers: numbers)
    }
    try tables.append(round, totals: manifest.totals, wire: wire, memory: memory)
    try curves?.append(round, memory: memory, totals: manifest.totals)
    if !round.evaluation.isEmpty { try writeManifest() }
  }

  /// A line for each of the first clients that were left out of a round, and how many more there are.
  func refusals(_ round: RoundRecord) -> [String] {
    let shown = 5
    let refused = round.refused
    var lines = refused.prefix(shown).map { client in
      let host = manifest.ranks.first { $0.rank == client.rank }?.host ?? "?"
      return
        "round \(round.round + 1), client \(client.client) left out (rank \(client.rank) on \(host)): "
        + (client.refusal.map { "\($0)" } ?? "its update is not finite")
    }
    if refused.count > shown {
      lines.append(
        "round \(round.round + 1), \(refused.count - shown) more clients left out; clients.csv has them"
      )
    }
    return lines
  }

  func finish(
    digest: String, ranks: [Manifest.RankPlace], privacy: String
  ) throws -> RunOutcome {
    manifest.status = "finished"
    manifest.failure = nil
    manifest.digest = digest
    manifest.ranks = ranks
    let evaluated = summary.evaluatedText(
      isWhole: sendsWholeVector, trainedName: trainedName)
    close()
    try manifest.write(to: directory)
    return RunOutcome(
      directory: directory, digest: digest,
      text: summary.text(split: shownSplit) + evaluated + privacy
        + "digest \(digest)\n\(directory.path)\n")
  }

  /// Says in the manifest that the run failed, if that can still be written.
  func fail(_ reason: String) {
    manifest.status = "failed"
    manifest.failure = reason
    close()
    _ = try? manifest.write(to: directory)
  }

  private func close() {
    manifest.end = timeText(Date())
    manifest.wallSeconds = (ContinuousClock.now - began) / .seconds(1)
  }
}

extension ExistingRun {
  /// The refusal of input files that are not those with which the run began; nil where they are.
  fileprivate func changedInputs(_ now: [InputFile]) -> CommandFailure? {
    let lines = manifest?.changedInputs(now: now) ?? []
    guard !lines.isEmpty else { return nil }
    return CommandFailure(
      ExitCode.data,
      "--resume: " + lines.prefix(5).joined(separator: "\n--resume: ")
        + "\n--resume: put the files back, or \(directory.beginningAnew)")
  }
}
