// The columns of rounds.csv, evaluation.csv, confusion.csv, clients.csv and wire.csv. Columns that end in
// `_seconds` come from a clock, those that end in `_mb` are memory; all others but wire.csv's are the
// same for any number of ranks. Times of the virtual clock (docs/system-model.md) end in `_time_s`.

internal import Communication
internal import Federation
internal import Files
internal import Sparsity

/// The parts of a run on which the columns of its tables depend.
package struct RunTableOptions {
  /// True if there are tables of evaluations on clients.
  package var evaluatesClients = false
  /// True if the tables of evaluations have the tier.
  package var evaluatesTiers = false
  /// True if a virtual clock runs.
  package var hasClock = false
  /// True if clients send fewer LoRA ranks than they have.
  package var prunesRanks = false
  /// True if examples have answers.
  package var hasAnswers = false
  /// True if examples have scores.
  package var hasScores = false
  /// True if examples have choices.
  package var hasChoices = false
  /// The corpus's name of a client; nil if clients are not the corpus's own.
  package var clientName: ((Int) -> String?)?

  /// Options of a run.
  package init(
    evaluatesClients: Bool, evaluatesTiers: Bool, hasClock: Bool, prunesRanks: Bool,
    hasAnswers: Bool = false, hasScores: Bool = false,
    hasChoices: Bool = false,
    clientName: ((Int) -> String?)?
  ) {
    self.evaluatesClients = evaluatesClients
    self.evaluatesTiers = evaluatesTiers
    self.hasClock = hasClock
    self.prunesRanks = prunesRanks
    self.hasAnswers = hasAnswers
    self.hasScores = hasScores
    self.hasChoices = hasChoices
    self.clientName = clientName
  }
}

/// A number that may be missing, as a cell.
private func optional(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }

/// The columns of a message's bytes.
private func payload<Row>(
  _ direction: String, _ size: @escaping (Row) -> PayloadSize
) -> [Column<Row>] {
  [
    Column("\(direction)_values_bytes") { "\(size($0).values)" },
    Column("\(direction)_indices_bytes") { "\(size($0).indices)" },
    Column("\(direction)_header_bytes") { "\(size($0).header)" },
    Column("\(direction)_payload_bytes") { "\(size($0).total)" },
  ]
}

/// A row of rounds.csv.
struct RoundRow {
  let number: String
  let record: RoundRecord
  /// The totals of all rounds up to this one.
  let totals: Manifest.Totals
  let memory: MemoryUse

  /// The columns.
  static func columns(_ options: RunTableOptions) -> [Column<RoundRow>] {
    training + payload("download") { $0.record.downloadPayload }
      + payload("upload") { $0.record.uploadPayload } + bytes + privacy
      + [
        Column("digest") { $0.record.digest },
        Column("refused_clients") { "\($0.record.refused.count)" },
      ] + Column.when(options.hasClock, clock) + seconds
  }

  private static func sum(_ count: @escaping (ClientRecord) -> Int) -> (RoundRow) -> String {
    { row in "\(row.record.clients.filter(\.isTrained).reduce(0) { $0 + count($1) })" }
  }

  private static var training: [Column<RoundRow>] {
    [
      Column("round") { $0.number },
      Column("clients") { "\($0.record.clients.count)" },
      Column("examples", sum { $0.examples }),
      Column("steps", sum { $0.steps }),
      Column("tokens", sum { $0.tokens }),
      Column("train_loss") { optional($0.record.trainLoss) },
      Column("train_accuracy") { optional($0.record.trainAccuracy) },
      Column("download_density") { "\($0.record.downloadDensity)" },
      Column("upload_density") { "\($0.record.uploadDensity)" },
    ]
  }

  private static var bytes: [Column<RoundRow>] {
    [
      Column("dense_payload_bytes") { "\($0.record.densePayloadBytes)" },
      Column("entropy_bound_bytes") { row in
        fixed(row.record.clients.reduce(0) { $0 + $1.entropyBound }, 1)
      },
      Column("download_parameters") { row in
        "\(row.record.clients.reduce(0) { $0 + $1.downloadNonzeros })"
      },
      Column("upload_parameters") { row in
        "\(row.record.clients.reduce(0) { $0 + $1.uploadNonzeros })"
      },
      Column("total_payload_bytes") { "\($0.totals.payloadBytes)" },
      Column("total_dense_payload_bytes") { "\($0.totals.densePayloadBytes)" },
    ]
  }

  /// Empty without privacy, so that the tables of all runs have the same columns.
  private static var privacy: [Column<RoundRow>] {
    [
      Column("clip") { optional($0.record.privacy?.clip) },
      Column("clipped_share") { optional($0.record.privacy?.clippedShare) },
      Column("noise_deviation") { optional($0.record.privacy?.meanNoiseDeviation) },
      Column("epsilon") { optional($0.record.privacy?.epsilon) },
    ]
  }

  private static var clock: [Column<RoundRow>] {
    [
      Column("used_clients") { "\($0.record.count(.used))" },
      Column("unavailable_clients") { "\($0.record.count(.unavailable))" },
      Column("dropped_clients") { "\($0.record.count(.dropped))" },
      Column("late_clients") { "\($0.record.count(.late))" },
      Column("modelled_time_s") { "\($0.record.modelledSeconds ?? 0)" },
      Column("total_modelled_time_s") { "\($0.totals.modelledSeconds ?? 0)" },
    ]
  }

  private static var seconds: [Column<RoundRow>] {
    [
      Column("download_seconds") { fixed($0.record.seconds.download, 6) },
      Column("train_seconds") { fixed($0.record.seconds.train, 6) },
      Column("encode_seconds") { fixed($0.record.seconds.encode, 6) },
      Column("wait_seconds") { fixed($0.record.seconds.wait, 6) },
      Column("transfer_seconds") { fixed($0.record.seconds.transfer, 6) },
      Column("server_seconds") { fixed($0.record.seconds.server, 6) },
      Column("evaluate_seconds") { fixed($0.record.seconds.evaluate, 6) },
      Column("idle_seconds") { fixed($0.record.seconds.idle, 6) },
      Column("round_seconds") { fixed($0.record.seconds.total, 6) },
      Column("memory_mb") { fixed($0.memory.megabytes, 1) },
      Column("peak_memory_mb") { fixed($0.memory.peakMegabytes, 1) },
    ]
  }
}

/// A row of evaluation.csv.
struct EvaluationRow {
  let number: String
  let entry: EvaluationRecord
  let totals: Manifest.Totals

  /// The columns that evaluation.csv and confusion.csv begin with.
  static func place<Row>(
    _ options: RunTableOptions, _ row: @escaping (Row) -> EvaluationRow
  ) -> [Column<Row>] {
    [
      Column("round") { row($0).number },
      Column("split") { row($0).entry.split.rawValue },
      Column("masked") { row($0).entry.vector.column },
    ]
      + Column.when(
        options.evaluatesTiers, [Column("tier") { row($0).entry.tier.map(String.init) ?? "" }])
  }

  /// The columns.
  static func columns(_ options: RunTableOptions) -> [Column<EvaluationRow>] {
    place(options) { $0 } + [
      Column("examples") { "\($0.entry.examples)" },
      Column("items") { "\($0.entry.count)" },
      Column("correct") { "\($0.entry.correct)" },
      Column("accuracy") { optional($0.entry.accuracy) },
      Column("loss") { optional($0.entry.loss) },
      Column("f1_macro") { optional($0.entry.f1?.macro) },
      Column("f1_micro") { optional($0.entry.f1?.micro) },
      Column("f1_weighted") { optional($0.entry.f1?.weighted) },
      Column("perplexity") { optional($0.entry.perplexity) },
    ]
      + Column.when(
        options.hasAnswers, [Column("exact_match") { optional($0.entry.exactMatch) }])
      + Column.when(options.hasScores, [Column("pearson") { optional($0.entry.pearson) }])
      + Column.when(
        options.hasChoices,
        [
          Column("acc") { optional($0.entry.choiceAccuracy) },
          Column("acc_norm") { optional($0.entry.choiceAccuracyNormalized) },
        ])
      + [Column("total_payload_bytes") { "\($0.totals.payloadBytes)" }]
      + Column.when(
        options.hasClock,
        [Column("total_modelled_time_s") { "\($0.totals.modelledSeconds ?? 0)" }])
      + [Column("evaluate_seconds") { fixed($0.entry.seconds, 6) }]
  }
}

/// A row of confusion.csv: a classifier's examples of one label with one prediction.
struct ConfusionRow {
  let evaluation: EvaluationRow
  let label: Int
  let predicted: Int
  let count: Int

  /// The columns.
  static func columns(_ options: RunTableOptions) -> [Column<ConfusionRow>] {
    EvaluationRow.place(options) { $0.evaluation } + [
      Column("label") { "\($0.label)" },
      Column("predicted") { "\($0.predicted)" },
      Column("count") { "\($0.count)" },
    ]
  }
}

/// A row of clients.csv.
struct ClientRow {
  let number: String
  let client: ClientRecord

  /// The columns.
  static func columns(_ options: RunTableOptions) -> [Column<ClientRow>] {
    [
      Column("round") { $0.number },
      Column("client") { "\($0.client.client)" },
      Column("tier") { "\($0.client.tier)" },
    ]
      + Column.when(
        options.prunesRanks, [Column("lora_rank") { $0.client.loraRank.map(String.init) ?? "" }])
      + training + payload("download") { $0.client.download }
      + [Column("upload_nonzeros") { "\($0.client.uploadNonzeros)" }]
      + payload("upload") { $0.client.upload } + [
        Column("entropy_bound_bytes") { fixed($0.client.entropyBound, 1) },
        Column("upload_norm") { $0.client.hasUpdate ? "\($0.client.uploadNorm)" : "" },
        Column("status") { $0.client.status.rawValue },
      ]
      + Column.when(
        options.hasClock, [Column("modelled_time_s") { optional($0.client.modelledSeconds) }])
      + [Column("client_seconds") { fixed($0.client.seconds, 6) }]
      + (options.clientName.map { name in
        [Column("client_name") { nameCell(name($0.client.client)) }]
      } ?? [])
  }

  private static var training: [Column<ClientRow>] {
    [
      Column("examples") { "\($0.client.examples)" },
      Column("steps") { "\($0.client.steps)" },
      Column("tokens") { "\($0.client.tokens)" },
      Column("loss") { optional($0.client.hasUpdate ? $0.client.loss : nil) },
      Column("accuracy") { optional($0.client.hasUpdate ? $0.client.accuracy : nil) },
      Column("download_nonzeros") { "\($0.client.downloadNonzeros)" },
    ]
  }
}

/// A row of wire.csv: what MPI moved for one collective, which depends on the ranks.
struct WireRow {
  let number: String
  let collective: Collective
  let entry: WireSummary.Entry

  /// The columns.
  static var columns: [Column<WireRow>] {
    [
      Column("round") { $0.number },
      Column("collective") { $0.collective.rawValue },
      Column("calls") { "\($0.entry.calls)" },
      Column("messages") { "\($0.entry.messages)" },
      Column("wire_bytes") { "\($0.entry.wireBytes)" },
      Column("largest_rank_wire_bytes") { "\($0.entry.largestRankWireBytes)" },
      Column("longest_rank_seconds") { fixed($0.entry.longestRankSeconds, 6) },
    ]
  }
}
