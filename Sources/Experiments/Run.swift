// `cellm-mpi run`: experiment -> run directory, on any number of ranks. Rank 0 reads and checks the
// experiment, the others get the complete text; what can fail before the first round fails on all
// ranks alike. The run directory appears when nothing is left to fail but the run itself.

public import Communication
internal import Federation
import Foundation
internal import Kernels

/// How a finished run ended; on rank 0.
public struct RunOutcome: Sendable {
  /// The run directory.
  public let directory: RunDirectory
  /// The digest of the final server state.
  public let digest: String
  /// The table, the digest and the path, for standard output.
  public let text: String
}

/// Runs an experiment; called by all ranks.
///
/// - Parameters:
///   - request: The experiment; read on rank 0.
///   - output: The run directory to make; nil for a new one under `runs`.
///   - assemble: Makes model, data and partition.
/// - Returns: On rank 0 how it ended, nil elsewhere.
/// - Throws: `RunFailure` with what to print and whether to abort.
public func runExperiment(
  _ request: ExperimentRequest, output: String? = nil, environment: RunEnvironment,
  assets: AssetDirectory = AssetDirectory(), communicator: any Communicator,
  assemble: Assembler
) throws -> RunOutcome? {
  do {
    return try Launch(
      output: output, environment: environment, assets: assets, communicator: communicator
    ).run(request, assemble)
  } catch let failure as RunFailure {
    throw failure
  } catch {
    throw RunFailure(alone: error, communicator: communicator)
  }
}

private struct Launch {
  let output: String?
  let environment: RunEnvironment
  let assets: AssetDirectory
  let communicator: any Communicator

  var isFirst: Bool { communicator.rank == 0 }

  func run(_ request: ExperimentRequest, _ assemble: Assembler) throws -> RunOutcome? {
    let progress = ProgressReporter(
      isTerminal: isatty(STDERR_FILENO) == 1, isQuiet: !isFirst)
    let loaded = try communicator.agreed { () -> ExperimentRequest.Loaded? in
      guard isFirst else { return nil }
      if let output { try RunDirectory.check(output: output) }
      let loaded = try request.load()
      try loaded.experiment.checkInputs(assets)
      return loaded
    }
    for notice in loaded?.notices ?? [] { progress.warn(notice) }
    let text = try communicator.broadcast(loaded?.experiment.yaml ?? "", root: 0)
    let (experiment, plan) = try communicator.agreed {
      let experiment = try Experiment.read(text: text, name: "config.yaml", directory: "/")
        .experiment
      return (experiment, try experiment.federationPlan(assets: assets))
    }
    // A rank's threads take a micro-batch each; a product stays on one thread.
    BLAS.setThreads(1)

    let began = ContinuousClock.now
    let assembly = try assemble(experiment, assets, communicator)
    for notice in assembly.notices { progress.warn(notice) }
    let counting = CountingCommunicator(communicator)
    let residuals = plan.method.residual == .kept ? ResidualFiles() : nil
    let federated: FederatedRun
    do {
      federated = try FederatedRun(
        plan: plan, partition: assembly.partition, objective: assembly.objective,
        initialVector: assembly.initialVector, residuals: residuals, communicator: counting)
    } catch {
      throw RunFailure(agreed: error, communicator: communicator)
    }
    let privacy = PrivacyReport(federated.plan, population: assembly.partition.clients.count)
    for notice in privacy?.notices ?? [] { progress.warn(notice) }
    progress.say(
      "\(communicator.size) rank\(communicator.size == 1 ? "" : "s"), "
        + "\(assembly.partition.clients.count) clients, "
        + "\(grouped(assembly.objective.parameterCount)) trainable parameters; ready in "
        + durationText((ContinuousClock.now - began) / .seconds(1)))

    let places = try communicator.gather(
      Manifest.RankPlace(rank: communicator.rank, host: communicator.hostName))
    let record = try communicator.agreed { () -> RunRecord? in
      guard let places, let loaded else { return nil }
      return try RunRecord(
        name: loaded.name, experiment: experiment, yaml: text, output: output,
        manifest: manifest(loaded, experiment, assembly, places, privacy))
    }
    if let record { progress.say("writing to \(record.directory.path)") }
    let directory = try communicator.broadcast(record?.directory.path ?? "", root: 0)
    do {
      try residuals?.place(in: directory + "/residuals")
      return try play(federated, assembly, counting, record, progress, privacy)
    } catch {
      progress.clear()
      if let record {
        record.fail("\(error)")
      } else if !(error is RankFailure) {
        // Rank 0 waits in a collective and is about to be ended: it cannot say it.
        Manifest.markFailed(
          in: directory, "rank \(communicator.rank) on \(communicator.hostName): \(error)")
      }
      throw error
    }
  }

  /// Plays all rounds; only rank 0 has a record.
  private func play(
    _ federated: FederatedRun, _ assembly: Assembly, _ counting: CountingCommunicator,
    _ record: RunRecord?, _ progress: ProgressReporter, _ privacy: PrivacyReport?
  ) throws -> RunOutcome? {
    let plan = federated.plan
    var before = counting.ledger
    while !federated.isFinished {
      let round = try federated.advance(onProgress: progress.update)
      let ledger = counting.ledger
      // Book-keeping goes over the communicator that counts nothing.
      let wire = try WireSummary(ledger - before, over: communicator)
      before = ledger
      guard let round, let record else { continue }
      try record.add(round, wire: wire, of: plan.rounds)
      if !round.evaluation.isEmpty, let state = federated.state {
        try save(state.vector, assembly, record)
      }
      progress.finished(round, of: plan.rounds)
    }
    let final = try federated.finalState()
    let total = counting.ledger.total
    let places = try communicator.gather(
      Manifest.RankPlace(
        rank: communicator.rank, host: communicator.hostName,
        wireBytesSent: total.wireBytesSent, wireBytesReceived: total.wireBytesReceived))
    progress.clear()
    guard let record, let state = final.state else { return nil }
    try save(state.vector, assembly, record)
    return try record.finish(
      digest: final.digest, ranks: places ?? [], splits: plan.evaluation.splits,
      privacy: privacy?.text(rounds: plan.rounds) ?? "")
  }

  /// Writes the adapter; whatever fails in that is a failure to write.
  private func save(_ vector: [Float], _ assembly: Assembly, _ record: RunRecord) throws {
    do {
      try assembly.writeAdapter(vector, record.directory.file("adapter"))
    } catch {
      throw CommandFailure(ExitCode.inputOutput, "\(error)")
    }
  }

  private func manifest(
    _ loaded: ExperimentRequest.Loaded, _ experiment: Experiment, _ assembly: Assembly,
    _ places: [Manifest.RankPlace], _ privacy: PrivacyReport?
  ) -> Manifest {
    var hosts: [String] = []
    for place in places where !hosts.contains(place.host) { hosts.append(place.host) }
    return Manifest(
      experiment: loaded.name, model: assets.resolve(experiment.model.path),
      data: assets.resolve(experiment.data.path),
      software: Manifest.Software(mpi: environment.mpiLibrary, blas: BLAS.description),
      commandLine: environment.commandLine, environment: environment.essentials, hosts: hosts,
      rankCount: communicator.size, ranks: places,
      parameters: assembly.objective.parameterCount,
      population: assembly.partition.clients.count, privacy: privacy?.manifest,
      start: timeText(Date()))
  }
}

/// Everything that rank 0 keeps of a run.
private final class RunRecord {
  let directory: RunDirectory
  private let tables: RunTables
  private var manifest: Manifest
  private var summary = RunSummary()
  private let began = ContinuousClock.now

  init(
    name: String, experiment: Experiment, yaml: String, output: String?, manifest: Manifest
  ) throws {
    self.manifest = manifest
    directory = try RunDirectory.create(output: output, name: name, configuration: yaml)
    tables = try RunTables(directory)
    try manifest.write(to: directory)
  }

  func add(_ round: RoundRecord, wire: WireSummary, of rounds: Int) throws {
    summary.add(round, of: rounds)
    manifest.totals = summary.totals(after: manifest.totals, wire: wire)
    manifest.digest = round.digest
    try tables.append(round, wire: wire)
    if !round.evaluation.isEmpty { try manifest.write(to: directory) }
  }

  func finish(
    digest: String, ranks: [Manifest.RankPlace], splits: [Split], privacy: String
  ) throws -> RunOutcome {
    manifest.status = "finished"
    manifest.digest = digest
    manifest.ranks = ranks
    close()
    try manifest.write(to: directory)
    let shown = splits.contains(.test) ? .test : splits.first ?? .test
    return RunOutcome(
      directory: directory, digest: digest,
      text: summary.text(split: shown) + privacy + "digest \(digest)\n\(directory.path)\n")
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
