// The table at the end of a run.

internal import Federation

/// Collects what the table at the end of a run shows.
struct RunSummary: Codable, Equatable {
  /// One row: the state after so many rounds.
  private struct Row: Codable, Equatable {
    struct Evaluation: Codable, Equatable {
      let split: String
      let vector: String
      let accuracy: Double
      let perplexity: Double?
    }
    struct Clients: Codable, Equatable {
      let group: String
      /// The mean over the clients.
      let accuracy: Double
    }

    let rounds: Int
    /// nil where no client counted.
    let trainLoss: Double?
    let evaluation: [Evaluation]
    let clients: [Clients]
    let totals: Manifest.Totals
  }

  private var rows: [Row] = []
  private var totals = Manifest.Totals()

  mutating func add(_ record: RoundRecord, of rounds: Int) {
    totals.rounds += 1
    totals.tokens += record.clients.reduce(0) { $0 + $1.tokens }
    totals.downloadPayloadBytes += record.downloadPayload.total
    totals.uploadPayloadBytes += record.uploadPayload.total
    totals.densePayloadBytes += record.densePayloadBytes
    if let seconds = record.modelledSeconds {
      totals.modelledSeconds = (totals.modelledSeconds ?? 0) + seconds
    }
    if !record.refused.isEmpty {
      totals.refusedUploads = (totals.refusedUploads ?? 0) + record.refused.count
    }
    let isEvaluated = !record.evaluation.isEmpty || !record.clientEvaluation.isEmpty
    guard isEvaluated || record.round + 1 == rounds else { return }
    rows.append(
      Row(
        rounds: record.round + 1, trainLoss: record.count(.used) > 0 ? record.trainLoss : nil,
        evaluation: record.evaluation.filter { $0.tier == nil }.map {
          Row.Evaluation(
            split: $0.split.rawValue, vector: $0.vector.rawValue, accuracy: $0.accuracy,
            perplexity: $0.perplexity)
        },
        clients: record.clientEvaluation.map {
          Row.Clients(group: $0.group.rawValue, accuracy: $0.accuracy.mean)
        },
        totals: totals))
  }

  /// The totals so far, with the wire bytes of one more round.
  func totals(after earlier: Manifest.Totals, wire: WireSummary) -> Manifest.Totals {
    var totals = totals
    totals.wireBytes = earlier.wireBytes + wire.wireBytes
    totals.wireMessages = earlier.wireMessages + wire.messages
    return totals
  }

  /// The table: a row per evaluated round, payloads summed up to it; of the evaluation, what there
  /// is of `split` and of the clients.
  func text(split: Split) -> String {
    var columns: [(name: String, cell: (Row) -> String?)] = [
      ("rounds", { "\($0.rounds)" }), ("train loss", { $0.trainLoss.map { fixed($0, 4) } }),
    ]
    let vectors = Set(rows.flatMap { $0.evaluation.map(\.vector) })
    for vector in EvaluatedVector.allCases {
      let what = vectors.count < 2 ? "" : " (\(vector.rawValue))"
      func found(_ row: Row) -> Row.Evaluation? {
        row.evaluation.first { $0.split == split.rawValue && $0.vector == vector.rawValue }
      }
      columns += [
        ("\(split.rawValue) accuracy" + what, { found($0).map { fixed($0.accuracy, 4) } }),
        ("perplexity" + what, { found($0)?.perplexity.map { fixed($0, 2) } }),
      ]
    }
    // Of the first vector alone: the table has to fit a terminal.
    for group in ClientGroup.allCases {
      columns.append(
        (
          "\(group.rawValue) clients",
          { row in row.clients.first { $0.group == group.rawValue }.map { fixed($0.accuracy, 4) } }
        ))
    }
    columns += [
      ("modelled time", { $0.totals.modelledSeconds.map(durationText) }),
      ("payload down", { byteText($0.totals.downloadPayloadBytes) }),
      ("payload up", { byteText($0.totals.uploadPayloadBytes) }),
      (
        "less than dense",
        { row in
          let sent = row.totals.payloadBytes
          guard sent > 0 else { return nil }
          return fixed(Double(row.totals.densePayloadBytes) / Double(sent), 2) + "x"
        }
      ),
    ]
    let shown = columns.filter { column in rows.contains { column.cell($0) != nil } }
    let refused = totals.refusedUploads.map {
      "\($0) clients left out of their rounds, their updates were not finite\n"
    }
    return alignedText(
      [shown.map(\.name)] + rows.map { row in shown.map { $0.cell(row) ?? "-" } })
      + (refused ?? "")
  }
}
