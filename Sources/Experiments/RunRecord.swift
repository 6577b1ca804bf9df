// What rank 0 keeps of a run: its directory, taken by a lock, with tables, curves, checkpoints and the manifest.

internal import Federation
import Foundation

/// Everything that rank 0 keeps of a run.
final class RunRecord {
  let directory: RunDirectory
  private let tables: RunTables
  private let curves: TensorBoardFile?
  private let lock: OutputFile
  private let rules: Experiment.CheckpointSection
  /// The split of which tables for people and the manifest tell.
  private let shownSplit: Split
  private let sendsWholeVector: Bool
  private let trainedName: String
  private var manifest: Manifest
  private var summary: RunSummary
  private let began = ContinuousClock.now
  private var lastSaved = ContinuousClock.now

  init(
    name: String, experiment: Experiment, yaml: String, output: String?, existing: ExistingRun?,
    manifest: Manifest, assembly: Assembly
  ) throws {
    self.manifest = manifest
    rules = experiment.checkpoint
    let splits = experiment.evaluation.splits
    shownSplit = splits.contains(.test) ? .test : splits.first ?? .test
    sendsWholeVector = experiment.sendsWholeVector
    trainedName = assembly.trainedName
    let progress = existing?.checkpoint?.progress ?? RunProgress()
    let round = existing?.checkpoint?.state.round ?? 0
    directory =
      try existing?.directory
      ?? RunDirectory.create(output: output, name: name, configuration: yaml)
    lock = try OutputFile(creating: directory.file(".lock"))
    guard lock.lock() else {
      throw CommandFailure(ExitCode.usage, "\(directory.path): another process runs in it")
    }
    // What ranks of an earlier start said of themselves.
    try? FileManager.default.removeItem(atPath: directory.file(".watch"))
    tables = try RunTables(
      directory, evaluatesClients: experiment.evaluation.clients > 0,
      evaluatesTiers: experiment.evaluation.tiers, hasClock: experiment.system.kind != .none,
      prunesRanks: experiment.method.rankPruning.factor < 1,
      clientName: experiment.partition.kind == .natural
        ? { [partition = assembly.partition] in partition.name(of: $0) } : nil,
      from: round)
    let partition = directory.file("partition.csv")
    // Again after a resume: it is a function of the experiment, and may have been cut.
    unlink(partition)
    try assembly.writePartition?(partition)
    curves = experiment.output.tensorBoard ? try TensorBoardFile(directory, from: round) : nil
    summary = progress.summary
    self.manifest.totals = progress.totals
    self.manifest.starts = existing?.starts ?? []
    self.manifest.firstRound = round
    try self.manifest.write(to: directory)
    // Last: before the manifest says that it runs, it is the shorter run, which is finished.
    if existing?.isExtended == true {
      try OutputFile.replace(directory.file("config.yaml"), with: yaml)
    }
  }

  /// Saves the state where rounds or minutes ask for it, or `now`.
  func saveIfDue(_ state: ServerState, _ knowledge: ClientKnowledge, now: Bool) throws {
    let byRounds = rules.everyRounds > 0 && state.round % rules.everyRounds == 0
    let minutes = (ContinuousClock.now - lastSaved) / .seconds(60)
    guard now || byRounds || (rules.everyMinutes > 0 && minutes >= rules.everyMinutes) else {
      return
    }
    // Once a checkpoint, not once a round: that takes longer than a short round.
    try tables.synchronize()
    try curves?.synchronize()
    let progress = RunProgress(totals: manifest.totals, summary: summary)
    _ = try CheckpointFolder(path: directory.file("checkpoints"))
      .add(Checkpoint(state, progress, knowledge), keeping: rules.keep)
    lastSaved = ContinuousClock.now
  }

  /// The rounds of the checkpoints that are there; nil where the folder cannot be listed.
  var checkpointRounds: [Int]? {
    let folder = directory.file("checkpoints")
    if (try? FileManager.default.contentsOfDirectory(atPath: folder)) == nil {
      return access(folder, F_OK) != 0 && errno == ENOENT ? [] : nil
    }
    return roundsWithFiles(in: folder)
  }

  /// Ends a run that was asked to stop and is saved.
  func stop() throws {
    manifest.status = "stopped"
    close()
    try manifest.write(to: directory)
  }

  func add(_ round: RoundRecord, wire: WireSummary, memory: MemoryUse, of rounds: Int) throws {
    summary.add(round, of: rounds)
    manifest.totals = summary.totals(after: manifest.totals, wire: wire)
    manifest.digest = round.digest
    if let entry = round.evaluation.first(where: { $0.tier == nil && $0.split == shownSplit }) {
      manifest.evaluation = Manifest.Evaluation(entry)
    }
    try tables.append(round, totals: manifest.totals, wire: wire, memory: memory)
    try curves?.append(round, memory: memory, totals: manifest.totals)
    if !round.evaluation.isEmpty { try manifest.write(to: directory) }
  }

  /// A line for each of the first clients that were left out of a round, and how many more there are.
  func refusals(_ round: RoundRecord) -> [String] {
    let shown = 5
    let refused = round.refused
    var lines = refused.prefix(shown).map { client in
      let host = manifest.ranks.first { $0.rank == client.rank }?.host ?? "?"
      return
        "round \(round.round), client \(client.client) left out (rank \(client.rank) on \(host)): "
        + (client.refusal.map { "\($0)" } ?? "its update is not finite")
    }
    if refused.count > shown {
      lines.append(
        "round \(round.round), \(refused.count - shown) more clients left out; clients.csv has them"
      )
    }
    return lines
  }

  func finish(
    digest: String, ranks: [Manifest.RankPlace], privacy: String
  ) throws -> RunOutcome {
    manifest.status = "finished"
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
    try? manifest.write(to: directory)
  }

  private func close() {
    manifest.end = timeText(Date())
    manifest.wallSeconds = (ContinuousClock.now - began) / .seconds(1)
  }
}
