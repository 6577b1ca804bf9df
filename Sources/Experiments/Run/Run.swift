// `cellm-mpi run`: experiment -> run directory, on any number of ranks. Rank 0 reads and checks the
// experiment, the others get the complete text; what can fail before the first round fails on all
// ranks alike. The run directory appears when nothing is left to fail but the run itself. A run that
// was interrupted goes on in its directory, from the newest whole checkpoint, on any number of ranks.

package import Communication
package import Configuration
internal import Digests
internal import Federation
internal import Files
internal import Foundation
internal import Kernels
package import RunFiles
internal import Safetensors

/// How a finished run ended; on rank 0.
package struct RunOutcome: Sendable {
  /// The run directory.
  package let directory: RunDirectory
  /// The digest of the last server state.
  package let digest: String
  /// The table, the digest and the path, for standard output.
  package let text: String
}

/// Runs an experiment; called by all ranks.
///
/// - Parameters:
///   - request: The experiment; read on rank 0.
///   - output: The run directory to make; nil for a new one under `runs`.
///   - label: Stands before every message, where several runs speak at once.
///   - resume: Goes on in `output` where a run was begun there; begins one where none was.
///   - assemble: Makes model, data and partition.
/// - Returns: On rank 0 how it ended, nil elsewhere.
/// - Throws: `RunFailure` with what to print and whether to abort.
package func runExperiment(
  _ request: ExperimentRequest, output: String? = nil, resume: Bool = false,
  label: String? = nil, environment: RunEnvironment,
  assets: AssetDirectory = AssetDirectory(), communicator: any Communicator,
  assemble: Assembler
) throws -> RunOutcome? {
  let heartbeat = Heartbeat()
  let communicator = WatchedCommunicator(communicator, heartbeat)
  do {
    return try Launch(
      output: output, resume: resume, label: label, environment: environment, assets: assets,
      communicator: communicator, heartbeat: heartbeat
    ).run(request, assemble)
  } catch let failure as RunFailure {
    throw failure
  } catch {
    throw RunFailure(alone: error, communicator: communicator)
  }
}

private struct Launch {
  let output: String?
  let resume: Bool
  let label: String?
  let environment: RunEnvironment
  let assets: AssetDirectory
  let communicator: any Communicator
  let heartbeat: Heartbeat

  var isFirst: Bool { communicator.rank == 0 }

  func run(_ request: ExperimentRequest, _ assemble: Assembler) throws -> RunOutcome? {
    let progress = ProgressReporter(
      isTerminal: isatty(STDERR_FILENO) == 1, isQuiet: !isFirst, label: label)
    var watchdog: Watchdog?
    defer { watchdog?.stop() }
    let opening = try communicator.agreed { () -> RunOpening? in
      guard isFirst else { return nil }
      let loaded = try request.load()
      watchdog = watch(loaded.experiment)
      return try open(loaded, say: progress.say)
    }
    let existing = opening?.existing
    for notice in (opening?.loaded.notices ?? []) + (existing?.notices ?? []) {
      progress.warn(notice)
    }
    let finished = try communicator.broadcast(existing?.finishedDigest ?? "", root: 0)
    if !finished.isEmpty {
      guard let existing else { return nil }
      progress.say("\(existing.directory.path) is finished")
      return RunOutcome(
        directory: existing.directory, digest: finished,
        text: "digest \(finished)\n\(existing.directory.path)\n")
    }
    let text = try communicator.broadcast(opening?.loaded.experiment.yaml ?? "", root: 0)
    let (experiment, plan) = try communicator.agreed {
      let experiment = try Experiment.read(text: text, name: "config.yaml", directory: "/")
        .experiment
      return (experiment, try experiment.federationPlan(assets: assets))
    }
    if !isFirst { watchdog = watch(experiment) }
    let parts = try prepare(experiment, plan, opening, assemble, progress)
    let record = try makeRecord(opening, experiment, text, parts, progress)
    let directory = try communicator.broadcast(record?.directory.path ?? "", root: 0)
    let start = try communicator.broadcast(record?.start ?? "", root: 0)
    watchdog?.use(directory: directory, start: start)
    do {
      try parts.residuals?.place(in: directory + "/residuals")
      return try Interruption.listeningToEndings { try play(parts, record, progress) }
    } catch let failure as RunFailure where failure.exitCode == ExitCode.stopped {
      throw failure
    } catch {
      progress.clear()
      if let record {
        record.fail("\(error)")
      } else if !(error is RankFailure || error is RunFailure) {
        // Rank 0 waits in a collective and is about to be ended: it cannot say it.
        Manifest.markFailed(
          in: directory, start: start,
          "rank \(communicator.rank) on \(communicator.hostName): \(error)")
      }
      throw error
    }
  }

  /// The parts of a run that is ready to play.
  private struct Parts {
    let assembly: Assembly
    /// Counts what the rounds send.
    let counting: CountingCommunicator
    /// What clients keep back; nil if they keep nothing.
    let residuals: ResidualFiles?
    let federated: FederatedRun
    let privacy: PrivacyReport?
  }

  /// Loads the model and the corpus, and makes the federated run from the state of the run that
  /// goes on or from the beginning.
  private func prepare(
    _ experiment: Experiment, _ plan: FederationPlan, _ opening: RunOpening?,
    _ assemble: Assembler, _ progress: ProgressReporter
  ) throws -> Parts {
    heartbeat.begin("loading the model and the corpus")
    // A rank's threads take a micro-batch each; a product stays on one thread.
    BLAS.setThreads(1)
    ProductLibrary.current = experiment.compute.products
    let began = ContinuousClock.now
    try communicator.requireSameFiles { [heartbeat] in
      heartbeat.beat()
    } of: {
      try experiment.inputPaths(assets).map(\.path)
    }
    let assembly = try assemble(experiment, assets, communicator)
    for notice in assembly.notices { progress.warn(notice) }
    assembly.objective.watch { [heartbeat] in heartbeat.beat() }
    let counting = CountingCommunicator(communicator)
    let residuals = plan.method.residual == .kept ? ResidualFiles() : nil
    let federated: FederatedRun
    let checkpoint = opening?.existing?.checkpoint
    do {
      federated = try FederatedRun(
        plan: plan, partition: assembly.partition, objective: assembly.objective,
        state: isFirst
          ? checkpoint?.state
            ?? plan.initialState(assembly.initialVector) : nil,
        knowledge: checkpoint?.knowledge ?? ClientKnowledge(), residuals: residuals,
        communicator: counting)
    } catch {
      throw RunFailure(
        agreed: opening?.loaded.source.located(error) ?? error, communicator: communicator)
    }
    federated.onActivity = { [heartbeat] in heartbeat.begin("\($0)") }
    let privacy = PrivacyReport(federated.plan, population: assembly.partition.clientCount)
    for notice in privacy?.notices ?? [] { progress.warn(notice) }
    if let notice = plan.idleRanksNotice(ranks: communicator.size) { progress.warn(notice) }
    progress.say(
      "\(communicator.size) rank\(communicator.size == 1 ? "" : "s"), "
        + "\(assembly.partition.clientCount) clients, "
        + "\(grouped(assembly.objective.parameterCount)) trainable parameters; ready in "
        + durationText((ContinuousClock.now - began) / .seconds(1)))
    return Parts(
      assembly: assembly, counting: counting, residuals: residuals, federated: federated,
      privacy: privacy)
  }

  /// Makes the record of the run on rank 0; nil on other ranks.
  private func makeRecord(
    _ opening: RunOpening?, _ experiment: Experiment, _ text: String, _ parts: Parts,
    _ progress: ProgressReporter
  ) throws -> RunRecord? {
    let places = try communicator.gather(
      Manifest.RankPlace(
        rank: communicator.rank, host: communicator.hostName, processor: ProgramVersion.processor))
    heartbeat.begin("making the run directory")
    let record = try communicator.agreed { () -> RunRecord? in
      guard let places, let opening else { return nil }
      return try RunRecord(
        opening, experiment: experiment, yaml: text, output: output,
        host: communicator.hostName,
        manifest: try manifest(
          opening.loaded, experiment, text, parts.assembly, places, parts.privacy),
        assembly: parts.assembly, say: progress.say, onWait: { heartbeat.beat() })
    }
    if let record {
      let from = opening?.existing == nil ? "" : ", from round \(parts.federated.round + 1)"
      progress.say("writing to \(record.directory.path)\(from)")
    }
    return record
  }

  /// Plays all rounds; only rank 0 has a record.
  private func play(
    _ parts: Parts, _ record: RunRecord?, _ progress: ProgressReporter
  ) throws -> RunOutcome? {
    let (federated, plan) = (parts.federated, parts.federated.plan)
    var before = parts.counting.ledger
    while !federated.isFinished {
      let end = try federated.advance(
        shouldStop: { isStopWanted(progress) }, onProgress: progress.update)
      let ledger = parts.counting.ledger
      // Book-keeping goes over the communicator that counts nothing.
      let wire = try WireSummary(ledger - before, over: communicator)
      let memory = try MemoryUse(over: communicator)
      heartbeat.begin("writing the tables of round \(federated.round)")
      before = ledger
      let isStopping = end.isStopRequested && !federated.isFinished
      if let record, let state = federated.state {
        if let round = end.record {
          try record.add(round, wire: wire, memory: memory, of: plan.rounds)
          for line in record.refusals(round) { progress.warn(line) }
          if !round.evaluation.isEmpty {
            try save(state, parts.assembly, record, federated.evaluatedSupport)
          }
          progress.finished(round, of: plan.rounds)
        }
      }
      if let divergence = federated.divergence {
        throw RunFailure(
          agreed: isFirst
            ? divergence
            : RankFailure(rank: 0, reason: divergence.reason, exitCode: divergence.exitCode),
          communicator: communicator)
      }
      if let record, let state = federated.state {
        try record.saveIfDue(
          state, federated.knowledge, isLast: federated.isFinished, now: isStopping)
      }
      if let residuals = parts.residuals {
        var saved = record?.checkpointRounds ?? []
        try communicator.broadcast(&saved)
        residuals.keepOnly(for: saved)
      }
      if isStopping {
        try record?.stop()
        progress.clear()
        throw RunFailure(
          stoppedAfter: federated.round, of: plan.rounds, in: record?.directory.path,
          command: record.flatMap {
            environment.resumeCommand($0.directory.path, ranks: communicator.size)
          })
      }
    }
    return try finish(parts, record, progress)
  }

  /// Ends a run whose rounds are all played.
  private func finish(
    _ parts: Parts, _ record: RunRecord?, _ progress: ProgressReporter
  ) throws -> RunOutcome? {
    let final = try parts.federated.finalState()
    let total = parts.counting.ledger.total
    let places = try communicator.gather(
      Manifest.RankPlace(
        rank: communicator.rank, host: communicator.hostName,
        processor: ProgramVersion.processor, wireBytesSent: total.wireBytesSent,
        wireBytesReceived: total.wireBytesReceived))
    progress.clear()
    guard let record, let state = final.state else { return nil }
    try save(state, parts.assembly, record, parts.federated.evaluatedSupport)
    return try record.finish(
      digest: final.digest, ranks: places ?? [],
      privacy: parts.privacy?.text(rounds: parts.federated.plan.rounds) ?? "")
  }

  /// Writes what was trained and what of it was evaluated; whatever fails in that is a failure to
  /// write.
  private func save(
    _ state: ServerState, _ assembly: Assembly, _ record: RunRecord, _ evaluated: EvaluatedSupport?
  ) throws {
    do {
      let trained = record.directory.file(assembly.trainedName)
      try assembly.writeTrained(state.vector, state.mergedBase, trained)
      if let evaluated, evaluated.rounds == state.round {
        try EvaluatedVectorFile.write(evaluated, beside: trained)
      }
    } catch {
      throw CommandFailure(ExitCode.inputOutput, "\(error)")
    }
  }

  /// Whether the run is asked to save itself and end; says so when it is first seen.
  private func isStopWanted(_ progress: ProgressReporter) -> Bool {
    guard Interruption.isPending else { return false }
    progress.sayOnce(
      "asked to end: this round is finished or dropped, then the run is saved; Ctrl-C ends it at once"
    )
    return true
  }

  /// Watches this rank from now on; nil where the experiment switches that off.
  private func watch(_ experiment: Experiment) -> Watchdog? {
    Watchdog(
      limit: 60 * experiment.watchdog.minutes, heartbeat: heartbeat, communicator: communicator,
      label: label)
  }

  /// Reads with --resume the run to go on with, under the lock of its directory.
  private func open(
    _ loaded: ExperimentRequest.Loaded, say: (String) -> Void
  ) throws -> RunOpening {
    heartbeat.begin("reading the run directory")
    if let output, !resume { try RunDirectory.check(output: output, for: loaded.experiment) }
    try loaded.experiment.checkInputs(assets)
    guard resume else { return RunOpening(loaded: loaded, existing: nil, lock: nil) }
    guard let output else {
      throw CommandFailure(
        ExitCode.usage, "--resume needs --output, the directory in which the run goes on")
    }
    guard try isThere(output) else { return RunOpening(loaded: loaded, existing: nil, lock: nil) }
    try RunDirectory.checkKind(output)
    let directory = RunDirectory(path: output)
    if try !isThere(directory.file("config.yaml")), try !isThere(directory.file("manifest.json")) {
      // Not even a lock belongs into a directory that is no run's.
      try RunDirectory.check(output: output, for: loaded.experiment)
    }
    func existing() throws -> ExistingRun? {
      try ExistingRun(path: output, experiment: loaded.experiment)
    }
    // A run that has ended needs no lock, so its directory may be one that can only be read.
    if !directory.isWritable, let found = try existing(), found.finishedDigest != nil {
      return RunOpening(loaded: loaded, existing: found, lock: nil)
    }
    let lock = try RunLock.take(
      output, host: communicator.hostName, say: say, onWait: { heartbeat.beat() })
    return RunOpening(loaded: loaded, existing: try existing(), lock: lock)
  }

  private func manifest(
    _ loaded: ExperimentRequest.Loaded, _ experiment: Experiment, _ text: String,
    _ assembly: Assembly, _ places: [Manifest.RankPlace], _ privacy: PrivacyReport?
  ) throws -> Manifest {
    var hosts: [String] = []
    for place in places where !hosts.contains(place.host) { hosts.append(place.host) }
    return Manifest(
      experiment: loaded.name, model: assets.resolve(experiment.model.path),
      data: assets.resolve(experiment.data.path),
      configSha256: SHA256.hexDigits(of: Array(text.utf8)),
      inputs: try experiment.inputFiles(assets) { heartbeat.beat() },
      software: Manifest.Software(
        mpi: environment.mpiLibrary, blas: BLAS.description,
        instructionSet: InstructionSet.current.rawValue, device: assembly.device),
      commandLine: environment.commandLine, environment: environment.essentials, hosts: hosts,
      rankCount: communicator.size, ranks: places,
      parameters: assembly.objective.parameterCount,
      population: assembly.partition.clientCount, privacy: privacy?.manifest,
      start: timeText(Date()))
  }
}
