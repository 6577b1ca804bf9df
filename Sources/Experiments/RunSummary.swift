// The table at the end of a run.

internal import Federation

/// Collects what the table at the end of a run shows.
struct RunSummary: Codable, Equatable {
  private var rows: [[String]] = []
  private var totals = Manifest.Totals()

  mutating func add(_ record: RoundRecord, of rounds: Int) {
    totals.rounds += 1
    totals.tokens += record.clients.reduce(0) { $0 + $1.tokens }
    totals.downloadPayloadBytes += record.downloadPayload.total
    totals.uploadPayloadBytes += record.uploadPayload.total
    totals.densePayloadBytes += 2 * record.denseBytes
    guard !record.evaluation.isEmpty || record.round + 1 == rounds else { return }
    let shown =
      record.evaluation.first { $0.split == .test } ?? record.evaluation.first { _ in true }
    let sent = totals.downloadPayloadBytes + totals.uploadPayloadBytes
    rows.append([
      "\(record.round + 1)", fixed(record.trainLoss, 4),
      shown.map { fixed($0.accuracy, 4) } ?? "-", byteText(totals.downloadPayloadBytes),
      byteText(totals.uploadPayloadBytes),
      sent == 0 ? "-" : fixed(Double(totals.densePayloadBytes) / Double(sent), 2) + "x",
    ])
  }

  /// The totals so far, with the wire bytes of one more round.
  func totals(after earlier: Manifest.Totals, wire: WireSummary) -> Manifest.Totals {
    var totals = totals
    totals.wireBytes = earlier.wireBytes + wire.wireBytes
    totals.wireMessages = earlier.wireMessages + wire.messages
    return totals
  }

  /// The table: a row per evaluated round, payloads summed up to it.
  func text(split: Split) -> String {
    alignedText(
      [
        [
          "rounds", "train loss", "\(split.rawValue) accuracy", "payload down", "payload up",
          "less than dense",
        ]
      ] + rows)
  }
}
