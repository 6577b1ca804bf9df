// rounds.csv, evaluation.csv, confusion.csv (a classifier's predictions by label), clients.csv and wire.csv, and where clients are evaluated one by one
// client_evaluation.csv (a row a client) and evaluation_clients.csv (a row a group); most of it also in metrics.jsonl.
// Columns that end in `_seconds` come from a clock, those that end in `_mb` are memory;
// all others but wire.csv's are the same for any number of ranks. What depends on the
// ranks is in wire.csv. Times by the virtual clock (docs/system-model.md) are such others: their columns
// are there only where that clock runs, and end in `_time_s`.

internal import Communication
package import Federation
internal import Files
internal import Sparsity

/// The tables of a run, grown by the round.
package final class RunTables {
  private let rounds: Table
  private let evaluation: Table
  private let confusion: Table
  private let clients: Table
  private let wire: Table
  private let clientEvaluation: ClientEvaluationTables?
  private let metrics: MetricsFile
  private let evaluatesTiers: Bool
  private let hasClock: Bool
  private let prunesRanks: Bool
  private let numbers: RoundNumbers
  /// What the corpus calls a client, where clients are the corpus's own.
  private let clientName: ((Int) -> String?)?

  private static func payloadColumns(_ direction: String) -> [String] {
    ["values", "indices", "header", "payload"].map { "\(direction)_\($0)_bytes" }
  }

  private static func payload(_ size: PayloadSize) -> [String] {
    [size.values, size.indices, size.header, size.total].map(String.init)
  }

  /// Empty where privacy is off, so that tables of all runs have the same columns.
  private static let privacyColumns = ["clip", "clipped_share", "noise_deviation", "epsilon"]

  private static func privacy(_ record: PrivacyRecord?) -> [String] {
    guard let record else { return privacyColumns.map { _ in "" } }
    return [record.clip, record.clippedShare, record.meanNoiseDeviation, record.epsilon]
      .map { "\($0)" }
  }

  /// Tables of a new run, or of one that goes on after the rounds that are kept: those stay as they are
  /// until the next round was played.
  ///
  /// - Parameters:
  ///   - evaluatesClients: Whether there are tables of evaluations on clients.
  ///   - evaluatesTiers: Whether the table of evaluations says the tier.
  ///   - hasClock: Whether there are columns of a virtual clock.
  ///   - prunesRanks: Whether there is a column of the ranks that a client sent.
  ///   - clientName: What the corpus calls a client; nil where clients are none of the corpus's own. A run
  ///     of an earlier version that goes on keeps its tables without names.
  package init(
    _ directory: RunDirectory, evaluatesClients: Bool, evaluatesTiers: Bool, hasClock: Bool,
    prunesRanks: Bool, numbers: RoundNumbers, clientName: ((Int) -> String?)? = nil,
    keeping kept: RoundsKept? = nil
  ) throws {
    self.numbers = numbers
    self.evaluatesTiers = evaluatesTiers
    self.hasClock = hasClock
    self.prunesRanks = prunesRanks
    let hasNames =
      try (kept?.count ?? 0) == 0
      || Table.columns(of: directory.file("clients.csv")).contains("client_name")
    self.clientName = hasNames ? clientName : nil
    let namesColumn = self.clientName == nil ? [] : ["client_name"]
    func clocked(_ columns: String...) -> [String] { hasClock ? columns : [] }
    rounds = try Table(
      creating: directory.file("rounds.csv"),
      columns: [
        "round", "clients", "examples", "steps", "tokens", "train_loss", "train_accuracy",
        "download_density", "upload_density",
      ] + Self.payloadColumns("download") + Self.payloadColumns("upload") + [
        "dense_payload_bytes", "entropy_bound_bytes", "download_parameters", "upload_parameters",
        "total_payload_bytes", "total_dense_payload_bytes",
      ] + Self.privacyColumns + ["digest", "refused_clients"]
        + clocked(
          "used_clients", "unavailable_clients", "dropped_clients", "late_clients",
          "modelled_time_s", "total_modelled_time_s") + [
          "download_seconds", "train_seconds", "encode_seconds", "wait_seconds", "transfer_seconds",
          "server_seconds", "evaluate_seconds", "idle_seconds", "round_seconds",
          "memory_mb", "peak_memory_mb",
        ], keepingRoundsBelow: kept)
    evaluation = try Table(
      creating: directory.file("evaluation.csv"),
      columns: [
        "round", "split", "masked",
      ] + (evaluatesTiers ? ["tier"] : []) + [
        "examples", "items", "correct", "accuracy", "loss",
        "f1_macro", "f1_micro", "f1_weighted", "perplexity", "total_payload_bytes",
      ] + clocked("total_modelled_time_s") + ["evaluate_seconds"], keepingRoundsBelow: kept)
    confusion = try Table(
      creating: directory.file("confusion.csv"),
      columns: ["round", "split", "masked"] + (evaluatesTiers ? ["tier"] : [])
        + ["label", "predicted", "count"], keepingRoundsBelow: kept)
    clientEvaluation =
      evaluatesClients
      ? try ClientEvaluationTables(
        directory, clientName: self.clientName, numbers: numbers, keeping: kept) : nil
    clients = try Table(
      creating: directory.file("clients.csv"),
      columns: ["round", "client", "tier"] + (prunesRanks ? ["lora_rank"] : []) + [
        "examples", "steps", "tokens", "loss", "accuracy",
        "download_nonzeros",
      ] + Self.payloadColumns("download") + ["upload_nonzeros"] + Self.payloadColumns("upload")
        + ["entropy_bound_bytes", "upload_norm", "status"] + clocked("modelled_time_s")
        + ["client_seconds"] + namesColumn, keepingRoundsBelow: kept)
    metrics = try MetricsFile(
      creating: directory.file("metrics.jsonl"), keepingRoundsBelow: kept)
    wire = try Table(
      creating: directory.file("wire.csv"),
      columns: [
        "round", "collective", "calls", "messages", "wire_bytes", "largest_rank_wire_bytes",
        "longest_rank_seconds",
      ], keepingRoundsBelow: kept)
    try checkRounds(directory, kept)
  }

  /// Whether the table of rounds has all that were played before the one at which a run goes on.
  private func checkRounds(_ directory: RunDirectory, _ kept: RoundsKept?) throws {
    guard let kept, kept.count > 0 else { return }
    let last = try rounds.lastKeptRound()
    guard last != kept.next - 1 else { return }
    throw CommandFailure(
      ExitCode.data,
      "\(directory.file("rounds.csv")): "
        + (last.map { "its rows end with round \($0)" } ?? "has no row of an earlier round")
        + ", and the checkpoint is that of \(kept.count) rounds; put the whole table back, or "
        + directory.beginningAnew)
  }

  /// Cuts off the rows of the rounds that are played again, once: rounds.csv first, as its rows say
  /// that all others of their rounds are there.
  private func cutBack() throws {
    try rounds.cutBack()
    for table in [evaluation, confusion, clients, wire] { try table.cutBack() }
    try clientEvaluation?.cutBack()
    try metrics.cutBack()
  }

  /// Has all of it on the disk, also what a run does not go on from.
  package func synchronize() throws { try metrics.synchronize() }

  /// The cell of a client's name, where the column is there.
  private func named(_ client: Int) -> [String] { clientName.map { [nameCell($0(client))] } ?? [] }

  /// Cells of columns that are there only with a virtual clock.
  private func clocked(_ cells: [String]) -> [String] { hasClock ? cells : [] }

  /// Adds one round and has it on the disk.
  /// - Parameter totals: What all rounds up to this one come to.
  package func append(
    _ record: RoundRecord, totals: Manifest.Totals, wire: WireSummary, memory: MemoryUse
  ) throws {
    try cutBack()
    let number = "\(numbers[after: record.round])"
    let modelledSeconds = totals.modelledSeconds ?? 0
    let (download, upload) = (record.downloadPayload, record.uploadPayload)
    let clients = record.clients
    let trained = clients.filter(\.isTrained)
    let seconds = record.seconds
    let row =
      [
        number, "\(clients.count)", "\(trained.reduce(0) { $0 + $1.examples })",
        "\(trained.reduce(0) { $0 + $1.steps })", "\(trained.reduce(0) { $0 + $1.tokens })",
        optional(record.trainLoss), optional(record.trainAccuracy),
        "\(record.downloadDensity)", "\(record.uploadDensity)",
      ] + Self.payload(download) + Self.payload(upload) + [
        "\(record.densePayloadBytes)", fixed(clients.reduce(0) { $0 + $1.entropyBound }, 1),
        "\(clients.reduce(0) { $0 + $1.downloadNonzeros })",
        "\(clients.reduce(0) { $0 + $1.uploadNonzeros })", "\(totals.payloadBytes)",
        "\(totals.densePayloadBytes)",
      ] + Self.privacy(record.privacy) + [record.digest, "\(record.refused.count)"]
      + clocked(
        ["\(record.count(.used))", "\(record.count(.unavailable))"]
          + ["\(record.count(.dropped))", "\(record.count(.late))"]
          + ["\(record.modelledSeconds ?? 0)", "\(modelledSeconds)"]) + [
        fixed(seconds.download, 6), fixed(seconds.train, 6), fixed(seconds.encode, 6),
        fixed(seconds.wait, 6), fixed(seconds.transfer, 6), fixed(seconds.server, 6),
        fixed(seconds.evaluate, 6), fixed(seconds.idle, 6), fixed(seconds.total, 6),
        fixed(memory.megabytes, 1), fixed(memory.peakMegabytes, 1),
      ]
    rounds.append(row)
    metrics.append("round", rounds.columns, row)
    for entry in record.evaluation {
      let row =
        [
          "\(numbers[after: entry.round])", entry.split.rawValue, entry.vector.column,
        ] + (evaluatesTiers ? [entry.tier.map(String.init) ?? ""] : []) + [
          "\(entry.examples)",
          "\(entry.count)", "\(entry.correct)", optional(entry.accuracy), optional(entry.loss),
          optional(entry.f1?.macro), optional(entry.f1?.micro), optional(entry.f1?.weighted),
          optional(entry.perplexity),
          "\(totals.payloadBytes)",
        ] + clocked(["\(modelledSeconds)"]) + [fixed(entry.seconds, 6)]
      evaluation.append(row)
      metrics.append("evaluation", evaluation.columns, row)
    }
    for entry in record.evaluation {
      for pair in entry.confusion {
        confusion.append(
          ["\(numbers[after: entry.round])", entry.split.rawValue, entry.vector.column]
            + (evaluatesTiers ? [entry.tier.map(String.init) ?? ""] : [])
            + ["\(pair.label)", "\(pair.predicted)", "\(pair.count)"])
      }
    }
    for entry in record.clientEvaluation { clientEvaluation?.append(entry, metrics) }
    for client in clients {
      self.clients.append(
        [number, "\(client.client)", "\(client.tier)"]
          + (prunesRanks ? [client.loraRank.map(String.init) ?? ""] : [])
          + [
            "\(client.examples)", "\(client.steps)",
            "\(client.tokens)", optional(client.hasUpdate ? client.loss : nil),
            optional(client.hasUpdate ? client.accuracy : nil), "\(client.downloadNonzeros)",
          ] + Self.payload(client.download) + ["\(client.uploadNonzeros)"]
          + Self.payload(client.upload)
          + [fixed(client.entropyBound, 1), client.hasUpdate ? "\(client.uploadNorm)" : ""]
          + [client.status.rawValue]
          + clocked([optional(client.modelledSeconds)])
          + [fixed(client.seconds, 6)] + named(client.client))
    }
    for (collective, entry) in wire.entries {
      self.wire.append([
        number, collective.rawValue, "\(entry.calls)", "\(entry.messages)",
        "\(entry.wireBytes)", "\(entry.largestRankWireBytes)",
        fixed(entry.longestRankSeconds, 6),
      ])
    }
    // clients.csv first: a row of rounds.csv says that everything of that round is there.
    try self.clients.flush()
    try evaluation.flush()
    try confusion.flush()
    try clientEvaluation?.flush()
    try self.wire.flush()
    try metrics.flush()
    try rounds.flush()
  }
}

/// A number that may be missing, as a cell.
private func optional(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
