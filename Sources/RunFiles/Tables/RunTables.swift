// The tables of a run: rounds.csv, evaluation.csv, confusion.csv (a classifier's predictions by label),
// clients.csv and wire.csv (their columns are in RunColumns.swift), and the tables of evaluations on clients
// (ClientEvaluationTables.swift). Most of it is also in metrics.jsonl.

package import Federation
internal import Files

/// The tables of a run, grown by the round.
package final class RunTables {
  private let rounds: ColumnTable<RoundRow>
  private let evaluation: ColumnTable<EvaluationRow>
  private let confusion: ColumnTable<ConfusionRow>
  private let clients: ColumnTable<ClientRow>
  private let wire: ColumnTable<WireRow>
  private let clientEvaluation: ClientEvaluationTables?
  private let metrics: MetricsFile
  private let numbers: RoundNumbers

  /// Tables of a new run, or of one that continues after the rounds that are kept: those stay as they
  /// are until the next round was played.
  ///
  /// - Parameter options: decides which columns there are. A run of an earlier version that continues
  ///   keeps its tables without names of clients.
  /// - Throws: `CommandFailure` if a table cannot be written, or does not fit the rounds that are kept.
  package init(
    _ directory: RunDirectory, _ options: RunTableOptions, numbers: RoundNumbers,
    keeping kept: RoundsKept? = nil
  ) throws {
    self.numbers = numbers
    var options = options
    if (kept?.count ?? 0) > 0,
      try !Table.columns(of: directory.file("clients.csv")).contains("client_name")
    {
      options.clientName = nil
    }
    func table<Row>(_ name: String, _ columns: [Column<Row>]) throws -> ColumnTable<Row> {
      try ColumnTable(creating: directory.file(name), columns, keepingRoundsBelow: kept)
    }
    rounds = try table("rounds.csv", RoundRow.columns(options))
    evaluation = try table("evaluation.csv", EvaluationRow.columns(options))
    confusion = try table("confusion.csv", ConfusionRow.columns(options))
    clientEvaluation =
      options.evaluatesClients
      ? try ClientEvaluationTables(
        directory, clientName: options.clientName, hasAnswers: options.hasAnswers,
        numbers: numbers, keeping: kept) : nil
    clients = try table("clients.csv", ClientRow.columns(options))
    metrics = try MetricsFile(
      creating: directory.file("metrics.jsonl"), keepingRoundsBelow: kept)
    wire = try table("wire.csv", WireRow.columns)
    try checkRounds(directory, kept)
  }

  /// Whether the table of rounds has all that were played before the one at which a run goes on.
  private func checkRounds(_ directory: RunDirectory, _ kept: RoundsKept?) throws {
    guard let kept, kept.count > 0 else { return }
    let last = try rounds.table.lastKeptRound()
    guard last != kept.next - 1 else { return }
    throw CommandFailure(
      ExitCode.data,
      "\(directory.file("rounds.csv")): "
        + (last.map { "its rows end with round \($0)" } ?? "has no row of an earlier round")
        + ", and the checkpoint is that of \(kept.count) rounds; put the whole table back, or "
        + directory.beginningAnew)
  }

  /// Cuts off the rows of the rounds that are played again, once: rounds.csv first, because its rows
  /// promise that all other rows of their rounds are there.
  private func cutBack() throws {
    for table in [rounds.table, evaluation.table, confusion.table, clients.table, wire.table] {
      try table.cutBack()
    }
    try clientEvaluation?.cutBack()
    try metrics.cutBack()
  }

  /// Forces everything to the disk, also the files from which a run does not continue.
  package func synchronize() throws { try metrics.synchronize() }

  /// Adds one round and forces it to the disk.
  /// - Parameter totals: The totals of all rounds up to this one.
  package func append(
    _ record: RoundRecord, totals: Manifest.Totals, wire: WireSummary, memory: MemoryUse
  ) throws {
    try cutBack()
    let number = "\(numbers[after: record.round])"
    metrics.append(
      "round", rounds.names,
      rounds.append(
        RoundRow(number: number, record: record, totals: totals, memory: memory)))
    appendEvaluation(record, totals)
    for client in record.clients { clients.append(ClientRow(number: number, client: client)) }
    for (collective, entry) in wire.entries {
      self.wire.append(WireRow(number: number, collective: collective, entry: entry))
    }
    // rounds.csv last: its row promises that everything of that round is there.
    try clients.table.flush()
    try evaluation.table.flush()
    try confusion.table.flush()
    try clientEvaluation?.flush()
    try self.wire.table.flush()
    try metrics.flush()
    try rounds.table.flush()
  }

  private func appendEvaluation(_ record: RoundRecord, _ totals: Manifest.Totals) {
    let rows = record.evaluation.map {
      EvaluationRow(number: "\(numbers[after: $0.round])", entry: $0, totals: totals)
    }
    for row in rows { metrics.append("evaluation", evaluation.names, evaluation.append(row)) }
    for row in rows {
      for pair in row.entry.confusion {
        confusion.append(
          ConfusionRow(
            evaluation: row, label: Int(pair.label), predicted: Int(pair.predicted),
            count: Int(pair.count)))
      }
    }
    for entry in record.clientEvaluation { clientEvaluation?.append(entry, metrics) }
  }
}
